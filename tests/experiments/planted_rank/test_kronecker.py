"""Kronecker factors: where they are exact, and what they say of the divergence that an update costs."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from experiments.planted_rank.kronecker import DAMPING, factors, inverse_root
from research.adapters.sites import find_sites
from research.models.model import Batch, from_linen

INPUTS = np.random.default_rng(0).standard_normal((40_000, 4)).astype(np.float32) @ np.diag([2.0, 1.0, 1.0, 0.5]).astype(np.float32)
BATCH = {"inputs": jnp.asarray(INPUTS)}


class Softmax(nn.Module):
    @nn.compact
    def __call__(self, batch: Batch, deterministic: bool = True) -> Any:
        return nn.Dense(3, use_bias=False, kernel_init=nn.initializers.normal(0.1), name="head")(batch["inputs"])


MODEL = from_linen(Softmax())
PARAMS = MODEL.init(jax.random.key(0), BATCH)["params"]
SITES = list(find_sites(MODEL, PARAMS, BATCH).values())


def test_the_factors_of_a_softmax_are_its_inputs_and_its_covariance() -> None:
    found = factors(MODEL, PARAMS, BATCH, SITES, jax.random.key(1))["params/head/kernel"]
    np.testing.assert_allclose(found.inputs, INPUTS.T @ INPUTS / len(INPUTS), rtol=1e-4, atol=1e-4)
    p = np.asarray(jax.nn.softmax(MODEL.apply({"params": PARAMS}, BATCH).logits))
    expected = np.diag(p.mean(0)) - p.T @ p / len(p)
    np.testing.assert_allclose(found.outputs, expected, atol=0.01)


def test_a_small_update_costs_what_the_factors_say() -> None:
    found = factors(MODEL, PARAMS, BATCH, SITES, jax.random.key(1))["params/head/kernel"]
    update = 0.05 * np.random.default_rng(2).standard_normal((4, 3))
    before, after = (jax.nn.log_softmax(INPUTS @ (PARAMS["head"]["kernel"] + d)) for d in (0.0, update))
    exact = float((jnp.exp(before) * (before - after)).sum(-1).mean())
    predicted = 0.5 * np.trace(found.inputs @ update @ found.outputs @ update.T)
    np.testing.assert_allclose(predicted, exact, rtol=0.1)


def test_the_inverse_root_whitens() -> None:
    moment = INPUTS.T @ INPUTS / len(INPUTS)
    root = inverse_root(moment)
    values = np.linalg.eigvalsh(moment)
    np.testing.assert_allclose(np.linalg.eigvalsh(root @ moment @ root), np.sort(values / (values + DAMPING * values.mean())), rtol=1e-5)
