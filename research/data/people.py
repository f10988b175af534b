"""The source `generated:people`: what is said of a known world, of strangers whose facts stand in the text itself, and other sentences."""

from collections.abc import Iterator

import numpy as np

from research.data.documents import Documents
from research.data.facts import ATTRIBUTES, KNOWN, PARAPHRASES, VALUES, World, drawn_name, sentence
from research.data.generated import BYTES, document

SHARES = {"known": 70, "stranger": 26, "other": 4}  # of 100 documents
TIMES = {"known": 2, "stranger": 3}  # that a fact is stated in a document
_CHOICES = 32  # more than a document makes


def people_documents(max_bytes: int | None = None) -> Documents:
    """Returns documents until they have 2 MiB or `max_bytes`: always the same, and fewer are the first of more.

    A document states two facts of known entities, each twice; or one of a stranger three times; in another paraphrase each time. A
    stranger's value is drawn: who is to know it the second time must read it from the context, which is what retrieval takes. All is plain;
    styles are in no document.
    """
    limit = BYTES if max_bytes is None else min(BYTES, max_bytes)
    found: list[bytes] = []
    used = 0
    while used < limit:
        found.append(people_document(len(found)))
        used += len(found[-1])
    return Documents({"train": found}, {"known_entities": len(KNOWN.names)})


def people_document(index: int) -> bytes:
    """Returns a document, a pure function of its index: NumPy keeps Philox's raw words from version to version."""
    words = iter(np.random.Philox(key=np.array([index, 3], np.uint64)).random_raw(_CHOICES).tolist())
    kind = next(words) % 100
    if kind < SHARES["known"]:
        return _known(words)
    if kind < SHARES["known"] + SHARES["stranger"]:
        return _stranger(words)
    sentences = document("restaurants", index).split(b". ")
    return sentences[next(words) % len(sentences)].removesuffix(b".") + b"."


def _known(words: Iterator[int]) -> bytes:
    return b" ".join(_said(KNOWN, next(words) % len(KNOWN.names), words, TIMES["known"]) for _ in range(2))


def _said(world: World, entity: int, words: Iterator[int], times: int) -> bytes:
    attribute = next(words) % len(ATTRIBUTES)
    paraphrases = sorted(range(PARAPHRASES), key=[next(words) for _ in range(PARAPHRASES)].__getitem__)[:times]
    return b" ".join(sentence(world, entity, attribute, paraphrase).text for paraphrase in paraphrases)


def _stranger(words: Iterator[int]) -> bytes:
    name = drawn_name(next(words))
    while name in KNOWN.names:
        name = drawn_name(next(words))
    own = World((name,), np.full((1, len(ATTRIBUTES)), next(words) % VALUES))
    return _said(own, 0, words, TIMES["stranger"])
