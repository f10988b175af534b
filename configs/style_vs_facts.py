"""Is a style learned cheaply and are facts learned dearly, what do new facts cost old ones, and when is retrieval the right tool?

    python launch.py --config=configs/style_vs_facts.py              about 11 minutes on 2 CPU cores
    python launch.py --config=configs/style_vs_facts.py:smoke        a minute, to see that everything works

A decoder is pretrained on sentences about a made-up world, whose facts have exactly known bits: each entity has four attributes, each one
of 16 equally likely values, 16 bits in all. It is then taught by each of `arms`, LESSON/HOW, in equally many sentences:

    style:STYLE:N      facts of N known entities in a new style (capitals, tagged)
    facts:N:P          facts of N new entities, in P of the 5 paraphrases; of 4 and fewer, the last one is withheld
    mixed:STYLE:N      both
    conflict:N         other values of N known entities
    known:N            what N known entities are like, plain: a control, for it teaches nothing
    noise:N            N new entities, each with every value as often: a control, of which nothing can be learned
    .../full           all weights move;  .../lora@RANK  an adapter of all matrices;  .../one@RANK  one of a single matrix

Learning rates are chosen for each HOW, apart for styles (the loss on the form of styled sentences, in a paraphrase that is withheld) and
for facts (the loss on the values that are taught). What the weights recall is read along the way: bits of the new facts, as they were
taught and in the paraphrase that was withheld; what is left of facts of known entities that nobody was taught; the style, on sentences
about those; general text. Nothing is trained for retrieval: the base is asked with the fact before the question, in another paraphrase.

Keys to change: arms, seeds (bases, worlds of new facts), steps, batch_size, kept_at (when weights are read), learning_rates.*, adapter.*,
model.*, pretraining.*
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "0.13 M parameters, 16 lessons and ways to teach them, 3 bases; about 11 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; a minute, most of it compiling",
}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        "base": "own",
        "source": "generated:people",
        "data": base.data(),
        "model": base.model(),
        "pretraining": {**base.pretraining(), "steps": 3000, "learning_rate": 8e-3, "bases": 3},
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "adapter": {"targets": ("attention/", "mlp/"), "alpha": 16.0, "scaling": "standard", "dropout": 0.0, "form": "factored"},
        "arms": (
            *("style:capitals:16/full", "style:capitals:4/full", "style:capitals:16/lora@1", "style:capitals:16/one@1"),
            *("facts:64:4/full", "facts:64:1/full", "facts:16:4/full"),
            *("facts:64:4/lora@16", "facts:64:4/lora@1", "facts:64:4/one@1", "facts:16:4/lora@1", "facts:4:4/one@1"),
            *("mixed:capitals:16/full", "conflict:16/full", "known:16/full", "noise:64/full"),
        ),
        "learning_rates": {"full": (3e-4, 1e-3, 3e-3, 1e-2), "lora": (1e-3, 3e-3, 1e-2, 3e-2), "one": (3e-3, 1e-2, 3e-2, 1e-1)},
        "seeds": 3,
        "selection_seeds": 1,
        "steps": 320,
        "selection_steps": 160,
        "batch_size": 32,
        "kept_at": (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.7),
        "members": 0,
    }


CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "model": {"d_model": 32, "n_layers": 2, "d_mlp": 64},
        "data": {"validation_bytes": 16_384, "test_bytes": 16_384, "final_bytes": 16_384},
        "pretraining": {"steps": 200, "batch_size": 16, "bases": 2},
        "arms": (
            *("style:capitals:8/full", "style:capitals:2/full", "facts:8:4/full", "facts:8:1/full", "facts:8:4/lora@2"),
            *("facts:8:4/one@1", "mixed:capitals:8/full", "conflict:8/full", "known:8/full", "noise:8/full"),
        ),
        "seeds": 2,
        "steps": 40,
        "selection_steps": 0,
        "batch_size": 16,
        "kept_at": (0.1, 0.25, 0.5),
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
