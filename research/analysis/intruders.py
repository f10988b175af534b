"""Intruder dimensions: leading directions of a tuned matrix that its start did not have; and how often noise has them.

Shuttleworth et al. 2024 (arXiv 2410.21228) compare the left singular vectors of weights (outputs, inputs). Matrices here are
(inputs, outputs), so the same vectors, those of the output side, are the right ones. A matrix may be a stack (..., inputs, outputs).

What counts is the alignment of single vectors. Where singular values of the start lie close, as in a Gaussian matrix, a perturbation of
the size of their distance mixes their vectors, whether or not anything was learned. So a count says little without that of a null of the
same spectrum (`rotated`) or norm (`detection`) at the same `strength`. Where they coincide in float32 the vectors are not even defined, but
the space they span is: a cosine is with that space. Of other matrices the authors' count and this one are the same.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from research.analysis.spectra import above_rounding, generator_of
from research.analysis.subspaces import random_basis

TOP = 10
EPS = 0.5
PARTS = ("intruders", "others", "update")


def overlaps(start: np.ndarray, tuned: np.ndarray, top: int = TOP) -> np.ndarray:
    """Returns for the leading output-side singular vectors of `tuned` the largest |cosine| with one of the start's; (..., top).

    All the start's vectors with a singular value above rounding are compared, at most min(inputs, outputs). Where that is fewer than there
    are outputs they do not span the outputs: a direction outside their span has overlap 0, and one that mixes all k of them evenly has
    1 / sqrt(k), which is also the least that a vector within the span can have. `top` is capped at min(inputs, outputs); NaN stands beyond
    the rank of `tuned`, where a singular vector is arbitrary.
    """
    _, values, right = _svd(tuned, top)
    return _overlaps(start, values, right)


def intruders(start: np.ndarray, tuned: np.ndarray, top: int = TOP, eps: float = EPS) -> np.ndarray:
    """Returns how many of the `top` leading output-side singular vectors of `tuned` overlap with none of the start's by eps; (...).

    A `top` above the rank of `tuned` is that rank: see `overlaps`. The authors take top 10 and eps 0.5.
    """
    return np.sum(overlaps(start, tuned, top) < eps, axis=-1)


def scaled(start: np.ndarray, tuned: np.ndarray, factor: float, top: int = TOP, eps: float = EPS, part: str = PARTS[0]) -> np.ndarray:
    """Returns `tuned` with a part of it times `factor`, all else as it was; (..., inputs, outputs).

    part: `intruders`, their singular values, in the decomposition of the tuned matrix and not of its update: the intervention of the
    authors. `others`, its null: those of as many leading directions that are no intruders. `update`: only what the update has along the
    intruders' output directions, and nothing of what the start has there. Without intruders `tuned` itself is returned to the last digit.
    Raises ValueError for another part.
    """
    if part not in PARTS:
        raise ValueError(f"no part {part!r}; there are {', '.join(PARTS)}")
    left, values, right = _svd(tuned)
    leading = _overlaps(start, values[..., :top], right[..., :top]) < eps
    flagged = np.zeros(values.shape, bool)
    flagged[..., : leading.shape[-1]] = leading
    tuned = np.asarray(tuned, np.float64)
    if part == "update":
        directions = right * flagged[..., None, :]
        return tuned + (factor - 1) * (tuned - start) @ directions @ directions.mT
    if part == "others":
        flagged = ~flagged & (np.cumsum(~flagged, axis=-1) <= flagged.sum(axis=-1, keepdims=True))
    return tuned + (left * np.where(flagged, (factor - 1) * values, 0)[..., None, :]) @ right.mT


def rotated(delta: np.ndarray, seed: int, name: str) -> np.ndarray:
    """Returns a matrix of the same singular values with Haar-random singular vectors, a pure function of (values, shape, seed, name).

    The null of an update that keeps its spectrum: what an update of these singular values does that knows nothing of its start.
    """
    return _with_values(_svd(delta)[1], delta.shape, generator_of(seed, name))


def strength(start: np.ndarray, delta: np.ndarray, top: int = TOP) -> np.ndarray:
    """Returns ||dW||_2 / sigma_top(W0), the update's largest singular value over the start's top-th; (...).

    A `top` above the start's rank is that rank. Infinite for a start of zero.
    """
    values = _svd(start, top)[1]
    least = np.min(values, axis=-1, where=above_rounding(values, np.shape(start)), initial=np.inf)
    largest = _svd(delta, 1)[1][..., 0]
    return np.where(np.isfinite(least), largest / least, np.inf)


class Trial(NamedTuple):
    """A random start and what is added to it.

    spectrum: "flat" (Gaussian entries), "power" (sigma_i = i^-1/2, Haar-random vectors) or singular values, min(shape) of them.
    rank: of the Gaussian perturbation; None: full, so that whatever is flagged is a false positive.
    """

    spectrum: str | Sequence[float] | np.ndarray
    shape: tuple[int, int]
    rank: int | None = None
    draws: int = 5
    seed: int = 0


def detection(trial: Trial, strengths: Sequence[float], top: int = TOP, eps: float = EPS) -> np.ndarray:
    """Returns the share of the top vectors that are flagged, by draw and strength; (draws, strengths).

    A strength is the perturbation's Frobenius norm over the start's. A draw adds the same direction at every strength. Raises ValueError
    for a spectrum of an unknown name or of another length than the shape has.
    """
    with threadpool_limits(1, "blas"):
        pairs = [_drawn(trial, generator_of(trial.seed, f"draw {draw}")) for draw in range(trial.draws)]
        start, added = (np.stack(matrices)[:, None] for matrices in zip(*pairs, strict=True))
        return intruders(start, start + np.reshape(strengths, (-1, 1, 1)) * added, top, eps) / min(top, *trial.shape)


def _svd(matrix: np.ndarray, top: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading singular triples of each matrix, vectors in columns."""
    left, values, right = np.linalg.svd(np.asarray(matrix, np.float64), full_matrices=False)
    return left[..., :top], values[..., :top], right[..., :top, :].mT


def _overlaps(start: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    _, sizes, right = _svd(start)
    held = above_rounding(sizes, np.shape(start))[..., None, :]
    equal = np.abs(sizes[..., None] - sizes[..., None, :]) <= sizes[..., :1, None] * np.finfo(np.float32).eps
    cosines = np.sqrt((np.square(vectors.mT @ right) * held) @ equal).max(axis=-1)
    return np.where(above_rounding(values, np.shape(start)), cosines, np.nan)


def _drawn(trial: Trial, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A start and a perturbation of its Frobenius norm."""
    rows, columns = trial.shape
    if isinstance(trial.spectrum, str) and trial.spectrum == "flat":
        start = generator.standard_normal(trial.shape)
    else:
        start = _with_values(_values(trial), trial.shape, generator)
    if trial.rank is None:
        added = generator.standard_normal(trial.shape)
    else:
        added = generator.standard_normal((rows, trial.rank)) @ generator.standard_normal((trial.rank, columns))
    return start, added * (np.linalg.norm(start) / np.linalg.norm(added))


def _values(trial: Trial) -> np.ndarray:
    if isinstance(trial.spectrum, str):
        if trial.spectrum != "power":
            raise ValueError(f"no spectrum {trial.spectrum!r}; there are flat and power, or an array of singular values")
        return np.arange(1, min(trial.shape) + 1) ** -0.5
    return np.asarray(trial.spectrum, np.float64)


def _with_values(values: np.ndarray, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    if values.shape != (min(shape),):
        raise ValueError(f"{values.size} singular values for a matrix of shape {shape}")
    left, right = (random_basis(edge, values.size, generator) for edge in shape)
    return (left * values) @ right.T
