"""A loss in parts is the whole one, with its first and second derivatives, whatever divides the rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis.parts import in_parts
from research.analysis.products import hvp


def sums(params: dict, batch: tuple) -> tuple[jax.Array, jax.Array]:
    shared, (x, weights) = batch
    losses = jnp.tanh(x @ params["w"]).sum(1) ** 2 + jnp.sin(shared * params["b"])
    return (losses * weights).sum(), weights.sum()


def whole(params: dict, batch: tuple) -> jax.Array:
    total, weight = sums(params, batch)
    return total / weight


@pytest.mark.parametrize("size", [1, 4, 5, 12, 100])
def test_a_loss_in_parts_is_the_whole_one(size: int) -> None:
    keys = jax.random.split(jax.random.key(0), 4)
    params = {"w": jax.random.normal(keys[0], (3, 2)), "b": jnp.float32(0.3)}
    along = {"w": jax.random.normal(keys[1], (3, 2)), "b": jnp.float32(-1.0)}
    batch = jnp.float32(2.0), (jax.random.normal(keys[2], (12, 3)), jax.random.uniform(keys[3], (12,)))
    loss = in_parts(sums, size)
    for found, expected in (
        (loss(params, batch), whole(params, batch)),
        (jax.grad(loss)(params, batch), jax.grad(whole)(params, batch)),
        (hvp(loss, params, batch, along), hvp(whole, params, batch, along)),
    ):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), found, expected)
