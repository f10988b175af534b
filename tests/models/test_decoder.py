"""The decoder's switches: each computes what it says, and those that only change how do not change what."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.errors import UsageError
from research.models.configuration import BIASES, DecoderConfig
from research.models.decoder import decoder
from research.models.model import Model, count
from tests.models.drawing import drawn

TINY = {"vocab_size": 11, "d_model": 8, "n_layers": 2, "n_heads": 2, "n_kv_heads": 2, "d_mlp": 12, "max_length": 8}
BATCH = {"inputs": np.random.default_rng(0).integers(0, 11, (2, 5)).astype(np.int32)}
SWITCHES = {
    "default": {},
    "gpt": {"norm": "layer", "positions": "learned", "bias": BIASES, "tied": True},
    "llama": {"mlp": "gated", "activation": "silu", "n_kv_heads": 1, "scan": True},
    "deep": {"norm": "layer", "mlp": "gated", "bias": BIASES, "scan": True, "remat": "dots", "tied": True},
    "lean": {"positions": "learned", "activation": "silu", "n_kv_heads": 1, "remat": "full"},
}


def tiny(**switches: Any) -> Model:
    return decoder(DecoderConfig(**{**TINY, **switches}))


@functools.cache
def program(model: Model, capture: tuple[str, ...] = ()) -> Any:
    return jax.jit(lambda variables, batch, key=None: model.apply(variables, batch, key=key, capture=capture))


def logits(model: Model, variables: Any, batch: Any = BATCH, key: Any = None) -> np.ndarray:
    return np.asarray(program(model)(variables, batch, key).logits)


def at(positions: np.ndarray) -> dict[str, np.ndarray]:
    return {**BATCH, "positions": np.broadcast_to(positions.astype(np.int32), BATCH["inputs"].shape)}


def stacked(params: dict[str, Any]) -> dict[str, Any]:
    """Returns the parameters of an unrolled decoder as one with scan names them."""
    layers = [params[name] for name in sorted(params) if name.startswith("layers_")]
    return {**{n: p for n, p in params.items() if not n.startswith("layers_")}, "layers": jax.tree.map(lambda *x: np.stack(x), *layers)}


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_no_token_sees_a_later_one_and_each_sees_all_before(switches: dict[str, Any]) -> None:
    model, length = tiny(**switches), BATCH["inputs"].shape[1]
    variables = drawn(model, BATCH)

    def bumped(e_td: jax.Array) -> jax.Array:
        def bump(next_fun: Any, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
            y = next_fun(*args, **kwargs)
            is_embedding = context.module.path == ("embedding",) and context.method_name == "__call__"
            return y + e_td[None] if is_embedding else y

        with nn.intercept_methods(bump):
            return model.apply(variables, {"inputs": BATCH["inputs"][:1]}).logits[0]

    value, jacobian = jax.jit(lambda e: (bumped(e), jax.jacrev(bumped)(e)))(np.zeros((length, TINY["d_model"]), np.float32))
    assert value.shape == (length, TINY["vocab_size"]) and value.dtype == jnp.float32
    seen = np.abs(np.asarray(jacobian)).max((1, 3))
    np.testing.assert_array_equal(seen[np.triu_indices(length, 1)], 0.0)
    assert (seen[np.tril_indices(length)] > 1e-5).all()


@pytest.mark.parametrize("switches", [{}, {"norm": "layer", "bias": BIASES, "positions": "learned", "mlp": "gated"}])
def test_scan_computes_what_unrolled_layers_do(switches: dict[str, Any]) -> None:
    unrolled, scanned = tiny(**switches), tiny(**switches, scan=True)
    params = drawn(unrolled, BATCH)["params"]
    expected = jax.tree.map(lambda x: x.shape, jax.eval_shape(scanned.init, jax.random.key(0), BATCH)["params"])
    assert jax.tree.map(lambda x: x.shape, stacked(params)) == expected
    wanted = logits(unrolled, {"params": params})
    np.testing.assert_allclose(logits(scanned, {"params": stacked(params)}), wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("remat", ["full", "dots"])
def test_remat_changes_neither_value_nor_gradient(remat: str) -> None:
    switches = {"scan": True, "mlp": "gated"} if remat == "dots" else {"n_layers": 1}
    plain = tiny(**switches)
    variables = drawn(plain, BATCH)

    def graded(model: Model) -> tuple[jax.Array, Any]:
        return jax.jit(jax.value_and_grad(lambda v: jnp.sin(model.apply(v, BATCH).logits).mean()))(variables)

    (value, grads), (wanted, wanted_grads) = graded(tiny(**switches, remat=remat)), graded(plain)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    for path, leaf in tree.flatten(wanted_grads).items():
        assert np.abs(leaf).max() > 1e-5, path
        np.testing.assert_allclose(tree.flatten(grads)[path], leaf, atol=1e-5 * np.abs(leaf).max(), err_msg=path)


def test_rotated_positions_are_relative_and_learned_ones_are_not() -> None:
    steps = np.arange(5)
    for positions, relative in (("rope", True), ("learned", False)):
        model = tiny(positions=positions)
        variables = drawn(model, BATCH)
        plain, given, shifted = (logits(model, variables, b) for b in (BATCH, at(steps), at(steps + 3)))
        np.testing.assert_allclose(given, plain, atol=1e-5 * np.abs(plain).max())
        assert np.allclose(shifted, plain, atol=1e-5 * np.abs(plain).max()) == relative
        assert np.abs(logits(model, variables, at(np.array([0, 1, 2, 4, 6]))) - plain).max() > 1e-3


def test_grouped_heads_are_full_heads_with_repeated_kernels() -> None:
    sizes = {"d_model": 16, "n_heads": 4, "bias": BIASES}
    grouped, full = tiny(**sizes, n_kv_heads=2), tiny(**sizes, n_kv_heads=4)
    leaves = tree.flatten(drawn(grouped, BATCH))
    repeated = {p: np.repeat(x, 2, axis=-2) if "/key/" in p or "/value/" in p else x for p, x in leaves.items()}
    wanted = logits(full, tree.unflatten(repeated))
    np.testing.assert_allclose(logits(grouped, tree.unflatten(leaves)), wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("scan", [False, True])
def test_dropout_is_drawn_from_its_key_alone(scan: bool) -> None:
    model, calm = tiny(dropout=0.5, scan=scan), tiny(scan=scan)
    variables = drawn(model, BATCH)
    one, same, other, none = (logits(model, variables, BATCH, key) for key in [*map(jax.random.key, (1, 1, 2)), None])
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-2 and np.abs(one - none).max() > 1e-2
    np.testing.assert_array_equal(none, logits(calm, variables))
    np.testing.assert_array_equal(logits(calm, variables, BATCH, jax.random.key(1)), none)


def test_layers_under_scan_draw_masks_of_their_own() -> None:
    model = tiny(dropout=0.5, scan=True)
    captured = program(model, ("Dropout",))(drawn(model, BATCH), BATCH, jax.random.key(1)).captured
    kept = np.concatenate([np.asarray(x) != 0 for path, x in captured.items() if "Dropout" in path], axis=-1)
    assert kept.shape[0] == 2 and (kept[0] != kept[1]).any()
    assert 0.3 < kept.mean() < 0.7


def test_computing_in_bfloat16_leaves_parameters_in_float32() -> None:
    model, exact = tiny(dtype="bfloat16", n_layers=1), tiny(n_layers=1)
    variables = drawn(model, BATCH)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    out, grads = jax.jit(lambda v: (model.apply(v, BATCH).logits, jax.grad(lambda w: model.apply(w, BATCH).logits.sum())(v)))(variables)
    assert out.dtype == jnp.bfloat16 and all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(grads))
    wanted = logits(exact, variables)
    assert 0 < np.abs(np.asarray(out, np.float32) - wanted).max() < 0.05 * np.abs(wanted).max()


def test_parameters_have_the_type_asked_for() -> None:
    shapes = jax.eval_shape(tiny(param_dtype="bfloat16", norm="layer", bias=BIASES).init, jax.random.key(0), BATCH)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize("scan", [False, True])
def test_capture_returns_named_activations_and_changes_no_logits(scan: bool) -> None:
    model = tiny(scan=scan)
    variables = drawn(model, BATCH)
    out = program(model, (r"mlp/down$", r"^head$"))(variables, BATCH)
    names = {"layers/mlp/down": (2, 10, 8)} if scan else dict.fromkeys(("layers_0/mlp/down", "layers_1/mlp/down"), (10, 8))
    assert {path: x.shape for path, x in out.captured.items()} == {**names, "head": (10, 11)}
    np.testing.assert_array_equal(out.captured["head"].reshape(out.logits.shape), out.logits)
    wanted = logits(model, variables)
    np.testing.assert_allclose(out.logits, wanted, atol=1e-6 * np.abs(wanted).max())  # a program with other results may be fused otherwise
    assert program(model)(variables, BATCH).captured == {}


def test_a_batch_longer_than_the_model_is_a_users_mistake() -> None:
    model = tiny(max_length=4)
    with pytest.raises(UsageError, match=r"5 tokens is longer than model\.max_length = 4"):
        jax.eval_shape(model.init, jax.random.key(0), BATCH)
    fits = {"inputs": BATCH["inputs"][:, :4]}
    assert jax.eval_shape(model.apply, drawn(model, fits), fits).logits.shape == (2, 4, 11)


@pytest.mark.parametrize("scan", [False, True])
def test_the_count_of_parameters_is_the_formula(scan: bool) -> None:
    v, d, layers, heads, kv, f, k = 11, 24, 3, 4, 2, 20, 6
    sizes = {"vocab_size": v, "d_model": d, "n_layers": layers, "n_heads": heads, "n_kv_heads": kv, "d_mlp": f, "max_length": 8}
    config = DecoderConfig(**sizes, norm="layer", positions="learned", mlp="gated", bias=BIASES, scan=scan)
    attention = d * heads * k + heads * k + 2 * (d * kv * k + kv * k) + heads * k * d + d
    block = attention + 2 * (d * f + f) + f * d + d + 2 * 2 * d
    shapes = jax.eval_shape(decoder(config).init, jax.random.key(0), BATCH)
    assert count(shapes) == v * d + 8 * d + layers * block + 2 * d + d * v + v


def test_a_tied_head_is_the_embedding_and_is_declared() -> None:
    model = tiny(tied=True)
    leaves = tree.flatten(drawn(model, BATCH))
    assert not any("head" in path for path in leaves) and tree.matching(model.tied[0], leaves) == ["params/embedding/embedding"]
    assert tiny().tied == ()


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"norm": "batch"}, "model.norm"),
        ({"dtype": "int8"}, "model.dtype"),
        ({"n_layers": 0}, "model.n_layers"),
        ({"n_heads": 3}, "divide"),
        ({"n_heads": 4, "n_kv_heads": 3}, "multiple"),
        ({"n_heads": 8, "n_kv_heads": 8}, "even"),
        ({"dropout": 1.0}, "model.dropout"),
    ],
)
def test_what_cannot_be_built_is_a_users_mistake(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        DecoderConfig(**{**TINY, **wrong})
