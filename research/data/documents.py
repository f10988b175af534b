"""Documents: distinct texts in an order that depends on their content and a seed, their excerpts and blocks."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_MARK = b"\xef\xbb\xbf"
_BREAKS = tuple(map(re.compile, (rb"\n(?:[ \t]*\n)+", rb"\n", rb" ")))  # between paragraphs, lines and words
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
    if len(document) <= most:
        return document
    place = int.from_bytes(digest(b"place\0" + document, seed)[:8])
    for between in _BREAKS:
        spans = _spans(document, between)
        # The first piece stands for the `most` bytes before the document, so that its beginning is read as often as any other place.
        offset = max(0, place % (len(document) + most) - most)
        start, end = _around(spans, next(at for at, (_, end) in enumerate(spans) if offset < end), most)
        document = document[start:end]
        if len(document) <= most:
            return document
    return b""


def _spans(document: bytes, between: re.Pattern[bytes]) -> list[tuple[int, int]]:
    """Returns where the pieces of a document begin and end."""
    breaks = [found.span() for found in between.finditer(document)]
    return list(zip([0, *(end for _, end in breaks)], [*(start for start, _ in breaks), len(document)], strict=True))


def _around(spans: list[tuple[int, int]], at: int, most: int) -> tuple[int, int]:
    """Returns where a run of pieces of at most `most` bytes lies: from piece `at` on, and before it where the document ends too early.

    It is piece `at` alone if that has more bytes.
    """
    first = last = at
    while last + 1 < len(spans) and spans[last + 1][1] - spans[first][0] <= most:
        last += 1
    while last + 1 == len(spans) and first > 0 and spans[last][1] - spans[first - 1][0] <= most:
        first -= 1
    return spans[first][0], spans[last][1]


def blocks(document: bytes) -> list[bytes]:
    """Returns a document cut into blocks of whole paragraphs (of whole lines if it has no blank line), a short one as it is.

    A block ends with the paragraph that brings it to 512 bytes, so only a longer paragraph makes a longer block. A document is cut in one
    way alone, so that its blocks are recognized in whatever source they stand.
    """
    if len(document) <= _BLOCK:
        return [document]
    spans = _spans(document, _BREAKS[0])
    found, start = [], 0
    for _, end in spans if len(spans) > 1 else _spans(document, _BREAKS[1]):
        if end - start >= _BLOCK or end == len(document):
            found.append(_content(document[start:end]))
            start = end
    return [block for block in found if block]
