"""How much an update amplifies what the start already does along its directions, and how much random directions would.

The factor grows with the update's norm, hence with the learning rate and the number of steps, and random directions have a large one too.
Only its ratio to `random_amplification` tells of directions: below 1 the update lies along what the start does strongly, at 1 it is blind.
"""

import numpy as np

from research.analysis.spectra import above_rounding
from research.analysis.subspaces import leading, random_basis


def amplification(start: np.ndarray, delta: np.ndarray, rank: int) -> float:
    """Returns ||dW_r||_F / ||U^T W V||_F for the `rank` leading singular vectors U and V of an update (Hu et al. 2021, section 7.3).

    start, delta: W and dW, both (inputs, outputs); dW_r: the update cut to that rank. A rank above the update's is the update's. Infinite
    where the start maps nothing of U to V. Raises ValueError for an update of zero.
    """
    left, right, values = _directions(delta, rank)
    return _factor(values, left.T @ start @ right)


def random_amplification(start: np.ndarray, delta: np.ndarray, rank: int, draws: int, seed: int) -> np.ndarray:
    """Returns the same factor with random orthonormal U and V in place of the update's, its norm ||dW_r||_F kept; (draws,).

    Its typical value is ||dW_r||_F sqrt(inputs * outputs) / (rank ||W||_F), whatever the start's spectrum.
    """
    values, generator = _directions(delta, rank)[2], np.random.default_rng(seed)
    bases = [[random_basis(edge, values.size, generator) for edge in start.shape] for _ in range(draws)]
    return np.array([_factor(values, left.T @ start @ right) for left, right in bases])


def _directions(delta: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading singular vectors, none beyond the update's own rank, and their singular values."""
    left, right = leading(np.asarray(delta, np.float64), rank)
    values = np.diag(left.T @ delta @ right)
    held = above_rounding(values, delta.shape)
    if not held.any():
        raise ValueError("an update of zero has no directions")
    return left[:, held], right[:, held], values[held]


def _factor(values: np.ndarray, start: np.ndarray) -> float:
    along = np.linalg.norm(start)
    return float(np.linalg.norm(values) / along) if along else float("inf")
