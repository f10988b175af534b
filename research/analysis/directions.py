"""Directions through the space of the weights: Gaussian ones scaled as the weights, lines between solutions, trajectories' planes."""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from research.analysis.products import check_like
from research.errors import UsageError
from research.training.mesh import leaf_path

NORMALIZE = ("filter", "layer", "global")
VECTORS = ("zero", "keep")
STACKED = re.compile(r"(^|/)layers/(?!\d+(/|$))")  # 'layers/mlp/up/kernel' holds all layers, 'layers/0/mlp/up/kernel' is an entry of a list
HEADS = ("query", "key", "value")  # modules whose outputs are (heads, entries): Flax's names, and ours
ONE_FILTER = ("bias", "scale")  # vectors also where they are (heads, entries)
COLUMNS = 2**18  # weights that are read as float64 at a time
ON_A_LINE = 1e-12  # share of the variance below which a second direction is rounding


class Plane(NamedTuple):
    """The plane in which a trajectory moves most.

    directions: two orthonormal trees of float32. shares: (2,), of the variance that each explains. coordinates: (points, 2), of each
    point in the plane as seen from the last, which is at (0, 0); the first has none that is negative.
    """

    directions: tuple[Any, Any]
    shares: np.ndarray
    coordinates: np.ndarray


def gaussian(params: Any, key: Array, normalize: str = "filter", vectors: str = "zero") -> Any:
    """Returns a tree of independent standard normal numbers, scaled to the weights (Li et al. 2018, arXiv 1712.09913, section 4).

    normalize: 'filter' gives each filter of the direction the norm of the same filter of the weights, 'layer' each leaf (each layer of a
    stacked one) that of the leaf, 'global' the whole direction that of all weights. A filter is what makes one output: the slice along
    the last axis of a Flax kernel, (in, out) or (height, width, in, out); one head and entry of a (d, heads, entries) kernel of modules
    called query, key or value; the row of a table called 'embedding'. Under 'layers/' the first axis is of layers, each for itself.
    vectors: biases, scales and leaves of one axis have no filters. 'zero' leaves them where they are, as Li et al. do, under every
    normalization; 'keep' moves each of them as one filter.
    A filter of norm zero is not moved, so that a LoRA adapter whose B is zero moves in A alone except under 'global'. Leaves are float32
    or wider; integers are not moved. Raises UsageError where nothing would move. Of many keys: jax.vmap(lambda key: gaussian(params, key)).
    """
    if normalize not in NORMALIZE or vectors not in VECTORS:
        raise UsageError(f"a direction with normalize={normalize!r}, vectors={vectors!r}: there are {NORMALIZE} and {VECTORS}")
    groups = tuple(_filters(_path(path), jnp.ndim(leaf), vectors) for path, leaf in jax.tree.leaves_with_path(params))
    if not any(groups):
        raise UsageError("all weights are vectors, and vectors='zero' leaves them where they are: say vectors='keep'")
    direction, size = _scaled(params, key, normalize, groups)
    if not isinstance(size, jax.core.Tracer) and not np.any(np.asarray(size) > 0):
        raise UsageError("every filter of the weights has norm zero, so that a direction in their scale is zero: start from other weights")
    return direction


def _path(path: Sequence[Any]) -> str:
    """The path of a leaf of any tree, without the last step into a box (flax.linen.Partitioned, flax.nnx.Param)."""
    boxed = len(path) > 1 and isinstance(path[-1], jax.tree_util.GetAttrKey) and path[-1].name == "value"
    return leaf_path(path[:-1] if boxed else path)


def _filters(path: str, axes: int, vectors: str) -> tuple[int, int, int] | None:
    """Axes of a leaf [0, a) of layers, [b, c) of filters among the others; None for a vector that is not moved."""
    first = int(axes > 1 and STACKED.search(path) is not None)
    module, name = ["", "", *path.split("/")][-2:]
    if name in ONE_FILTER or axes - first <= 1:
        return (first, first, first) if vectors == "keep" else None
    if name == "embedding":
        return first, first, first + 1
    return first, first + 1 if module in HEADS and axes - first == 3 else axes - 1, axes


@functools.partial(jax.jit, static_argnames=("normalize", "groups"))
def _scaled(params: Any, key: Array, normalize: str, groups: tuple[tuple[int, int, int] | None, ...]) -> tuple[Any, Array]:
    """The direction, and a number that is zero where the direction is."""
    leaves, structure = jax.tree.flatten(params)
    wide, drawn = [], []
    for index, (leaf, group) in enumerate(zip(leaves, groups, strict=True)):
        numbers = jnp.asarray(leaf).astype(jnp.promote_types(leaf.dtype, jnp.float32))
        real = jnp.issubdtype(leaf.dtype, jnp.inexact)
        noise = jax.random.normal(jax.random.fold_in(key, index), leaf.shape, numbers.dtype)
        wide.append(numbers if real else jnp.zeros_like(numbers))
        drawn.append(noise if real and group is not None else jnp.zeros_like(numbers))
    if normalize == "global":
        factor = _ratio(_total(wide), _total(drawn))
        return jax.tree.unflatten(structure, [noise * factor for noise in drawn]), factor
    scaled = []
    for numbers, noise, group in zip(wide, drawn, groups, strict=True):
        layers, begin, end = group or (0, 0, 0)
        kept = {*range(layers), *(range(begin, end) if normalize == "filter" else ())}
        over = [axis for axis in range(noise.ndim) if axis not in kept]
        scaled.append(noise * _ratio(_norm(numbers, over), _norm(noise, over)))
    return jax.tree.unflatten(structure, scaled), _total(scaled)


def _norm(x: Array, over: Sequence[int]) -> Array:
    return jnp.sqrt(jnp.sum(x * x, axis=tuple(over), keepdims=True))


def _total(leaves: Sequence[Array]) -> Array:
    return jnp.sqrt(sum((jnp.sum(leaf * leaf) for leaf in leaves), start=jnp.zeros(())))


def _ratio(x: Array, y: Array) -> Array:
    return jnp.where(y > 0, x / jnp.where(y > 0, y, 1), 0)


def between(a: Any, b: Any) -> Any:
    """Returns the direction from weights `a` to weights `b`, at x = 1 of a profile about `a`; leaves are float32 or wider.

    Raises UsageError for solutions of different shapes.
    """
    check_like(a, b, "the second solution")

    def minus(x: Any, y: Any) -> Array:
        wide = jnp.promote_types(jnp.result_type(x), jnp.float32)
        return jnp.asarray(y, wide) - jnp.asarray(x, wide)

    return jax.tree.map(minus, a, b)


def principal(trajectory: Any) -> Plane:
    """Returns the first two principal components of a trajectory: a list of trees, or one tree with a leading axis of points.

    Centered, in float64, by the Gram matrix of the points. A share says little about the loss: of a random walk in many dimensions the
    first two components explain 6 / pi^2 + 6 / (4 pi^2) = 76 % (Antognini & Sohl-Dickstein 2018, arXiv 1806.08805).
    Raises UsageError for fewer than three points, trees of different shapes, and points on one line.
    """
    trees = trajectory if isinstance(trajectory, list) else [jax.tree.map(lambda leaf, i=i: leaf[i], trajectory) for i in _rows(trajectory)]
    if len(trees) < 3:
        raise UsageError(f"a plane of {len(trees)} points of a trajectory: at least 3 are needed")
    for index, point in enumerate(trees[1:], 1):
        check_like(trees[0], point, f"point {index} of the trajectory")
    leaves, structure = list(zip(*map(jax.tree.leaves, trees), strict=True)), jax.tree.structure(trees[0])
    gram = sum((part @ part.T for leaf in leaves for part in _parts(leaf)), np.zeros(()))
    centered = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
    values, vectors = np.linalg.eigh(centered)
    values, vectors = values[:-3:-1], vectors[:, :-3:-1]
    if not values[1] > ON_A_LINE * np.trace(centered):
        raise UsageError(
            "the points of the trajectory are on one line, or are one point: draw a profile along `between` instead of a plane"
        )
    weights = vectors / np.sqrt(values)
    coordinates = gram @ weights
    sign = np.where(coordinates[0] < 0, -1, 1)
    found = [np.concatenate([part.T @ (weights * sign) for part in _parts(leaf)]) for leaf in leaves]
    shaped = [both.T.reshape(2, *np.shape(leaf[0])).astype(np.float32) for both, leaf in zip(found, leaves, strict=True)]
    first, second = (jax.tree.unflatten(structure, [both[k] for both in shaped]) for k in (0, 1))
    return Plane((first, second), values / np.trace(centered), coordinates * sign)


def _rows(trajectory: Any) -> range:
    return range(min(leaf.shape[0] if jnp.ndim(leaf) else 0 for leaf in jax.tree.leaves(trajectory)))


def _parts(leaves: Sequence[Any]) -> Iterator[np.ndarray]:
    """The points' entries of one leaf as seen from the last point, (points, entries), some columns at a time; integers do not move."""
    flat = [np.asarray(leaf).reshape(-1) for leaf in leaves]
    scale = float(jnp.issubdtype(flat[0].dtype, jnp.inexact))
    for begin in range(0, max(flat[0].size, 1), COLUMNS):
        rows = np.stack([leaf[begin : begin + COLUMNS].astype(np.float64) for leaf in flat])
        yield scale * (rows - rows[-1])


def projected(difference: Any, directions: Sequence[Any]) -> np.ndarray:
    """Returns the coordinates (directions,) of the point of their plane that is closest to `difference`, weights minus the plane's origin.

    Least squares in float64: the directions need be neither orthogonal nor of norm 1. Raises UsageError for a direction of another tree,
    and for directions that lie on one line.
    """
    for index, direction in enumerate(directions):
        check_like(difference, direction, f"direction {index}")

    def inner(x: Any, y: Any) -> float:
        pairs = zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)
        return sum(float(np.vdot(np.asarray(a).astype(np.float64), np.asarray(b).astype(np.float64))) for a, b in pairs)

    gram = np.array([[inner(one, other) for other in directions] for one in directions])
    norms = np.sqrt(np.diag(gram))
    if not norms.all() or np.linalg.eigvalsh(gram / np.outer(norms, norms))[0] < ON_A_LINE:
        raise UsageError("the directions do not span a plane: one of them is zero, or a multiple of another")
    return np.linalg.solve(gram, [inner(difference, direction) for direction in directions])
