"""Documents: distinct texts in an order that depends on their content and a seed, their excerpts and blocks."""

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_MARK = b"\xef\xbb\xbf"
_BLANK_LINES = re.compile(rb"\n[ \t]*\n\s*")
_GLUES = (b"\n\n", b"\n", b" ")  # between paragraphs, lines and words
_FULL = 0.9
_BLOCK = 512


class Documents(NamedTuple):
    """What a source holds: its documents per split (`train` alone where it has no splits of its own) and where they are from."""

    splits: Mapping[str, list[bytes]]
    provenance: dict[str, Any]


def size(documents: Iterable[bytes]) -> int:
    """Returns the bytes of `documents` in a stream, where each is followed by one separator."""
    return sum(len(document) + 1 for document in documents)


def digest(document: bytes, seed: int = 0) -> bytes:
    """Returns the SHA-256 by which documents are compared, and ordered by a seed; seed 0 is that of the content alone."""
    return hashlib.sha256(b"%d\0" % seed + document if seed else document).digest()


def distinct(documents: Iterable[bytes], seen: set[bytes], seed: int = 0) -> list[bytes]:
    """Returns the documents that are not in `seen`, in the order of the SHA-256 of seed and content; adds their digests to `seen`.

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
    return sorted(found.values(), key=lambda content: digest(content, seed))


def _content(document: bytes) -> bytes:
    return document.removeprefix(_MARK).replace(b"\0", b"").replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip()


def fill(documents: list[bytes], room: int) -> list[bytes]:
    """Returns whole documents, in order, until nine tenths of `room` bytes are taken; one that does not fit is passed over."""
    taken, used = [], 0
    for document in documents:
        need = len(document) + 1
        if used < _FULL * room and need <= room - used:
            taken.append(document)
            used += need
    return taken


def excerpt(document: bytes, most: int, seed: int) -> bytes:
    """Returns the document if it has at most `most` bytes, else so many of its whole paragraphs in a row as fit.

    Lines take the place of paragraphs where a document has no blank line, and inside a paragraph that does not fit; words inside such a
    line. Where the excerpt lies is decided by a hash of seed and content. Empty where a single word does not fit.
    """
    place = int.from_bytes(digest(b"place\0" + document, seed)[:8])
    for glue in _GLUES:
        if len(document) <= most:
            return document
        pieces = _pieces(document, glue)
        at = _start(pieces, len(glue), place, most)
        if len(pieces[at]) <= most:
            return glue.join(_around(pieces, at, most, len(glue)))
        document = pieces[at]
    return b""


def _pieces(document: bytes, glue: bytes) -> list[bytes]:
    return _BLANK_LINES.split(document) if glue == _GLUES[0] else document.split(glue)


def _start(pieces: list[bytes], gap: int, place: int, most: int) -> int:
    """Returns the piece at which an excerpt begins; the first one stands for all `most` bytes before it, so that it is read as often."""
    lengths = [len(piece) + gap for piece in pieces]
    rest = max(0, place % (sum(lengths) + most) - most)
    return next(at for at, end in enumerate(itertools.accumulate(lengths)) if rest < end)


def _around(pieces: list[bytes], at: int, most: int, gap: int) -> list[bytes]:
    """Returns a run of pieces in a row of at most `most` bytes: from piece `at` on, and before it where the document ends too early."""
    first, last, used = at, at + 1, len(pieces[at])
    while last < len(pieces) and used + gap + len(pieces[last]) <= most:
        used += gap + len(pieces[last])
        last += 1
    while last == len(pieces) and first > 0 and used + gap + len(pieces[first - 1]) <= most:
        first -= 1
        used += gap + len(pieces[first])
    return pieces[first:last]


def blocks(document: bytes) -> list[bytes]:
    """Returns a document cut into blocks of whole paragraphs (of whole lines if it has no blank line), a short one as it is.

    A block ends with the paragraph that brings it to 512 bytes, so only a longer paragraph makes a longer block. A document is cut in one
    way alone, so that its blocks are recognized in whatever source they stand.
    """
    if len(document) <= _BLOCK:
        return [document]
    glue = _GLUES[0] if _BLANK_LINES.search(document) else _GLUES[1]
    found: list[list[bytes]] = [[]]
    for piece in _pieces(document, glue):
        if sum(len(each) + len(glue) for each in found[-1]) >= _BLOCK:
            found.append([])
        found[-1].append(piece)
    return [content for block in found if (content := _content(glue.join(block)))]
