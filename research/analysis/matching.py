"""One solution in the order of another: permutations that bring their weights as close as may be."""

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from research.analysis.permutations import by_path, check_axes, elements, permuted, reorder
from research.errors import UsageError
from research.models.symmetries import Axis, Symmetry

__all__ = ["match_permutations", "permuted"]
Leaves = Mapping[str, np.ndarray]
ROUNDING = 1e-12  # of the largest product: what is gained below it is no gain, or equal orders could follow each other for ever


class _State(NamedTuple):
    """What a round works on: the leaves of both, one's in the order found so far, and for each axis who else moves its leaf."""

    fixed: Leaves
    moving: Leaves
    found: dict[str, np.ndarray]
    others: dict[str, list[set[str]]]


def match_permutations(a: Any, b: Any, symmetries: Sequence[Symmetry], *, seed: int = 0) -> tuple[Any, dict[str, np.ndarray]]:
    """Returns b in the order that is closest to a, and the permutation of each symmetry: (`permuted(b, permutations, symmetries)`, these).

    Weight matching (Ainsworth et al. 2023, arXiv 2209.04836, algorithm 1): for one symmetry after the other, the permutation P of largest
    sum of <A, P B> over the leaves that it touches, with the other permutations applied, until none changes; this is a local optimum of the
    squared distance |A - P B|. Heads and their groups are matched at once. Products are taken in float64 on the host.

    Where it starts is ours: the first round goes through the symmetries as they are given, and each is matched by those leaves alone whose
    other symmetries were before it, a decoder's stream by embedding, norms and head; in b's own order the other leaves would be noise. If
    that ends further from a than b is as it came, b's own order is the start. Later rounds have an order drawn by `seed`.

    Raises UsageError for trees of different leaves or shapes, for symmetries of others, and for weights that are not finite.
    """
    fixed, moving = by_path(a), by_path(b)
    _check_alike(fixed, moving)
    check_axes(fixed, symmetries)
    _check_once(symmetries)
    names, others = {symmetry.name for symmetry in symmetries}, _others(symmetries)
    as_it_came = _State(fixed, moving, {symmetry.name: np.arange(symmetry.size) for symmetry in symmetries}, others)
    state = _State(fixed, by_path(b), dict(as_it_came.found), others)
    stale = _round(state, symmetries, names, unknown=set(names))
    if _products(state) < _products(as_it_came):
        state, stale = as_it_came, names
    rng = np.random.default_rng(seed)
    while stale:
        stale = _round(state, [symmetries[i] for i in rng.permutation(len(symmetries))], stale, unknown=set())
    return permuted(b, state.found, symmetries), state.found


def _round(state: _State, order: Sequence[Symmetry], stale: Set[str], unknown: set[str]) -> set[str]:
    """The names that are to be matched again after a round, because of what moved after them or was not yet known before."""
    left = set(stale)
    for symmetry in order:
        if symmetry.name not in left:
            continue
        unknown.discard(symmetry.name)
        pairs = zip(symmetry.axes, state.others[symmetry.name], strict=True)
        known = tuple(axis for axis, others in pairs if not others & unknown)
        if len(known) == len(symmetry.axes):
            left.remove(symmetry.name)
        step = _closest(symmetry._replace(axes=known), state.fixed, state.moving)
        if not np.array_equal(step, np.arange(symmetry.size)):
            reorder(state.moving, symmetry, step)
            state.found[symmetry.name] = state.found[symmetry.name][step]
            left |= set().union(*state.others[symmetry.name])
    return left


def _others(symmetries: Sequence[Symmetry]) -> dict[str, list[set[str]]]:
    """For each axis of a symmetry, the names of the others that move the same leaf, or the same layer of a stacked one."""
    movers: dict[str, list[tuple[str, int | None]]] = {}
    for symmetry in symmetries:
        for axis in symmetry.axes:
            movers.setdefault(axis.path, []).append((symmetry.name, axis.layer))

    def of(axis: Axis) -> set[str]:
        return {name for name, layer in movers[axis.path] if layer == axis.layer or None in (layer, axis.layer)}

    return {symmetry.name: [of(axis) - {symmetry.name} for axis in symmetry.axes] for symmetry in symmetries}


def _products(state: _State) -> float:
    """The sum of <A, P B> over all leaves, which is larger the closer they are: no order changes their norms."""
    return sum(float(np.vdot(leaf.astype(np.float64), state.moving[path].astype(np.float64))) for path, leaf in state.fixed.items())


def _check_alike(fixed: Leaves, moving: Leaves) -> None:
    for path in sorted(fixed.keys() ^ moving.keys()):
        raise UsageError(f"{path} is in one of the solutions only: only solutions of one model can be matched")
    for path, leaf in fixed.items():
        if leaf.shape != moving[path].shape:
            raise UsageError(f"{path} is {leaf.shape} in one solution, {moving[path].shape} in the other: only equal shapes can be matched")


def _check_once(symmetries: Sequence[Symmetry]) -> None:
    for symmetry in symmetries:
        places = [(axis.path, axis.layer) for axis in symmetry.axes]
        for path, _ in (place for place in places if places.count(place) > 1):
            raise UsageError(f"symmetry {symmetry.name} moves two axes of {path}: weight matching is for one at a time")


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
