"""The source `generated:people`: what is said of a known world, of strangers whose facts stand in the text itself, and other sentences."""

from collections.abc import Iterator

import numpy as np

from research.data.documents import Documents
from research.data.facts import ATTRIBUTES, KNOWN, PARAPHRASES, VALUES, World, drawn_name, sentence
from research.data.generated import BYTES, document

SHARES = {"known": 50, "stranger": 40, "other": 10}  # of 100 documents
_CHOICES = 16  # more than a document makes


def people_documents(max_bytes: int | None = None) -> Documents:
    """Returns documents until they have 2 MiB or `max_bytes`: always the same, and fewer are the first of more.

    Known entities are stated twice in a document, two facts of one or two. A stranger's one fact is stated in two paraphrases: the value
    is drawn, so that only who copies from its context can know it the second time. All is plain; styles are in no document.
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
        return b" ".join(_known(words) for _ in range(2))
    if kind < SHARES["known"] + SHARES["stranger"]:
        return _stranger(words)
    sentences = document("restaurants", index).split(b". ")
    return sentences[next(words) % len(sentences)].removesuffix(b".") + b"."


def _known(words: Iterator[int]) -> bytes:
    return sentence(KNOWN, next(words) % len(KNOWN.names), next(words) % len(ATTRIBUTES), next(words) % PARAPHRASES).text


def _stranger(words: Iterator[int]) -> bytes:
    name = drawn_name(next(words))
    while name in KNOWN.names:
        name = drawn_name(next(words))
    own = World((name,), np.full((1, len(ATTRIBUTES)), next(words) % VALUES))
    attribute, first, step = next(words) % len(ATTRIBUTES), next(words) % PARAPHRASES, 1 + next(words) % (PARAPHRASES - 1)
    return b" ".join(sentence(own, 0, attribute, paraphrase).text for paraphrase in (first, (first + step) % PARAPHRASES))
