"""What is text: bytes of a file as UTF-8, or a word why they are not."""

import codecs
import re
from typing import NamedTuple

from research.errors import UsageError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's mark, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PACKED = {
    "gzip": rb"\x1f\x8b",
    "bzip2": rb"BZh[1-9]1AY&SY",
    "xz": rb"\xfd7zXZ\0",
    "zstd": rb"\x28\xb5\x2f\xfd",
    "zip": rb"PK\x03\x04",
    "PDF": rb"%PDF-",
    "tar": rb"(?s:.{257})ustar",
}
_PER_INVALID = 1000  # one bad byte of so many is an accident, more are another encoding


class Decoded(NamedTuple):
    """A text in UTF-8, and how many of the bytes it was made of were replaced because they are invalid."""

    text: bytes
    replaced: int


def decoded(raw: bytes, where: str, whole: bool = True) -> Decoded:
    """Returns `raw` as UTF-8 without its byte-order mark, which says what it is encoded in; without a mark it is UTF-8.

    Invalid bytes become U+FFFD; of a file that is not `whole`, half a character at the end is left out. UsageError, naming `where`, for
    packed files, and where more than one byte in 1,000 is invalid or, in UTF-8, NUL.
    """
    if packed := next((name for name, start in _PACKED.items() if re.match(start, raw)), None):
        raise UsageError(f"{where} is a {packed} file, not text; unpack it, or narrow the glob")
    mark, codec = next((pair for pair in _MARKS if raw.startswith(pair[0])), (b"", "utf-8"))
    body = raw[len(mark) :]
    nuls = body.count(0) if codec == "utf-8" else 0
    try:
        text, invalid = _decode(body, codec, "strict", whole), 0
    except UnicodeDecodeError:
        text, invalid = _decode(body, codec, "replace", whole), len(body) - len(_decode(body, codec, "ignore", whole).encode(codec))
    if _PER_INVALID * (invalid + nuls) <= len(body):
        return Decoded(text.encode(), invalid)
    if nuls > invalid:
        raise UsageError(
            f"{where} is binary, or UTF-16 without a byte-order mark ({nuls} NUL bytes of {len(body)}); convert it, or narrow the glob"
        )
    raise UsageError(
        f"{where} is not text in {codec.upper()} ({invalid} invalid bytes of {len(body)}); convert it to UTF-8 (if it is an old Windows "
        "file: iconv -f CP1252 -t UTF-8 OLD > NEW), or narrow the glob"
    )


def _decode(body: bytes, codec: str, errors: str, whole: bool) -> str:
    return codecs.getincrementaldecoder(codec)(errors).decode(body, whole)
