"""Parameters put into another order: the symmetries of a network applied to any tree."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from research.errors import UsageError
from research.models.symmetries import Axis, Symmetry

Permutations = Mapping[str, np.ndarray]  # by the name of a symmetry: element i becomes what element permutation[i] was


def permuted(params: Any, permutations: Permutations, symmetries: Iterable[Symmetry]) -> Any:
    """Returns the tree with each symmetry's elements in the order of its permutation: element i is the former permutation[i].

    Leaves are host arrays of their own type. A symmetry without a permutation keeps its order. Raises UsageError for leaves that are not
    there or of another length, and for what is no permutation of whole groups.
    """
    chosen = [symmetry for symmetry in symmetries if symmetry.name in permutations]
    leaves = by_path(params)
    check_axes(leaves, chosen)
    for symmetry in chosen:
        reorder(leaves, symmetry, _checked(symmetry, permutations[symmetry.name]))
    return jax.tree.unflatten(jax.tree.structure(params), list(leaves.values()))


def by_path(params: Any) -> dict[str, np.ndarray]:
    """Returns copies of a tree's leaves on the host by '/'-joined path, in the order of `jax.tree.leaves`."""
    pairs = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.array(leaf) for path, leaf in pairs}


def check_axes(leaves: Mapping[str, np.ndarray], symmetries: Iterable[Symmetry]) -> None:
    """Returns nothing; raises UsageError, naming the path, for an axis of a symmetry that the leaves do not have."""
    for symmetry in symmetries:
        for axis in symmetry.axes:
            if axis.path not in leaves:
                raise UsageError(f"symmetry {symmetry.name} is of {axis.path}; the paths are: {', '.join(leaves) or 'none'}")
            shape = of_layer(leaves[axis.path], axis).shape
            wanted = axis.tiles * _elements(symmetry, axis) * axis.block
            if len(shape) < -axis.axis or shape[axis.axis] != wanted:
                raise UsageError(f"symmetry {symmetry.name} needs {wanted} entries along axis {axis.axis} of {axis.path}, of shape {shape}")


def of_layer(leaf: np.ndarray, axis: Axis) -> np.ndarray:
    """Returns the part of a leaf that an axis is of, a view."""
    return leaf if axis.layer is None else leaf[axis.layer]


def elements(leaf: np.ndarray, axis: Axis, symmetry: Symmetry) -> np.ndarray:
    """Returns a leaf's entries by element of a symmetry, (elements, all others) in float64; groups where the axis is shared."""
    part = np.moveaxis(of_layer(leaf, axis), axis.axis, -1)
    cut = part.reshape(*part.shape[:-1], axis.tiles, _elements(symmetry, axis), axis.block)
    return np.moveaxis(cut, -2, 0).astype(np.float64).reshape(cut.shape[-2], -1)


def reorder(leaves: Mapping[str, np.ndarray], symmetry: Symmetry, permutation: np.ndarray) -> None:
    """Returns after the leaves of a symmetry are put into the order of a permutation, in place."""
    for axis in symmetry.axes:
        part = of_layer(leaves[axis.path], axis)
        order = permutation[:: symmetry.group] // symmetry.group if axis.shared else permutation
        entries = np.arange(part.shape[axis.axis]).reshape(axis.tiles, -1, axis.block)[:, order].ravel()
        part[...] = np.take(part, entries, axis.axis)


def _elements(symmetry: Symmetry, axis: Axis) -> int:
    return symmetry.size // symmetry.group if axis.shared else symmetry.size


def _checked(symmetry: Symmetry, permutation: Any) -> np.ndarray:
    """The permutation as an array, if it is one that keeps groups together."""
    order = np.asarray(permutation)
    if order.shape != (symmetry.size,) or not np.array_equal(np.sort(order), np.arange(symmetry.size)):
        raise UsageError(f"the permutation of {symmetry.name} must hold each of 0 to {symmetry.size - 1} once")
    groups = order.reshape(-1, symmetry.group) // symmetry.group
    if (groups != groups[:, :1]).any():
        raise UsageError(f"the permutation of {symmetry.name} takes apart a group of {symmetry.group}, which must stay together")
    return order
