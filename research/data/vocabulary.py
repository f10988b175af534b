"""What a token is: the one place where another vocabulary enters."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Vocabulary:
    """Pure functions between text and token ids, and what the numbers of a stream of them mean.

    size: rows of the model's table. separator: the id that a model is fed between documents. mark: the number that stands for it in
    streams, of no token that can be scored, so that what is scored is told by weights and never by an id. dtype: of streams; holds `mark`.
    encode: of one text; encode_all: of many, faster. decode: of ids without marks.
    lengths: bytes of text that each token stands for, (size + 1,) int32; 0 for specials and the mark.
    fingerprint: says all of this; empty for bytes.
    """

    name: str
    size: int
    separator: int
    mark: int
    dtype: np.dtype
    encode: Callable[[str | bytes], np.ndarray]
    encode_all: Callable[[Sequence[bytes]], list[np.ndarray]]
    decode: Callable[[np.ndarray], str]
    lengths: np.ndarray
    fingerprint: str


def dtype_for(mark: int) -> np.dtype:
    """Returns the smallest of uint8, uint16 and int32 that holds `mark`."""
    return np.dtype(next(kind for kind in (np.uint8, np.uint16, np.int32) if mark <= np.iinfo(kind).max))


def _encode_bytes(text: str | bytes) -> np.ndarray:
    content = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return np.frombuffer(content.replace(b"\0", b""), np.uint8)


def _decode_bytes(tokens: np.ndarray) -> str:
    return np.asarray(tokens).astype(np.uint8).tobytes().decode("utf-8", "replace")


BYTES = Vocabulary(
    name="bytes",
    size=256,
    separator=0,
    mark=0,  # no text has a NUL
    dtype=dtype_for(255),
    encode=_encode_bytes,
    encode_all=lambda texts: [_encode_bytes(text) for text in texts],
    decode=_decode_bytes,
    lengths=np.array([0, *[1] * 255, 0], np.int32),
    fingerprint="",
)
