"""A corpus: the token streams of four parts that share no document."""

import hashlib
import heapq
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from research.data import documents as texts
from research.data.carving import Carving, carve
from research.data.sources import read_documents
from research.data.vocabulary import BYTES, Vocabulary
from research.errors import UsageError

PARTS = ("train", "validation", "test", "final")
READ = ("test", "final")
MOST_GROUPS = 48
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataSpec:
    """A source word, the bytes wanted of each held-out part, the seed that carves them, and the part that results are read on.

    `max_bytes` is the most bytes of all parts (None: no limit).
    """

    source: str
    validation_bytes: int
    test_bytes: int
    final_bytes: int
    seed: int = 0
    part: str = "test"
    max_bytes: int | None = None


class Corpus(NamedTuple):
    """The parts train, validation, test and final as 1-D token streams, documents joined by the separator.

    `fingerprint` is the SHA-256 of all of them, so that it says how the text was carved as well; which part is `read` changes nothing.
    `held_out` has the digests of all documents of the last three parts, and `groups` their tokens' groups: (tokens,) int32, the group of
    a token's document, -1 at a separator. A group is of whole documents, and there are at most `MOST_GROUPS`.
    """

    source: str
    fingerprint: str
    parts: Mapping[str, np.ndarray]
    provenance: dict[str, Any]
    held_out: frozenset[bytes] = frozenset()
    groups: Mapping[str, np.ndarray] = MappingProxyType({})
    read: str = "test"


def load_corpus(spec: DataSpec, vocabulary: Vocabulary = BYTES, without: Collection[frozenset[bytes]] = ()) -> Corpus:
    """Returns the corpus of `spec.source`: exact duplicates dropped, parts carved by document in the order of a hash of seed and content.

    A document that is held out is held out whole, and scored for at most 1/32 of its part (or 256 bytes): whole paragraphs in a row, whose
    place the hash decides. What is held out here, or elsewhere as `without` says, leaves the train part.
    Raises UsageError for an unknown, missing or too short source, for sizes that are not positive and a part that is none of `READ`.
    """
    rooms = _rooms(spec)
    found = read_documents(spec.source, spec.max_bytes)
    seen: set[bytes] = set()
    splits = {part: texts.distinct(found.splits[part], seen, spec.seed) for part in reversed(PARTS) if part in found.splits}
    _check_length(spec, splits["train"], sum(room for part, room in rooms.items() if part not in splits))
    carving = carve(spec.source, splits, rooms, spec.seed, frozenset().union(*without))
    documents = {"train": _capped(carving.train, spec, carving)} | {part: held.scored for part, held in carving.held_out.items()}
    if carving.dropped:
        _log.info("%s: %d documents left its train part, since they are held out to test on", spec.source, carving.dropped)
    parts = {part: _join(documents[part], vocabulary) for part in PARTS}
    provenance = {
        **found.provenance,
        "source": spec.source,
        "vocabulary": vocabulary.name,
        "seed": spec.seed,
        "parts": carving.how,
        "documents": {part: len(documents[part]) for part in PARTS},
        "bytes": {part: sum(map(len, documents[part])) for part in PARTS},
        "held_out_bytes": {part: sum(map(len, held.held)) for part, held in carving.held_out.items()},
        "dropped_duplicates": sum(map(len, found.splits.values())) - sum(map(len, splits.values())),
        "dropped_held_out": carving.dropped,
    }
    groups = {part: _groups(documents[part], vocabulary) for part in PARTS if part != "train"}
    return Corpus(spec.source, _fingerprint(parts), parts, provenance, carving.digests, groups, spec.part)


def _rooms(spec: DataSpec) -> dict[str, int]:
    """Returns the bytes wanted of each held-out part; UsageError for values of `spec` that make no corpus."""
    rooms = {"test": spec.test_bytes, "validation": spec.validation_bytes, "final": spec.final_bytes}
    if min(rooms.values()) <= 0:
        raise UsageError(f"{', '.join(f'{part}_bytes={room}' for part, room in rooms.items())}; give each part more than 0")
    if spec.part not in READ:
        raise UsageError(f"data.part={spec.part!r} is no part that results are read on; choose one of {', '.join(READ)}")
    needed = 2 * sum(rooms.values())
    if spec.max_bytes is not None and spec.max_bytes < needed:
        raise UsageError(f"max_bytes={spec.max_bytes} leaves too little to train on; give at least {needed}, or smaller other parts")
    return rooms


def _check_length(spec: DataSpec, pool: list[bytes], carved: int) -> None:
    length, needed = texts.size(pool), max(2 * carved, 1)
    if length < needed:
        raise UsageError(
            f"{spec.source} is too short: {length} bytes of distinct documents to train on and to carve from, {needed} are needed; "
            f"give more text{'' if spec.max_bytes is None else ', a larger max_bytes'} or smaller validation, test and final parts"
        )


def _capped(train: list[bytes], spec: DataSpec, carving: Carving) -> list[bytes]:
    """Returns all of `train` if the corpus then has at most `spec.max_bytes`, else as many of its documents as fit."""
    if spec.max_bytes is None:
        return train
    room = spec.max_bytes - sum(texts.size(part.scored) for part in carving.held_out.values())
    return train if texts.size(train) <= room else texts.fill(train, room)


def _join(documents: list[bytes], vocabulary: Vocabulary) -> np.ndarray:
    pieces = vocabulary.encode_all(documents)
    mark = np.full(1, vocabulary.mark, vocabulary.dtype)
    return np.concatenate([piece for document in pieces for piece in (mark, document)][1:])


def _groups(documents: list[bytes], vocabulary: Vocabulary) -> np.ndarray:
    """Returns the group of each token of `_join(documents, vocabulary)`, -1 at its separators."""
    lengths = [len(vocabulary.encode(document)) for document in documents]
    runs = [
        (group, length) for group, length in zip(_gathered(lengths), lengths, strict=True) for group, length in ((-1, 1), (group, length))
    ]
    return np.repeat(*np.array(runs, np.int32)[1:].T)


def _gathered(lengths: list[int]) -> list[int]:
    """Returns the group of each document: one of its own, or where there are too many the lightest so far, largest document first."""
    if len(lengths) <= MOST_GROUPS:
        return list(range(len(lengths)))
    lightest, groups = [(0, group) for group in range(MOST_GROUPS)], [0] * len(lengths)
    for document in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        weight, groups[document] = lightest[0]
        heapq.heapreplace(lightest, (weight + lengths[document], groups[document]))
    return groups


def _fingerprint(parts: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for part in PARTS:
        digest.update(f"{part}:{parts[part].nbytes}:".encode())
        digest.update(np.ascontiguousarray(parts[part]).tobytes())
    return digest.hexdigest()
