"""How a trajectory moves, and how close it is to where it would no longer converge; pure functions, of traced arrays too."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from research.errors import UsageError

Product = Callable[[Any, Any, Any], Any]  # (params, batch, vector) -> tree


class NoiseScale(NamedTuple):
    """The gradient noise scale tr(covariance of one example's gradient) / |mean gradient|^2, in examples.

    noise and signal are unbiased for numerator and denominator. The scale is nan where the signal is not positive: too few gradients.
    """

    scale: float
    noise: float
    signal: float


def _wide(leaf: Any) -> Array:
    return jnp.asarray(leaf).astype(jnp.promote_types(jnp.result_type(leaf), jnp.float32))


def _inner(x: Any, y: Any) -> Array:
    products = jax.tree.map(lambda a, b: jnp.sum(_wide(a) * _wide(b)), x, y)
    return jax.tree.reduce(jnp.add, products, jnp.zeros(()))


def distance(params: Any, start: Any) -> Array:
    """Returns the Euclidean distance between two trees of weights."""
    gone = jax.tree.map(lambda a, b: _wide(a) - _wide(b), params, start)
    return jnp.sqrt(_inner(gone, gone))


def path_ratio(norms: Any, distance: Any) -> Array:
    """Returns the length of a path over the distance between its ends: 1 on a straight line, larger the more it winds.

    norms: (..., steps), of every step's update; distance: (...). Infinite for a path that came back, nan for one that never left.
    """
    return jnp.sum(_wide(norms), axis=-1) / _wide(distance)


def cosine(update: Any, previous: Any) -> Array:
    """Returns the cosine between two updates: near -1 across a ravine, near 1 along a slope; nan where one of them is zero."""
    return _inner(update, previous) / jnp.sqrt(_inner(update, update) * _inner(previous, previous))


def squared_norms(loss: Callable[[Any, Any], Array], params: Any, shared: Any, rows: Array) -> tuple[Array, Array]:
    """Returns squared norms of gradients of loss(params, (shared, rows)): on single rows, (rows,), and of their mean; traced."""

    def one(total: Any, row: Array) -> tuple[Any, Array]:
        gradient = jax.grad(loss)(params, (shared, row[None]))
        return jax.tree.map(jnp.add, total, gradient), _inner(gradient, gradient)

    total, single = jax.lax.scan(one, jax.tree.map(jnp.zeros_like, params), rows)
    return single, _inner(total, total) / len(rows) ** 2


def noise_scale(small: Sequence[float] | np.ndarray, large: Sequence[float] | np.ndarray, sizes: tuple[int, int]) -> NoiseScale:
    """Returns the gradient noise scale from squared norms of gradients on batches of two sizes.

    small, large: squared norms at one point of the path, any number of each; sizes: examples in a batch of each, drawn independently.
    McCandlish et al. 2018 (arXiv 1812.06162), appendix A.1: E |G_B|^2 = |G|^2 + tr(S) / B for both sizes, solved for |G|^2 and tr(S), which
    are averaged apart, for the mean of ratios is biased. Raises UsageError for sizes that do not grow, and where one has no gradient.
    """
    few, many = sizes
    if not 0 < few < many or not np.size(small) or not np.size(large):
        counts = f"{np.size(small)} gradients on {few} examples and {np.size(large)} on {many}"
        raise UsageError(f"a noise scale of {counts}: gradients on batches of two sizes are needed, the smaller first")
    of_few, of_many = float(np.mean(np.asarray(small, float))), float(np.mean(np.asarray(large, float)))
    signal = (many * of_many - few * of_few) / (many - few)
    noise = (of_few - of_many) / (1 / few - 1 / many)
    return NoiseScale(noise / signal if signal > 0 else np.nan, noise, signal)


def stability_limit(learning_rate: Any, optimizer: str, b1: float = 0.9) -> Any:
    """Returns the largest eigenvalue of the (preconditioned) Hessian with which steps of this rate do not diverge on a quadratic.

    'gd': 2 / rate. 'adam': (2 + 2 b1) / ((1 - b1) rate), with the Hessian of `preconditioned` held still (Cohen et al. 2022, arXiv
    2207.14484; with b1 = 0.9 it is 38 / rate).
    """
    if optimizer not in ("gd", "adam"):
        raise UsageError(f"the stability limit of {optimizer!r}: there are 'gd' and 'adam'")
    return 2 / learning_rate if optimizer == "gd" else (2 + 2 * b1) / ((1 - b1) * learning_rate)


def preconditioned(product: Product, nu: Any, count: Any, b2: float, eps: float, b1: float = 0.0) -> Product:
    """Returns the product with D^-1/2 H D^-1/2, whose eigenvalues are those of D^-1 H: what Adam's steps see of a curvature.

    D = sqrt(nu / (1 - b2^count)) + eps for Adam's second moment `nu`, a tree like the parameters, after `count` steps, bias-corrected
    (Cohen et al. 2022, arXiv 2207.14484). With b1, D carries (1 - b1^count) too: Adam's first steps are longer by its inverse. Make it
    where nu and count are traced, inside of the program that uses it, so that no other state compiles it again.
    """

    def root(leaf: Any) -> Array:
        return jnp.sqrt((1 - b1**count) * (jnp.sqrt(_wide(leaf) / (1 - b2**count)) + eps))

    def found(params: Any, batch: Any, vector: Any) -> Any:
        scaled = jax.tree.map(lambda leaf, second: (leaf / root(second)).astype(leaf.dtype), vector, nu)
        return jax.tree.map(lambda leaf, second: leaf / root(second), product(params, batch, scaled), nu)

    return found
