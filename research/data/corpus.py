"""A corpus: the token streams of three parts that share no document."""

import hashlib
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from research.data import documents as texts
from research.data.sources import read_documents
from research.data.vocabulary import BYTES, Vocabulary
from research.errors import UsageError

PARTS = ("train", "validation", "test")
_LARGEST = 4  # a document above a quarter of a part would make the part a sample of one
_LEAST = 0.75
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataSpec:
    """A source word, the bytes wanted of validation and test part, and the most bytes of all parts (None: no limit)."""

    source: str
    validation_bytes: int
    test_bytes: int
    max_bytes: int | None = None


class HeldOut(NamedTuple):
    """The digests of what a corpus does not train on: documents of its validation and test part, and what these were cut from.

    `free`: of the blocks of a document that is held out in part, those that it does train on.
    """

    digests: frozenset[bytes] = frozenset()
    free: frozenset[bytes] = frozenset()


class Corpus(NamedTuple):
    """The parts train, validation and test as 1-D token streams, documents joined by the separator; `fingerprint` is their SHA-256."""

    source: str
    fingerprint: str
    parts: Mapping[str, np.ndarray]
    provenance: dict[str, Any]
    held_out: HeldOut = HeldOut()


class _Carving(NamedTuple):
    parts: dict[str, list[bytes]]
    how: str
    held_out: HeldOut
    dropped: int


def load_corpus(spec: DataSpec, vocabulary: Vocabulary = BYTES, without: Collection[HeldOut] = ()) -> Corpus:
    """Returns the corpus of `spec.source`: exact duplicates dropped, parts cut by document in the order of the documents' SHA-256.

    A set's own splits are kept, cut to the bytes wanted; a part without a split of its own is carved from train. Documents larger than a
    quarter of a part stay out of it; where that leaves too little, they are cut into blocks of paragraphs, each a document.
    What is held out here, or elsewhere as `without` says, leaves the train part, as a whole document or as a block.
    Raises UsageError for an unknown, missing or too short source, and for sizes that are not positive.
    """
    _check_sizes(spec)
    found = read_documents(spec.source, spec.max_bytes)
    seen: set[bytes] = set()
    splits = {part: texts.distinct(found.splits[part], seen) for part in reversed(PARTS) if part in found.splits}
    carving = _carve(splits, spec, without)
    parts = {part: _join(carving.parts[part], vocabulary) for part in PARTS}
    provenance = {
        **found.provenance,
        "source": spec.source,
        "vocabulary": vocabulary.name,
        "parts": carving.how,
        "documents": {part: len(carving.parts[part]) for part in PARTS},
        "bytes": {part: sum(map(len, carving.parts[part])) for part in PARTS},
        "dropped_duplicates": sum(map(len, found.splits.values())) - sum(map(len, splits.values())),
        "dropped_held_out": carving.dropped,
    }
    if carving.dropped:
        _log.info("%s: %d documents left its train part, since a target holds them out to test on", spec.source, carving.dropped)
    return Corpus(spec.source, _fingerprint(parts), parts, provenance, carving.held_out)


def _check_sizes(spec: DataSpec) -> None:
    if min(spec.validation_bytes, spec.test_bytes) <= 0:
        raise UsageError(f"validation_bytes={spec.validation_bytes} and test_bytes={spec.test_bytes}; give both parts more than 0")
    needed = 2 * (spec.validation_bytes + spec.test_bytes)
    if spec.max_bytes is not None and spec.max_bytes < needed:
        raise UsageError(f"max_bytes={spec.max_bytes} leaves too little to train on; give at least {needed}, or smaller other parts")


def _carve(splits: dict[str, list[bytes]], spec: DataSpec, without: Collection[HeldOut]) -> _Carving:
    wanted = {"test": spec.test_bytes, "validation": spec.validation_bytes}
    pool, parts, how, origins = splits["train"], {}, [], texts.Origins()
    _check_length(spec, texts.size(pool), sum(room for part, room in wanted.items() if part not in splits))
    for part, room in wanted.items():
        if part in splits:
            parts[part], blocks = _cap(splits[part], room, origins)
            how.append(f"{part}: the set's own split")
        else:
            parts[part], pool, blocks = _take(pool, room, spec.source, origins)
            how.append(f"{part}: documents of train")
        how[-1] += ", its large documents cut into blocks of paragraphs" if blocks else ""
        if not parts[part]:
            raise UsageError(f"{spec.source} has an empty {part} split; choose another set or field")
    held_out = _held_out([*parts["test"], *parts["validation"]], origins)
    kept = [document for document in pool if not _is_held_out(document, origins, (held_out, *without))]
    if not kept:
        raise UsageError(f"every document of {spec.source} to train on is held out of the target; choose another source or target")
    parts["train"] = kept
    if spec.max_bytes is not None:
        room = spec.max_bytes - sum(map(texts.size, (parts["test"], parts["validation"])))
        parts["train"] = _cap(kept, room, texts.Origins())[0]
    return _Carving(parts, "; ".join(how), held_out, len(pool) - len(kept))


def _held_out(documents: list[bytes], origins: texts.Origins) -> HeldOut:
    pieces = set(map(texts.digest, documents))
    cut = {origin for piece in pieces for origin in origins.get(piece, ())}
    return HeldOut(frozenset(pieces | cut), frozenset(block for block, found in origins.items() if found & cut) - pieces)


def _is_held_out(document: bytes, origins: texts.Origins, held: Collection[HeldOut]) -> bool:
    name = texts.digest(document)
    names = {name} | origins.get(name, set())
    return any(name not in one.free and not names.isdisjoint(one.digests) for one in held)


def _check_length(spec: DataSpec, length: int, carved: int) -> None:
    needed = max(2 * carved, 1)
    if length < needed:
        raise UsageError(
            f"{spec.source} is too short: {length} bytes of distinct documents to train on and to carve from, {needed} are needed; "
            f"give more text{'' if spec.max_bytes is None else ', a larger max_bytes'} or smaller validation and test parts"
        )


def _take(pool: list[bytes], room: int, source: str, origins: texts.Origins) -> tuple[list[bytes], list[bytes], bool]:
    """Returns (part, rest of the pool, whether documents were cut into blocks); UsageError if the part stays under 3/4 of `room`."""
    for blocks in (False, True):
        documents = texts.blocks(pool, room // _LARGEST, origins) if blocks else pool
        taken, left = texts.fill(documents, room, room // _LARGEST)
        if left and texts.size(taken) >= _LEAST * room:
            return taken, left, blocks
    raise UsageError(
        f"{source} has too few documents of at most {room // _LARGEST} bytes for a part of {room} bytes ({texts.size(taken)} found); "
        "give more or shorter documents, or smaller validation and test parts"
    )


def _cap(documents: list[bytes], room: int, origins: texts.Origins) -> tuple[list[bytes], bool]:
    """Returns all of `documents` if they fit into `room` bytes, else as many as do, and whether they had to be cut into blocks."""
    if texts.size(documents) <= room:
        return documents, False
    taken, _ = texts.fill(documents, room, room // _LARGEST)
    if texts.size(taken) >= _LEAST * room:
        return taken, False
    return texts.fill(texts.blocks(documents, room // _LARGEST, origins), room, room)[0], True


def _join(documents: list[bytes], vocabulary: Vocabulary) -> np.ndarray:
    pieces = [vocabulary.encode(document) for document in documents]
    separator = np.full(1, vocabulary.separator, pieces[0].dtype)
    return np.concatenate([piece for document in pieces for piece in (separator, document)][1:])


def _fingerprint(parts: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for part in PARTS:
        digest.update(f"{part}:{parts[part].nbytes}:".encode())
        digest.update(np.ascontiguousarray(parts[part]).tobytes())
    return digest.hexdigest()
