"""How held-out parts are carved from documents: each document is held out whole, and scored in part if it is large."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from research.data import documents as texts
from research.errors import UsageError

ORDER = ("test", "validation", "final")  # in which parts are carved: the final part takes nothing from the others
_SHARE = 32  # a document is scored for at most so small a share of a part: a part is no sample of a few
_SHORTEST = 256  # but an excerpt of fewer bytes says little
_LEAST = 0.75


class Part(NamedTuple):
    """A held-out part: what is scored, the documents that these are or are excerpts of, and the documents that are left."""

    scored: list[bytes]
    held: list[bytes]
    left: list[bytes]
    blocks: bool = False


class Carving(NamedTuple):
    """The held-out parts, the documents to train on, how it was done, the digests of what is held out, and how many left train for it."""

    held_out: dict[str, Part]
    train: list[bytes]
    how: str
    digests: frozenset[bytes]
    dropped: int


def carve(source: str, splits: Mapping[str, list[bytes]], rooms: Mapping[str, int], seed: int, without: frozenset[bytes]) -> Carving:
    """Returns the parts of a source with the splits `train` and perhaps others, `rooms` the bytes of each held-out part.

    A split of the set's own is kept; `final` is what a test split has left, if that is enough. Other parts are carved from train, by
    document; where that would take half of it, all are cut into blocks of paragraphs, each then a document.
    What is held out here or listed in `without` leaves train. Raises UsageError for a source that is too short.
    """
    own, left = _own_parts(source, splits, rooms, seed)
    carved, rest, cut = _from_train(source, splits["train"], {part: rooms[part] for part in ORDER if part not in own}, seed)
    parts = {part: own[part] if part in own else carved[part] for part in ORDER}
    digests = frozenset(texts.digest(document) for part in parts.values() for document in part.held)
    train = _without(rest, digests | without, splits["train"] if cut else [])
    if not train:
        raise UsageError(f"every document of {source} to train on is held out of the target; choose another source or target")
    how = "; ".join(f"{part}: {_origin(part, part in own, left)}{', cut into blocks of paragraphs' * parts[part].blocks}" for part in ORDER)
    return Carving(parts, train, how, digests, len(rest) - len(train))


def _origin(part: str, own: bool, left: bool) -> str:
    if not own:
        return "documents of train"
    return "what the set's own test split has left" if part == "final" and left else "the set's own split"


def _own_parts(source: str, splits: Mapping[str, list[bytes]], rooms: Mapping[str, int], seed: int) -> tuple[dict[str, Part], bool]:
    """Returns the parts that a set has splits for, and whether its test split was enough for the final part too."""
    found = {}
    for part in ORDER:
        if part in splits:
            found[part] = _own(splits[part], rooms[part], seed)
            if not found[part].scored:
                raise UsageError(f"{source} has an empty {part} split; choose another set or field")
    if "test" in found:
        final = _take(found["test"].left, rooms["final"], seed)
        if _is_full(final, rooms["final"]):
            return found | {"final": final._replace(blocks=found["test"].blocks)}, True
    return found, False


def _own(split: list[bytes], room: int, seed: int) -> Part:
    part = _take(split, room, seed)
    if _is_full(part, min(room, texts.size(split))):
        return part
    return _take(_in_blocks(split, seed), room, seed)._replace(blocks=True)


def _from_train(source: str, pool: list[bytes], rooms: Mapping[str, int], seed: int) -> tuple[dict[str, Part], list[bytes], bool]:
    """Returns the parts of `rooms`, what is left of the pool, and whether it was cut into blocks."""
    parts, left = _take_all(pool, rooms, seed)
    full = all(_is_full(parts[part], room) for part, room in rooms.items())
    if full and 2 * texts.size(left) >= texts.size(pool):
        return parts, left, False
    parts, left = _take_all(_in_blocks(pool, seed), rooms, seed)
    for part, room in rooms.items():
        if not _is_full(parts[part], room):
            raise UsageError(
                f"{source} has too few documents, or paragraphs to cut them into, for a {part} part of {room} bytes "
                f"({texts.size(parts[part].scored)} found); give more or shorter documents, or smaller held-out parts"
            )
    if texts.size(left) < sum(rooms.values()):
        raise UsageError(
            f"{source} is too short: {texts.size(left)} bytes are left to train on, fewer than the held-out parts have; "
            "give more or shorter documents, or smaller held-out parts"
        )
    return {name: part._replace(blocks=True) for name, part in parts.items()}, left, True


def _take_all(pool: list[bytes], rooms: Mapping[str, int], seed: int) -> tuple[dict[str, Part], list[bytes]]:
    parts: dict[str, Part] = {}
    for part, room in rooms.items():
        parts[part] = _take(pool, room, seed)
        pool = parts[part].left
    return parts, pool


def _take(pool: list[bytes], room: int, seed: int) -> Part:
    """Returns a part of documents in the order of the pool, each scored whole or in an excerpt, until no further excerpt may fit."""
    most = max(room // _SHARE, min(_SHORTEST, room // 4))
    part, used = Part([], [], []), 0
    for document in pool:
        scored = texts.excerpt(document, most - 1, seed) if used + most <= room else b""
        if scored:
            part.scored.append(scored)
            part.held.append(document)
            used += len(scored) + 1
        else:
            part.left.append(document)
    return part


def _is_full(part: Part, room: int) -> bool:
    return bool(part.scored) and texts.size(part.scored) >= _LEAST * room


def _in_blocks(pool: list[bytes], seed: int) -> list[bytes]:
    return texts.distinct((block for document in pool for block in texts.blocks(document)), set(), seed)


def _without(documents: list[bytes], held: Collection[bytes], cut: list[bytes]) -> list[bytes]:
    """Returns the documents that are not held out, nor hold a block that is, nor are blocks of a document in `cut` that is."""
    blocks = (block for document in cut if texts.digest(document) in held for block in texts.blocks(document))
    barred = frozenset(held).union(map(texts.digest, blocks))
    return [document for document in documents if barred.isdisjoint(map(texts.digest, {document, *texts.blocks(document)}))]
