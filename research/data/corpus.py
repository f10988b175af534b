"""A corpus: the token streams of four parts that share no document."""

import hashlib
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from research.data import documents as texts
from research.data.carving import Carving, carve
from research.data.sources import read_documents
from research.data.streams import encoded, groups, joined, sizes
from research.data.vocabulary import BYTES, Vocabulary
from research.errors import UsageError

PARTS = ("train", "validation", "test", "final")
READ = ("test", "final")
Digest = bytes
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
    """The parts train, validation, test and final as 1-D token streams of a vocabulary, a mark between documents.

    `fingerprint` is the SHA-256 of all of them, so that it says how the text was carved as well; which part is `read` changes nothing.
    `held_out` has the digests of all documents of the last three parts, `groups` and `bytes` the group of each of their tokens (int32, -1
    at a mark) and the bytes of text that it stands for (float64, 0 at a mark); see `streams`.
    """

    source: str
    fingerprint: str
    parts: Mapping[str, np.ndarray]
    provenance: dict[str, Any]
    held_out: frozenset[Digest] = frozenset()
    groups: Mapping[str, np.ndarray] = MappingProxyType({})
    read: str = "test"
    bytes: Mapping[str, np.ndarray] = MappingProxyType({})
    vocabulary: Vocabulary = BYTES


def load_corpus(
    spec: DataSpec, vocabulary: Vocabulary = BYTES, without: Collection[frozenset[Digest]] = (), cache: Path | None = None
) -> Corpus:
    """Returns the corpus of `spec.source`: exact duplicates dropped, parts carved by document in the order of a hash of seed and content.

    A document that is held out is held out whole, and scored for at most 1/32 of its part (or 256 bytes): whole paragraphs in a row, whose
    place the hash decides. What is held out here, or elsewhere as `without` says, leaves the train part. All of this is the same for every
    vocabulary; what one makes of the text is kept in the folder `cache`.
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
    pieces = encoded(documents, vocabulary, cache)
    parts = {part: joined(pieces[part], vocabulary) for part in PARTS}
    size = {part: sum(map(len, documents[part])) for part in PARTS}
    difference = {part: sum(int(vocabulary.lengths[piece].sum()) for piece in pieces[part]) - size[part] for part in PARTS}
    if any(difference.values()):
        _log.info(
            "%s: bytes of tokens less bytes of text: %s; text is normalized, or holds bytes that no token has", spec.source, difference
        )
    provenance = {
        **found.provenance,
        "source": spec.source,
        "vocabulary": vocabulary.name,
        "seed": spec.seed,
        "parts": carving.how,
        "documents": {part: len(documents[part]) for part in PARTS},
        "bytes": size,
        "tokens": {part: sum(map(len, pieces[part])) for part in PARTS},
        "byte_difference": difference,
        "held_out_bytes": {part: sum(map(len, held.held)) for part, held in carving.held_out.items()},
        "dropped_duplicates": sum(map(len, found.splits.values())) - sum(map(len, splits.values())),
        "dropped_held_out": carving.dropped,
    }
    grouped = {part: groups(documents[part], pieces[part]) for part in carving.held_out}
    weighed = {part: sizes(documents[part], pieces[part], vocabulary) for part in carving.held_out}
    fingerprint = _fingerprint(parts, vocabulary)
    return Corpus(spec.source, fingerprint, parts, provenance, carving.digests, grouped, spec.part, weighed, vocabulary)


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


def _fingerprint(parts: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> str:
    digest = hashlib.sha256(vocabulary.fingerprint.encode())
    for part in PARTS:
        digest.update(f"{part}:{parts[part].nbytes}:".encode())
        digest.update(np.ascontiguousarray(parts[part]).tobytes())
    return digest.hexdigest()
