"""One solution in the order of another: permutations that bring their weights as close as may be."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from research.analysis.permutations import by_path, check_axes, elements, permuted, reorder
from research.errors import UsageError
from research.models.symmetries import Axis, Symmetry

__all__ = ["match_permutations", "permuted"]
Leaves = Mapping[str, np.ndarray]
ROUNDING = 1e-12  # of the largest product: what is gained below it is no gain, or equal orders could follow each other for ever


def match_permutations(a: Any, b: Any, symmetries: Sequence[Symmetry], *, seed: int = 0) -> tuple[Any, dict[str, np.ndarray]]:
    """Returns b in the order that is closest to a, and the permutation of each symmetry: (`permuted(b, permutations, symmetries)`, these).

    Weight matching (Ainsworth et al. 2023, arXiv 2209.04836, algorithm 1), from b's own order: for one symmetry after the other, the
    permutation P of largest sum of <A, P B> over the leaves that it touches, with the other permutations applied, until none changes; this
    is a local optimum of the squared distance |A - P B|. Heads and their groups are matched at once. The first round goes through the
    symmetries as they are given, later ones in an order drawn by `seed`. Products are taken in float64 on the host.

    Raises UsageError for trees of different leaves or shapes, for symmetries of others, and for weights that are not finite.
    """
    fixed, moving = by_path(a), by_path(b)
    _check_alike(fixed, moving)
    check_axes(fixed, symmetries)
    neighbors = {one.name: {other.name for other in symmetries if one is not other and _touch(one, other)} for one in symmetries}
    found = {symmetry.name: np.arange(symmetry.size) for symmetry in symmetries}
    rng, order, stale = np.random.default_rng(seed), list(symmetries), set(found)
    while stale:
        for symmetry in order:
            if symmetry.name not in stale:
                continue
            stale.remove(symmetry.name)
            step = _closest(symmetry, fixed, moving)
            if not np.array_equal(step, np.arange(symmetry.size)):
                reorder(moving, symmetry, step)
                found[symmetry.name] = found[symmetry.name][step]
                stale |= neighbors[symmetry.name]
        order = [symmetries[i] for i in rng.permutation(len(symmetries))]
    return permuted(b, found, symmetries), found


def _check_alike(fixed: Leaves, moving: Leaves) -> None:
    for path in sorted(fixed.keys() ^ moving.keys()):
        raise UsageError(f"{path} is in one of the solutions only: only solutions of one model can be matched")
    for path, leaf in fixed.items():
        if leaf.shape != moving[path].shape:
            raise UsageError(f"{path} is {leaf.shape} in one solution, {moving[path].shape} in the other: only equal shapes can be matched")


def _touch(one: Symmetry, other: Symmetry) -> bool:
    """Whether two symmetries have a leaf, or a layer of a stacked one, in common."""

    def meet(x: Axis, y: Axis) -> bool:
        return x.path == y.path and (x.layer == y.layer or None in (x.layer, y.layer))

    return any(meet(x, y) for x in one.axes for y in other.axes)


def _closest(symmetry: Symmetry, fixed: Leaves, moving: Leaves) -> np.ndarray:
    """The permutation of the largest sum of products, or none at all where no other gains more than rounding."""
    groups = symmetry.size // symmetry.group
    single, whole = np.zeros((symmetry.size, symmetry.size)), np.zeros((groups, groups))
    for axis in symmetry.axes:
        products = whole if axis.shared else single
        products += elements(fixed[axis.path], axis, symmetry) @ elements(moving[axis.path], axis, symmetry).T
    if not (np.isfinite(single).all() and np.isfinite(whole).all()):
        raise UsageError(f"the weights of {symmetry.name} are not finite in both solutions: there is nothing to match")
    best, same = _assigned(single, whole, symmetry.group), np.arange(symmetry.size)
    gain = _value(best, single, whole, symmetry.group) - _value(same, single, whole, symmetry.group)
    return best if gain > ROUNDING * symmetry.size * max(np.abs(single).max(), np.abs(whole).max()) else same


def _assigned(single: np.ndarray, whole: np.ndarray, group: int) -> np.ndarray:
    """The best permutation that keeps groups together: within each pair of groups the best of their elements, then the best of groups."""
    if group == 1:
        return linear_sum_assignment(single + whole, maximize=True)[1]
    n = len(whole)
    blocks = single.reshape(n, group, n, group).transpose(0, 2, 1, 3)
    inner = np.array([[linear_sum_assignment(block, maximize=True)[1] for block in row] for row in blocks])
    gained = np.take_along_axis(blocks, inner[..., None], -1).sum((2, 3))
    outer = linear_sum_assignment(whole + gained, maximize=True)[1]
    return (outer[:, None] * group + inner[np.arange(n), outer]).ravel()


def _value(permutation: np.ndarray, single: np.ndarray, whole: np.ndarray, group: int) -> float:
    groups = permutation[::group] // group
    return float(single[np.arange(len(single)), permutation].sum() + whole[np.arange(len(whole)), groups].sum())
