"""Documents: distinct texts in an order that depends on their content alone."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_MARK = b"\xef\xbb\xbf"
_BLANK_LINES = re.compile(rb"\n[ \t]*\n\s*")
_FULL = 0.9
Origins = dict[bytes, set[bytes]]  # the digest of a block -> those of the documents that it was cut from


class Documents(NamedTuple):
    """What a source holds: its documents per split (`train` alone where it has no splits of its own) and where they are from."""

    splits: Mapping[str, list[bytes]]
    provenance: dict[str, Any]


def size(documents: Iterable[bytes]) -> int:
    """Returns the bytes of `documents` in a stream, where each is followed by one separator."""
    return sum(len(document) + 1 for document in documents)


def digest(document: bytes) -> bytes:
    """Returns the SHA-256 by which documents are compared and ordered."""
    return hashlib.sha256(document).digest()


def distinct(documents: Iterable[bytes], seen: set[bytes]) -> list[bytes]:
    """Returns the documents that are not in `seen`, in the order of the SHA-256 of their content; adds their digests to `seen`.

    A document's content is its text without NUL (the separator), without a byte-order mark, with "\\n" as its line end and without white
    space at its ends, so that copies from another system or editor count as one; empty documents are dropped.
    """
    found = {}
    for document in documents:
        content = _content(document)
        name = digest(content)
        if content and name not in seen:
            found[name] = content
    seen.update(found)
    return [found[name] for name in sorted(found)]


def _content(document: bytes) -> bytes:
    return document.removeprefix(_MARK).replace(b"\0", b"").replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip()


def fill(documents: list[bytes], room: int, largest: int) -> tuple[list[bytes], list[bytes]]:
    """Returns (taken, left): whole documents of at most `largest` bytes, in order, until nine tenths of `room` bytes are taken.

    With `largest <= room / 4`, what is taken is less than three quarters of `room` only if no further such document exists.
    """
    taken, left, used = [], [], 0
    for document in documents:
        need = len(document) + 1
        if used < _FULL * room and need <= min(largest, room - used):
            taken.append(document)
            used += need
        else:
            left.append(document)
    return taken, left


def blocks(documents: list[bytes], largest: int, origins: Origins) -> list[bytes]:
    """Returns `documents` with each one above `largest` bytes cut into blocks of whole paragraphs (of whole lines if it has no blank line).

    A block ends with the paragraph that brings it to a quarter of `largest` bytes, so only a longer paragraph makes a longer block.
    Adds to `origins` what each block was cut from.
    """
    pieces: list[bytes] = []
    for document in documents:
        if len(document) < largest:
            pieces.append(document)
            continue
        cut, name = distinct(_paragraph_blocks(document, largest // 4), set()), digest(document)
        above = origins.pop(name, set()) | {name}  # a block that is cut again is no block any more
        for block in map(digest, cut):
            origins.setdefault(block, set()).update(above)
        pieces.extend(cut)
    return distinct(pieces, set())


def _paragraph_blocks(document: bytes, target: int) -> list[bytes]:
    paragraphs, glue = _BLANK_LINES.split(document), b"\n\n"
    if len(paragraphs) == 1:
        paragraphs, glue = document.split(b"\n"), b"\n"
    found: list[list[bytes]] = [[]]
    for paragraph in paragraphs:
        if size(found[-1]) >= target:
            found.append([])
        found[-1].append(paragraph)
    return [glue.join(block) for block in found]
