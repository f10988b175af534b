"""Causal attention in plain JAX, faster than `jax.nn.dot_product_attention` of XLA on a CPU: see docs/design.md."""

import jax
import jax.numpy as jnp
from jax import Array

CHUNKS = 4
SMALLEST_CHUNK = 128
MASKED = -1e9


def executed_pairs(length: int) -> int:
    """Returns how many pairs of a query and a key one head of `causal_attention` computes on `length` tokens, masked ones included."""
    return sum((end - start) * end for start, end in _chunks(length))


def _chunks(length: int) -> list[tuple[int, int]]:
    """The queries of each chunk, from the first up to the end, where its keys end as well."""
    size = max(SMALLEST_CHUNK, -(-length // CHUNKS))
    return [(start, min(start + size, length)) for start in range(0, length, size)]


def causal_attention(q_bthk: Array, k_bshk: Array, v_bshk: Array) -> Array:
    """Returns softmax(q k^T / sqrt(head size)) v, each query seeing the keys up to its own (Vaswani et al. 2017, section 3.2.1).

    q is (batch, time, heads, head size); k and v have heads that divide q's, each serving a group of them. Scores are float32 whatever
    the type of the inputs. Queries go in up to CHUNKS chunks, which leave out the keys that none of them sees.
    """
    b, t, n, size = q_bthk.shape
    shared = k_bshk.shape[2]
    q_bhgtk = (q_bthk * size**-0.5).reshape(b, t, shared, n // shared, size).transpose(0, 2, 3, 1, 4)
    k_bhsk, v_bhsk = k_bshk.transpose(0, 2, 1, 3), v_bshk.transpose(0, 2, 1, 3)
    mask_ts = jnp.where(jnp.tril(jnp.ones((t, t), bool)), 0.0, MASKED)
    mixed = []
    for start, end in _chunks(t):
        scores = jnp.einsum("bhgtk,bhsk->bhgts", q_bhgtk[..., start:end, :], k_bhsk[:, :, :end], preferred_element_type=jnp.float32)
        scores = scores + mask_ts[None, None, None, start:end, :end]
        weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
        values = jnp.einsum("bhgts,bhsk->bhgtk", weights.astype(v_bhsk.dtype), v_bhsk[:, :, :end])
        mixed.append(values / weights.sum(-1, keepdims=True).astype(values.dtype))
    return jnp.concatenate(mixed, axis=3).transpose(0, 3, 1, 2, 4).reshape(q_bthk.shape)
