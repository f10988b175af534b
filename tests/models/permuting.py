"""Permutations that move everything they can, for tests."""

from collections.abc import Iterable

import numpy as np

from research.models.symmetries import Symmetry


def moving(symmetries: Iterable[Symmetry], seed: int = 0) -> dict[str, np.ndarray]:
    """Returns a random permutation of each symmetry that leaves no group, and within a group no element, in its place."""
    rng = np.random.default_rng(seed)
    found = {}
    for symmetry in symmetries:
        groups = _deranged(symmetry.size // symmetry.group, rng)
        inner = np.array([_deranged(symmetry.group, rng) for _ in groups])
        found[symmetry.name] = (groups[:, None] * symmetry.group + inner).ravel()
    return found


def _deranged(size: int, rng: np.random.Generator) -> np.ndarray:
    order = rng.permutation(size)
    while size > 1 and (order == np.arange(size)).any():
        order = rng.permutation(size)
    return order
