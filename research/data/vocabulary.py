"""What a token is: the one place where another vocabulary enters."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Vocabulary(NamedTuple):
    """A pair of pure functions between text and token ids; `separator` is the id put between documents and never predicted."""

    name: str
    size: int
    separator: int
    encode: Callable[[str | bytes], np.ndarray]
    decode: Callable[[np.ndarray], str]


def _encode_bytes(text: str | bytes) -> np.ndarray:
    content = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return np.frombuffer(content.replace(b"\0", b""), np.uint8)


def _decode_bytes(tokens: np.ndarray) -> str:
    return np.asarray(tokens).astype(np.uint8).tobytes().decode("utf-8", "replace")


BYTES = Vocabulary("bytes", 256, 0, _encode_bytes, _decode_bytes)
