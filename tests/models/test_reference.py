"""The decoder against one written in NumPy, in float64, head by head and token by token."""

from typing import Any

import jax
import numpy as np
import pytest

from research.models.configuration import BIASES, DecoderConfig
from research.models.decoder import Attention, decoder, rotate
from tests.models.drawing import drawn

BATCH = {"inputs": np.random.default_rng(3).integers(0, 11, (2, 6)).astype(np.int32)}
TINY = {"vocab_size": 11, "d_model": 12, "n_layers": 2, "n_heads": 2, "d_mlp": 10, "max_length": 8}
LLAMA = {**TINY, "n_kv_heads": 1, "mlp": "gated", "activation": "silu"}
EIGHT = DecoderConfig(d_model=8, n_heads=1, n_kv_heads=1)
GPT = {**TINY, "norm": "layer", "positions": "learned", "bias": BIASES, "tied": True}


def linear(params: dict[str, Any], x: np.ndarray, axes: int = 1) -> np.ndarray:
    y = np.tensordot(x, params["kernel"].astype(np.float64), axes)
    return y + params["bias"] if "bias" in params else y


def norm(kind: str, params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    centered = x - x.mean(-1, keepdims=True) if kind == "layer" else x
    y = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-6) * params["scale"]
    return y + params["bias"] if "bias" in params else y


def turned(x_bthk: np.ndarray) -> np.ndarray:
    """Returns each pair (i, i + half) as a complex number, turned by its position."""
    half = x_bthk.shape[-1] // 2
    angles = np.arange(x_bthk.shape[1])[:, None] / 10_000.0 ** (np.arange(half) / half)
    z = (x_bthk[..., :half] + 1j * x_bthk[..., half:]) * np.exp(1j * angles)[:, None, :]
    return np.concatenate([z.real, z.imag], -1)


def attention(config: DecoderConfig, params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    q, k, v = (linear(params[name], x) for name in ("query", "key", "value"))
    if config.positions == "rope":
        q, k = turned(q), turned(k)
    mixed = np.zeros_like(q)
    for b, t, h in np.ndindex(q.shape[:3]):
        group = h * config.n_kv_heads // config.n_heads
        scores = k[b, : t + 1, group] @ q[b, t, h] / np.sqrt(config.head_dim)
        weights = np.exp(scores - scores.max())
        mixed[b, t, h] = weights / weights.sum() @ v[b, : t + 1, group]
    return linear(params["out"], mixed, 2)


def mlp(config: DecoderConfig, params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    def bent(h: np.ndarray) -> np.ndarray:
        if config.activation == "silu":
            return h / (1 + np.exp(-h))
        return 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))

    up = linear(params["up"], x)
    return linear(params["down"], bent(linear(params["gate"], x)) * up if config.mlp == "gated" else bent(up))


def reference(config: DecoderConfig, params: dict[str, Any], tokens: np.ndarray) -> np.ndarray:
    x = params["embedding"]["embedding"].astype(np.float64)[tokens]
    if config.positions == "learned":
        x = x + params["position"]["embedding"][: tokens.shape[1]]
    for layer in range(config.n_layers):
        block = params[f"layers_{layer}"]
        x = x + attention(config, block["attention"], norm(config.norm, block["attention_norm"], x))
        x = x + mlp(config, block["mlp"], norm(config.norm, block["mlp_norm"], x))
    x = norm(config.norm, params["final_norm"], x)
    return x @ params["embedding"]["embedding"].T if config.tied else linear(params["head"], x)


@pytest.mark.parametrize("switches", [LLAMA, GPT], ids=["llama", "gpt"])
def test_logits_are_those_of_the_reference(switches: dict[str, Any]) -> None:
    config = DecoderConfig(**switches)
    model = decoder(config)
    variables = drawn(model, BATCH)
    wanted = reference(config, variables["params"], BATCH["inputs"])
    np.testing.assert_allclose(jax.jit(model.apply)(variables, BATCH).logits, wanted, atol=2e-5 * np.abs(wanted).max())


def test_attention_of_grouped_heads_is_that_of_the_reference() -> None:
    config = DecoderConfig(d_model=16, n_heads=4, n_kv_heads=2, bias=BIASES)
    x = np.random.default_rng(1).standard_normal((2, 7, 16)).astype(np.float32)
    params = {
        name: {
            "kernel": np.random.default_rng(i).standard_normal(shape).astype(np.float32),
            "bias": np.full(shape[1:], 0.1 * i, np.float32),
        }
        for i, (name, shape) in enumerate({"query": (16, 4, 4), "key": (16, 2, 4), "value": (16, 2, 4)}.items())
    }
    params["out"] = {"kernel": np.random.default_rng(9).standard_normal((4, 4, 16)).astype(np.float32), "bias": np.ones(16, np.float32)}
    got = jax.jit(Attention(config).apply)({"params": params}, x, np.broadcast_to(np.arange(7), (2, 7)))
    wanted = attention(config, params, x.astype(np.float64))
    np.testing.assert_allclose(got, wanted, atol=2e-5 * np.abs(wanted).max())


def test_turning_keeps_lengths_and_the_scores_of_equal_distances() -> None:
    rng = np.random.default_rng(2)
    q, k = rng.standard_normal((2, 1, 1, 1, 8)).astype(np.float32)

    def score(at_q: int, at_k: int) -> float:
        return float((rotate(q, np.array([[at_q]]), EIGHT) * rotate(k, np.array([[at_k]]), EIGHT)).sum())

    np.testing.assert_allclose(score(5, 2), score(13, 10), atol=1e-5)
    assert abs(score(5, 2) - score(6, 2)) > 1e-2 and abs(score(5, 2) - score(2, 5)) > 1e-2
    np.testing.assert_allclose(np.linalg.norm(rotate(q, np.array([[7]]), EIGHT)), np.linalg.norm(q), rtol=1e-6)
