"""Small texts as corpora, of which every label is known."""

import numpy as np

from experiments.probing.axes import ProbingSweep, Sentences
from research.data.corpus import Corpus
from research.data.relations import Relations, Subject
from research.data.treebank import Sentence, Treebank

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


NOUNS, VERBS = ("cat", "dog", "bird", "naïve fox"), ("sees", "likes", "understands")


def treebank(documents: int = 60, sentences: int = 2, seed: int = 0) -> Treebank:
    """Returns documents of so many sentences such as `the cat sees a dog .`, one in ten of which is long."""
    drawn = np.random.default_rng(seed)

    def one(document: int) -> Sentence:
        before = "very " * (30 * (drawn.random() < 0.1))
        words = f"{before}the {drawn.choice(NOUNS)}|{drawn.choice(VERBS)} a {drawn.choice(NOUNS)}|.".replace("naïve ", "naïve_")
        words = [word.replace("_", " ") for word in words.replace("|", " ").split()]
        verb = len(words) - 4
        heads = [*[verb] * (verb - 2), verb - 1, verb, -1, verb + 2, verb, verb]
        pos = (*["ADV"] * (verb - 2), "DET", "NOUN", "VERB", "DET", "NOUN", "PUNCT")
        arcs = (*["advmod"] * (verb - 2), "det", "nsubj", "root", "det", "obj:of", "punct")
        ends = np.cumsum([len(word.encode()) + 1 for word in words]) - 1
        spans = np.stack([ends - [len(word.encode()) for word in words], ends], axis=1)
        return Sentence(f"document {document}", " ".join(words).encode(), spans, pos, arcs, np.array(heads))

    every = [document for document in range(documents) for _ in range(sentences)]
    parts = {part: tuple(one(document) for document in every) for part in ("train", "validation", "test")}
    return Treebank("tfds:a_treebank/1.0.0", f"drawn by {seed}", parts, {"train": 0, "validation": 2, "test": 1})


def relations(count: int = 300) -> Relations:
    """Returns subjects whose last letters say their relation, one in ten of which has two."""
    kinds = {"city": "capital", "man": "father", "gas": "phase"}
    every = [(place, kind) for place in range(count // len(kinds)) for kind in kinds]
    also = dict.fromkeys(range(0, count, 10), ("other",))
    subjects = [Subject(f"subject {place} {kind}", (kinds[kind], *also.get(place, ()))) for place, kind in every]
    return Relations("tfds:some_relations/1.0.0", "made", tuple(sorted(subjects)))
