"""Singular values of updates, and of noise of the same size."""

import math
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from research.tree import first_match

INPUT_AXES: tuple[tuple[str, int], ...] = ((r"/attention/out/kernel$", 2), (r"", 1))


def as_matrix(path: str, array: np.ndarray, input_axes: Sequence[tuple[str, int]] = INPUT_AXES) -> np.ndarray:
    """Returns a parameter or its update as a matrix (inputs, outputs).

    `input_axes` are rules (pattern over the path, number of leading axes that are inputs), of which the first match holds. The default
    knows the decoder's unrolled layers: attention/out maps (heads, head size), every other matrix one axis. Raises ValueError for a
    vector.
    """
    array = np.asarray(array, dtype=np.float64)
    split = first_match(input_axes, path, "rule of input axes")
    if array.ndim <= split:
        raise ValueError(f"{path} of shape {array.shape} is not a matrix with {split} input axes")
    return array.reshape(math.prod(array.shape[:split]), -1)


def singular_values(deltas: Mapping[str, np.ndarray], input_axes: Sequence[tuple[str, int]] = INPUT_AXES) -> dict[str, np.ndarray]:
    """Returns the singular values, descending, of each update by path; (min(inputs, outputs),) each, a thread for each matrix."""

    def values(path: str) -> np.ndarray:
        return np.linalg.svd(as_matrix(path, deltas[path], input_axes), compute_uv=False)

    with threadpool_limits(1, "blas"), ThreadPoolExecutor() as pool:
        return dict(zip(deltas, pool.map(values, deltas), strict=True))


def mean_spectrum(deltas: Mapping[str, np.ndarray], input_axes: Sequence[tuple[str, int]] = INPUT_AXES) -> np.ndarray:
    """Returns singular values divided by the update's Frobenius norm, averaged over the matrices; as many as the smallest one has.

    The squares of one full spectrum sum to 1. Raises ValueError for no update and for one that is zero, which has no direction.
    """
    spectra = singular_values(deltas, input_axes)
    if not spectra:
        raise ValueError("no update to take a spectrum of")
    still = [path for path, values in spectra.items() if values[0] == 0]
    if still:
        raise ValueError(f"the update of {', '.join(still)} is zero")
    common = min(values.size for values in spectra.values())
    return np.mean([values[:common] / np.linalg.norm(values) for values in spectra.values()], axis=0)


def energy_rank(values: np.ndarray, share: float = 0.9) -> int:
    """Returns the least rank whose singular values hold `share` of the sum of all their squares; 0 for a matrix of zeros.

    The order of `values` does not matter. Raises ValueError for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share is in (0, 1], not {share}")
    held = np.cumsum(np.sort(np.square(values, dtype=np.float64))[::-1])
    return int(np.searchsorted(held, share * held[-1] * (1 - 1e-12))) + 1 if held[-1] > 0 else 0


def above_rounding(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns which singular values (..., k), descending, of matrices (..., inputs, outputs) are above the rounding of float32 weights.

    Vectors of the others are arbitrary. The tolerance is numpy.linalg.matrix_rank's.
    """
    return values > values[..., :1] * max(shape[-2:]) * np.finfo(np.float32).eps


def generator_of(seed: int, name: str) -> np.random.Generator:
    """Returns the random numbers of one matrix, a pure function of (seed, name)."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def noise_like(deltas: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Returns Gaussian noise of each update's shape and Frobenius norm, a pure function of (seed, path)."""

    def noise(path: str) -> np.ndarray:
        drawn = generator_of(seed, path).standard_normal(np.shape(deltas[path]))
        return drawn * (np.linalg.norm(deltas[path]) / np.linalg.norm(drawn))

    with threadpool_limits(1, "blas"), ThreadPoolExecutor() as pool:
        return dict(zip(deltas, pool.map(noise, deltas), strict=True))
