"""Tensors in files: known from headers alone, read one at a time."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gguf
import ml_dtypes
import numpy as np

from research.errors import UsageError

TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
BLOCK = 1 << 22  # numbers that are dequantized, and bytes that are hashed, at once


class Tensor(NamedTuple):
    """Where a tensor lies: its shape in PyTorch's order, its type (F32, BF16, Q4_1, ...), and its bytes in a file."""

    shape: tuple[int, ...]
    dtype: str
    path: Path
    offset: int
    nbytes: int

    @property
    def size(self) -> int:
        """Returns how many numbers it holds."""
        return int(np.prod(self.shape, dtype=np.int64))


@functools.cache
def readable(dtype: str) -> bool:
    """Returns whether `read` knows numbers of this type: those of TYPES, and what the gguf package can dequantize."""
    if dtype in TYPES or dtype not in gguf.GGMLQuantizationType.__members__:
        return dtype in TYPES
    kind = gguf.GGMLQuantizationType[dtype]
    try:
        gguf.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return False
    return True


def read(tensor: Tensor) -> np.ndarray:
    """Returns a tensor's numbers: in the type of the file, or as float32 where the file is quantized, which is undone block by block."""
    if tensor.dtype in TYPES:
        return _numbers(tensor, np.dtype(TYPES[tensor.dtype]), tensor.offset, tensor.size).reshape(tensor.shape)
    kind = gguf.GGMLQuantizationType[tensor.dtype]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    width = tensor.shape[-1]
    out, stride = np.empty((tensor.size // width, width), np.float32), width // block * size
    step = max(1, BLOCK // width)
    for first in range(0, len(out), step):
        rows = min(step, len(out) - first)
        packed = _numbers(tensor, np.dtype(np.uint8), tensor.offset + first * stride, rows * stride)
        out[first : first + rows] = gguf.dequantize(packed.reshape(rows, stride), kind)
    return out.reshape(tensor.shape)


def raw(tensor: Tensor) -> Iterator[np.ndarray]:
    """Yields a tensor's bytes as they lie in the file, a piece at a time."""
    for first in range(0, tensor.nbytes, BLOCK):
        yield _numbers(tensor, np.dtype(np.uint8), tensor.offset + first, min(BLOCK, tensor.nbytes - first))


def _numbers(tensor: Tensor, dtype: np.dtype, offset: int, count: int) -> np.ndarray:
    found = np.fromfile(tensor.path, dtype, count, offset=offset)
    if found.size < count:
        raise UsageError(f"{tensor.path} ends {(count - found.size) * dtype.itemsize} bytes too early; copy or download it again")
    return found
