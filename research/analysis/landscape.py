"""The loss along lines and over planes of weights: profiles, surfaces and barriers, each of them one program on a fixed batch."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from research.analysis.products import check_like
from research.errors import UsageError
from research.training.spread import spread

Loss = Callable[[Any, Any], Any]  # (params, batch) -> scalar


class Barrier(NamedTuple):
    """The loss on the line between two solutions.

    height: largest loss above the straight line between the losses of the ends, over the inner points; it may be negative, and is nan
    where a loss on the line is. at: where it is, 0 at the first solution, 1 at the second. xs, losses: (points,), ends included.
    """

    height: float
    at: float
    xs: np.ndarray
    losses: np.ndarray


def profile(loss: Loss, params: Any, batch: Any, directions: Any, xs: Sequence[float] | np.ndarray, at_once: int = 1) -> np.ndarray:
    """Returns the losses (directions, len(xs)) of params + x direction, for each of the directions along the leading axis of their tree.

    at_once: how many points a device computes side by side: memory for speed. Losses that are no numbers stay so: count them. A loss is
    compiled once for each shape, if it is the same function object; the sums are rounded to the type of the weights.
    Raises UsageError for a direction of another tree, and without points.
    """
    counts = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(directions)}
    if len(counts) != 1 or counts == {()}:
        raise UsageError("the directions of a profile are one tree with a leading axis of directions: jax.tree.map(lambda x: x[None], one)")
    check_like(params, jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), directions), "a direction")
    n, values = counts.pop()[0], _points(xs)
    which, along = np.repeat(np.arange(n, dtype=np.int32), values.size), np.tile(values, n)
    return np.asarray(_on_lines(loss, at_once)((which, along), params, directions, batch)).reshape(n, values.size)


def surface(
    loss: Loss, params: Any, batch: Any, directions: tuple[Any, Any], xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Returns the losses (len(ys), len(xs)) of params + x directions[0] + y directions[1], as `profile` does."""
    for direction, name in zip(directions, ("the first direction", "the second direction"), strict=True):
        check_like(params, direction, name)
    columns, rows = _points(xs), _points(ys)
    points = np.tile(columns, rows.size), np.repeat(rows, columns.size)
    return np.asarray(_on_a_plane(loss)(points, params, tuple(directions), batch)).reshape(rows.size, columns.size)


def barrier(loss: Loss, a: Any, b: Any, batch: Any, points: int = 11) -> Barrier:
    """Returns the barrier between two solutions: Frankle et al. 2020 (arXiv 1912.05671), with the line of the ends instead of their mean.

    points: on the line, evenly, both ends included. Raises UsageError for fewer than three, and for solutions of different shapes.
    """
    if points < 3:
        raise UsageError(f"a barrier of {points} points: at least 3 are needed, the ends among them")
    check_like(a, b, "the second solution")
    xs = np.linspace(0, 1, points)
    losses = np.asarray(_from_end_to_end(loss)(xs.astype(np.float32), a, b, batch), float)
    above = (losses - (1 - xs) * losses[0] - xs * losses[-1])[1:-1]
    if np.isnan(above).any():
        return Barrier(np.nan, np.nan, xs, losses)
    return Barrier(float(above.max()), float(xs[1 + above.argmax()]), xs, losses)


def _points(xs: Sequence[float] | np.ndarray) -> np.ndarray:
    values = np.asarray(xs, jax.dtypes.canonicalize_dtype(float))
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise UsageError("the points of a grid are a list of finite numbers, at least one")
    return values


def _moved(leaf: Array, step: Array) -> Array:
    return (leaf + step).astype(leaf.dtype)


@functools.lru_cache(maxsize=32)
def _on_lines(loss: Loss, at_once: int) -> Callable[..., Any]:
    def at(point: tuple[Array, Array], params: Any, directions: Any, batch: Any) -> Array:
        which, x = point
        return loss(jax.tree.map(lambda leaf, lines: _moved(leaf, x * lines[which]), params, directions), batch)

    return spread(at, at_once=at_once)


@functools.lru_cache(maxsize=32)
def _on_a_plane(loss: Loss) -> Callable[..., Any]:
    def at(point: tuple[Array, Array], params: Any, plane: tuple[Any, Any], batch: Any) -> Array:
        x, y = point
        return loss(jax.tree.map(lambda leaf, first, second: _moved(leaf, x * first + y * second), params, *plane), batch)

    return spread(at)


@functools.lru_cache(maxsize=32)
def _from_end_to_end(loss: Loss) -> Callable[..., Any]:
    def at(x: Array, a: Any, b: Any, batch: Any) -> Array:
        def between(first: Array, last: Array) -> Array:
            way = last.astype(jnp.promote_types(last.dtype, jnp.float32)) - first
            return jnp.where(x < 0.5, first + x * way, last - (1 - x) * way).astype(first.dtype)  # each end exactly, and both where equal

        return loss(jax.tree.map(between, a, b), batch)

    return spread(at)
