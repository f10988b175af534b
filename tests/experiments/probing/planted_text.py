"""Small texts as corpora, of which every label is known."""

import numpy as np

from experiments.probing.axes import ProbingSweep, Sentences
from research.data.corpus import Corpus

LENGTH = 16
SENTENCES = Sentences("tfds:a_treebank", "tfds:some_relations", 40, 20, "last")


def corpus(name: str, test: list[bytes], validation: list[bytes], held_out: frozenset[bytes] = frozenset()) -> Corpus:
    """Returns the corpus of two held-out parts of documents, each test document a group of its own."""
    parts = {part: np.frombuffer(b"\0".join(some), np.uint8) for part, some in (("test", test), ("validation", validation))}
    pieces = [piece for place, document in enumerate(test) for piece in ([-1], [place] * len(document))][1:]
    groups = {"test": np.concatenate(pieces), "validation": np.zeros(len(parts["validation"]), int)}
    return Corpus(name, name, parts, {}, held_out, groups)


def sweep(*tasks: str, examples: int = 60, choosing: int = 20, languages: tuple[str, ...] = ("a", "b")) -> ProbingSweep:
    """Returns axes for these tasks, in 8 groups of documents."""
    return ProbingSweep(("pretrained",), 1, tasks, languages, SENTENCES, (0, 1), (0, 1), examples, choosing, 8, 1)
