"""Causal attention against the one of JAX, in value and gradient, with and without chunks."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.models import attention
from research.models.attention import causal_attention, executed_pairs


def drawn(length: int, heads: int, shared: int, dtype: str) -> list[jax.Array]:
    shapes = [(2, length, heads, 4), (2, length, shared, 4), (2, length, shared, 4)]
    return [jnp.asarray(np.random.default_rng(i).normal(size=shape), dtype) for i, shape in enumerate(shapes)]


@pytest.mark.parametrize(("length", "chunk", "heads", "shared"), [(7, 128, 2, 2), (8, 2, 4, 2), (11, 3, 3, 1)])
def test_it_is_the_attention_of_jax(length: int, chunk: int, heads: int, shared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "SMALLEST_CHUNK", chunk)
    qkv = drawn(length, heads, shared, "float32")

    def total(function, *args):
        return (function(*args) * jnp.sin(qkv[0])).sum()

    ours = jax.jit(jax.value_and_grad(lambda *args: total(causal_attention, *args), (0, 1, 2)))(*qkv)
    plain = jax.value_and_grad(lambda *args: total(lambda *a: jax.nn.dot_product_attention(*a, is_causal=True), *args), (0, 1, 2))
    theirs = jax.jit(plain)(*qkv)
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_large_scores_do_not_overflow_and_types_are_kept() -> None:
    for dtype in ("float32", "bfloat16"):
        q, k, v = drawn(6, 2, 2, dtype)
        mixed = jax.jit(causal_attention)(q * 300, k * 300, v)
        assert mixed.dtype == dtype
        assert bool(jnp.isfinite(mixed).all())
        np.testing.assert_allclose(mixed[:, 0].astype(np.float32), v[:, 0].astype(np.float32), rtol=1e-2)


def test_pairs_are_counted_as_they_are_computed() -> None:
    assert executed_pairs(64) == 64**2 and executed_pairs(1024) == 0.625 * 1024**2 and executed_pairs(200) == 128**2 + 72 * 200
    text = jax.jit(causal_attention).lower(*(jnp.zeros((1, 1024, 1, 4)) for _ in range(3))).as_text()
    scores = {int(a) * int(b) for a, b in re.findall(r"dot_general.*-> tensor<1x1x1x(\d+)x(\d+)xf32>", text) if int(b) > 4}
    assert sum(scores) == executed_pairs(1024)
