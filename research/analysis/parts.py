"""A mean loss taken part by part of its batch, for first and second derivatives too."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

Sums = Callable[[Any, tuple[Any, Any]], tuple[Array, Array]]  # (params, (shared, rows)) -> summed loss, summed weight


def in_parts(sums: Sums, size: int) -> Callable[[Any, tuple[Any, Any]], Array]:
    """Returns loss(params, (shared, rows)), the mean over all rows of a tree of them, at most `size` rows at a time.

    A part's gradient is made right after its loss, in one scan, so that no part is computed twice, nor kept: what lies between a model's
    layers then stays in a processor's cache. Parts are as large as divide the rows evenly. Differentiable in params alone.
    """

    def over(function: Callable[..., Any], params: Any, batch: tuple[Any, Any]) -> Any:
        shared, rows = batch
        count = jax.tree.leaves(rows)[0].shape[0]
        own = max(divisor for divisor in range(1, min(size, count) + 1) if count % divisor == 0)
        parts = jax.tree.map(lambda leaf: leaf.reshape(-1, own, *leaf.shape[1:]), rows)
        shapes = jax.eval_shape(function, params, (shared, jax.tree.map(lambda leaf: leaf[0], parts)))
        start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return jax.lax.scan(lambda total, part: (jax.tree.map(jnp.add, total, function(params, (shared, part))), None), start, parts)[0]

    @jax.custom_vjp
    def loss(params: Any, batch: tuple[Any, Any]) -> Array:
        total, weight = over(sums, params, batch)
        return total / jnp.maximum(weight, 1.0)

    def forward(params: Any, batch: tuple[Any, Any]) -> tuple[Array, Any]:
        (total, weight), gradient = over(jax.value_and_grad(sums, has_aux=True), params, batch)
        weight = jnp.maximum(weight, 1.0)
        return total / weight, jax.tree.map(lambda leaf: leaf / weight, gradient)

    def backward(gradient: Any, scale: Array) -> tuple[Any, None]:
        return jax.tree.map(lambda leaf: scale * leaf, gradient), None

    loss.defvjp(forward, backward)
    return loss
