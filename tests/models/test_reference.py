"""The decoder against one written in NumPy, in float64, head by head and token by token."""

import dataclasses
import functools
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from scipy.special import erf

from research.models.configuration import BIASES, DecoderConfig
from research.models.decoder import Attention, decoder, rotate
from tests.models.drawing import drawn
from tests.models.families import ALL_BUT_HEAD, FAMILIES

BATCH = {"inputs": np.random.default_rng(3).integers(0, 11, (2, 6)).astype(np.int32)}
TINY = {"vocab_size": 11, "d_model": 16, "n_layers": 2, "n_heads": 2, "n_kv_heads": 2, "d_mlp": 10, "max_length": 8}
EIGHT = DecoderConfig(d_model=8, n_heads=1, n_kv_heads=1)
KINDS = {**FAMILIES, "all biases": {"bias": BIASES, "n_kv_heads": 1}}
CLOSE, APART = 2e-6, 2e-5  # of the largest logit
FLIPS: dict[str, list[dict[str, Any]]] = {
    "llama": [
        *({"rope_theta": 1e4}, {"rope_scaling": ()}, {"rope_scaling": (1.0, 1.0, 8.0, 32.0)}, {"norm_eps": 1e-2}, {"activation": "gelu"}),
        *({"parallel": True}, {"positions": "none"}, {"norm": "layer", "bias": ()}, {"norm_place": "post"}),
    ],
    "qwen2": [{"bias": ()}, {"mlp": "plain"}],
    "gpt2": [
        {"positions": "none"},
        {"norm": "rms"},
        {"norm_eps": 1e-2},
        *({"bias": tuple(sorted({*ALL_BUT_HEAD} - {x}))} for x in ALL_BUT_HEAD),
    ],
    "neox": [{"parallel": False}, {"rotary_dim": 8}, {"rotary_dim": 2}, {"activation": "gelu"}, {"rope_theta": 1e3}],
    "qwen3": [{"qk_norm": "none"}, {"head_dim": 8}, {"norm_eps": 1e-2}],
    "olmo2": [{"qk_norm": "none"}, {"norm_place": "pre"}, {"norm_eps": 1e-2}],
    "all biases": [{"bias": BIASES[:-1]}],
}


def linear(config: Any, place: str, params: dict[str, Any], x: np.ndarray, axes: int = 1) -> np.ndarray:
    y = np.tensordot(x, params["kernel"].astype(np.float64), axes)
    return y + params["bias"] if place in config.bias else y


def norm(config: Any, params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    centered = x - x.mean(-1, keepdims=True) if config.norm == "layer" else x
    y = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + config.norm_eps) * params["scale"]
    return y + params["bias"] if config.norm == "layer" and "norm" in config.bias else y


def turned(config: Any, x_bthk: np.ndarray) -> np.ndarray:
    """Returns each pair (i, i + half) as a complex number, turned by its position; entries from `rotary_dim` on as they are."""
    half = config.rotary_dim // 2
    frequencies = config.rope_theta ** (-np.arange(half) / half) / np.array(config.rope_scaling or 1.0)
    z = x_bthk[..., :half] + 1j * x_bthk[..., half : 2 * half]
    z = z * np.exp(1j * np.arange(x_bthk.shape[1])[:, None] * frequencies)[:, None, :]
    return np.concatenate([z.real, z.imag, x_bthk[..., 2 * half :]], -1)


def attention(config: Any, params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    q, k, v = (linear(config, "qkv", params[name], x) for name in ("query", "key", "value"))

    def placed(name: str, y_bthk: np.ndarray) -> np.ndarray:
        turn = functools.partial(turned, config) if config.positions == "rope" else np.asarray
        if config.qk_norm == "none":
            return turn(y_bthk)
        together = (*x.shape[:2], -1) if config.qk_norm == "projection" else y_bthk.shape
        return turn(norm(config, params[f"{name}_norm"], y_bthk.reshape(together)).reshape(y_bthk.shape))

    q, k = placed("query", q), placed("key", k)
    mixed = np.zeros_like(q)
    for b, t, h in np.ndindex(q.shape[:3]):
        group = h * config.n_kv_heads // config.n_heads
        scores = k[b, : t + 1, group] @ q[b, t, h] / np.sqrt(config.head_dim)
        weights = np.exp(scores - scores.max())
        mixed[b, t, h] = weights / weights.sum() @ v[b, : t + 1, group]
    return linear(config, "out", params["out"], mixed, 2)


def mlp(config: Any, params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    bent = {
        "silu": lambda h: h / (1 + np.exp(-h)),
        "gelu": lambda h: 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3))),
        "gelu_exact": lambda h: 0.5 * h * (1 + erf(h / np.sqrt(2))),
    }[config.activation]
    up = linear(config, "mlp", params["up"], x)
    return linear(config, "mlp", params["down"], bent(linear(config, "mlp", params["gate"], x)) * up if config.mlp == "gated" else bent(up))


def layer(config: Any, params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    def branch(name: str, function: Any, x: np.ndarray) -> np.ndarray:
        scale = params[f"{name}_norm"]
        if config.norm_place == "post":
            return norm(config, scale, function(config, params[name], x))
        return function(config, params[name], norm(config, scale, x))

    attended = x + branch("attention", attention, x)
    return attended + branch("mlp", mlp, x if config.parallel else attended)


def reference(config: Any, params: dict[str, Any], tokens: np.ndarray) -> np.ndarray:
    x = params["embedding"]["embedding"].astype(np.float64)[tokens]
    if config.positions == "learned":
        x = x + params["position"]["embedding"][: tokens.shape[1]]
    for index in range(config.n_layers):
        x = layer(config, params[f"layers_{index}"], x)
    x = norm(config, params["final_norm"], x)
    return x @ params["embedding"]["embedding"].T if config.tied else linear(config, "head", params["head"], x)


@functools.cache
def computed(kind: str) -> tuple[DecoderConfig, dict[str, Any], np.ndarray]:
    """Returns a family's tiny config, random weights, and the decoder's logits."""
    config = DecoderConfig(**{**TINY, **KINDS[kind]})
    model = decoder(config)
    variables = drawn(model, BATCH)
    whole, parts = jax.jit(
        lambda v: (model.apply(v, BATCH).logits, model.head(v, model.hidden(v, BATCH).stream) if model.hidden and model.head else None)
    )(variables)
    np.testing.assert_array_equal(whole, parts)
    return config, variables["params"], np.asarray(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_reference_and_of_hidden_and_head(kind: str) -> None:
    config, params, logits = computed(kind)
    wanted = reference(config, params, BATCH["inputs"])
    np.testing.assert_allclose(logits, wanted, atol=CLOSE * np.abs(wanted).max())


@pytest.mark.parametrize(("kind", "flip"), [(kind, flip) for kind, flips in FLIPS.items() for flip in flips], ids=str)
def test_a_reference_with_one_switch_flipped_is_another_model(kind: str, flip: dict[str, Any]) -> None:
    config, params, logits = computed(kind)
    other = SimpleNamespace(**{**dataclasses.asdict(config), **flip})
    assert np.abs(reference(other, params, BATCH["inputs"]) - logits).max() > APART * np.abs(logits).max()


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
