"""Documents: distinct texts in an order that depends on their content alone."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_BLANK_LINES = re.compile(rb"\n[ \t\r]*\n\s*")
_FULL = 0.9


class Documents(NamedTuple):
    """What a source holds: its documents per split (`train` alone where it has no splits of its own) and where they are from."""

    splits: Mapping[str, list[bytes]]
    provenance: dict[str, Any]


def size(documents: Iterable[bytes]) -> int:
    """Returns the bytes of `documents` in a stream, where each is followed by one separator."""
    return sum(len(document) + 1 for document in documents)


def distinct(documents: Iterable[bytes], seen: set[bytes]) -> list[bytes]:
    """Returns the documents that are not in `seen`, in the order of the SHA-256 of their content; adds their digests to `seen`.

    A document's content is its text without NUL (the separator) and without white space at its ends, so that copies which differ in
    a last newline count as one; empty documents are dropped.
    """
    found = {}
    for document in documents:
        content = document.replace(b"\0", b"").strip()
        digest = hashlib.sha256(content).digest()
        if content and digest not in seen:
            found[digest] = content
    seen.update(found)
    return [found[digest] for digest in sorted(found)]


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


def blocks(documents: list[bytes], largest: int) -> list[bytes]:
    """Returns `documents` with each one above `largest` bytes cut into blocks of whole paragraphs (of whole lines if it has no blank line).

    A block ends with the paragraph that brings it to a quarter of `largest` bytes, so only a longer paragraph makes a longer block.
    """
    pieces: list[bytes] = []
    for document in documents:
        pieces.extend([document] if len(document) < largest else _paragraph_blocks(document, largest // 4))
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
