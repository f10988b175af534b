"""An adapted model is the base at initialization, and equals `merge` ever after."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.adapters.adapt import adapt, attach
from research.adapters.lora import LoRA
from research.adapters.merging import delta, merge
from research.errors import UsageError
from research.models.decoder import DecoderConfig, decoder

TINY = {"d_model": 16, "d_mlp": 32, "n_heads": 2, "n_kv_heads": 1, "max_length": 8}
BATCH = {"inputs": jnp.arange(16).reshape(2, 8) * 7 % 256}
FAMILY = {"scan": True, "remat": "full", "mlp": "gated", "bias": True, "norm": "layer", "positions": "learned"}
EVERY = ("(kernel|embedding)$",)


def moved(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Random A and B, so that the adapter does something."""
    noisy = {
        p: x + 0.3 * jax.random.normal(jax.random.key(i), x.shape) for i, (p, x) in enumerate(tree.flatten(variables["adapter"]).items())
    }
    return {**variables, "adapter": tree.unflatten(noisy)}


@pytest.mark.parametrize("form", ["factored", "fused"])
@pytest.mark.parametrize(
    "kind", [{}, {"scan": True, "remat": "full", "mlp": "gated", "bias": True, "norm": "layer", "positions": "learned"}]
)
def test_both_forms_equal_merge_and_so_do_their_gradients(form: str, kind: dict[str, Any]) -> None:
    model = decoder(DecoderConfig(**TINY, **kind))
    adapted = adapt(model, LoRA(EVERY, rank=3, alpha=7.0, form=form))
    fresh = adapted.init(jax.random.key(0), BATCH)
    np.testing.assert_array_equal(adapted.apply(fresh, BATCH).logits, model.apply({"params": fresh["params"]}, BATCH).logits)
    variables = moved(fresh)
    got, wanted = adapted.apply(variables, BATCH).logits, model.apply(merge(variables), BATCH).logits
    assert float(jnp.abs(wanted - model.apply({"params": fresh["params"]}, BATCH).logits).max()) > 0.1
    np.testing.assert_allclose(got, wanted, atol=2e-5 * float(jnp.abs(wanted).max()))

    def through(function: Any) -> Any:
        return jax.grad(lambda a: jnp.sin(function({**variables, "adapter": a})).mean())(variables["adapter"])

    mine, theirs = through(lambda v: adapted.apply(v, BATCH).logits), through(lambda v: model.apply(merge(v), BATCH).logits)
    for ours, oracle in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(ours, oracle, atol=1e-4 * max(float(jnp.abs(oracle).max()), 1e-6))


def test_at_initialization_b_has_a_gradient_though_it_is_zero() -> None:
    adapted = adapt(decoder(DecoderConfig(**TINY)), LoRA(("query",), rank=2, alpha=5.0))
    variables = adapted.init(jax.random.key(0), BATCH)
    grads = tree.flatten(jax.grad(lambda a: adapted.apply({**variables, "adapter": a}, BATCH).logits.std())(variables["adapter"]))
    assert all(float(jnp.abs(g).max()) > 0 for path, g in grads.items() if path.endswith("/B"))
    assert all(float(jnp.abs(g).max()) == 0 for path, g in grads.items() if path.endswith("/A"))


def test_fused_refuses_a_matrix_that_moves_and_forward_mode() -> None:
    adapted = adapt(decoder(DecoderConfig(**TINY)), LoRA(("query",), rank=2, alpha=5.0, form="fused"))
    variables = adapted.init(jax.random.key(0), BATCH)
    with pytest.raises(UsageError, match="factored"):
        jax.grad(lambda p: adapted.apply({**variables, "params": p}, BATCH).logits.sum())(variables["params"])
    with pytest.raises(TypeError):
        jax.jvp(lambda a: adapted.apply({**variables, "adapter": a}, BATCH).logits, (variables["adapter"],), (variables["adapter"],))


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (LoRA(("nowhere",), 2), "layers_0/attention/query/kernel"),
        (LoRA(("query",), 17), "min"),
        (LoRA(("query",), 2, ranks=(("mlp", 3),)), "ranks"),
        (LoRA(("query",), 2, alphas=(("vlaue", 3.0),)), "alphas"),
        (LoRA(("embedding",), 2), "tied"),
        (LoRA((), 2), "empty"),
    ],
)
def test_what_does_not_fit_is_refused(spec: LoRA, word: str) -> None:
    adapted = adapt(decoder(DecoderConfig(**TINY, tied=True)), spec)
    with pytest.raises(UsageError, match=word):
        adapted.init(jax.random.key(0), BATCH)


def test_per_path_ranks_and_alphas_and_scalings() -> None:
    spec = LoRA(("attention/",), 2, alpha=6.0, scaling="rslora", ranks=(("out", 4),), alphas=(("query", 3.0),))
    variables = tree.flatten(adapt(decoder(DecoderConfig(**TINY)), spec).init(jax.random.key(0), BATCH))
    assert variables["adapter/layers_1/attention/out/A"].shape == (16, 4)
    assert variables["adapter/layers_1/attention/key/A"].shape == (16, 2)
    np.testing.assert_allclose(variables["constants/layers_0/attention/out/scale"], 6.0 / 4**0.5)
    np.testing.assert_allclose(variables["constants/layers_0/attention/query/scale"], 3.0 / 2**0.5)


def test_a_rank_is_a_prefix_of_a_larger_one_and_padding_is_zero() -> None:
    model = decoder(DecoderConfig(**TINY))
    params = model.init(jax.random.key(0), BATCH)["params"]
    padded = tree.flatten(attach(jax.random.key(1), model, params, BATCH, LoRA(("mlp/",), 8, 6.0), rank=jnp.int32(3)))
    solo = tree.flatten(attach(jax.random.key(1), model, params, BATCH, LoRA(("mlp/",), 3, 6.0)))
    for path, wanted in solo.items():
        if path.endswith("/A"):
            np.testing.assert_array_equal(padded[path][:, :3], wanted)
            np.testing.assert_array_equal(padded[path][:, 3:], 0.0)
        elif path.endswith("/scale"):
            np.testing.assert_allclose(padded[path], wanted)


def test_rank_zero_is_the_identity() -> None:
    model = decoder(DecoderConfig(**TINY))
    adapted = adapt(model, LoRA(("mlp/",), 0, 6.0))
    variables = adapted.init(jax.random.key(0), BATCH)
    np.testing.assert_array_equal(adapted.apply(variables, BATCH).logits, model.apply({"params": variables["params"]}, BATCH).logits)


def test_merge_sums_in_float32_and_rounds_once() -> None:
    adapted = adapt(decoder(DecoderConfig(**TINY, param_dtype="bfloat16", dtype="bfloat16")), LoRA(("up",), 2, 5.0))
    variables = moved(adapted.init(jax.random.key(0), BATCH))
    assert adapted.apply(variables, BATCH).logits.dtype == jnp.bfloat16
    path = "params/layers_0/mlp/up/kernel"
    base, update = tree.flatten(variables)[path].astype(jnp.float32), delta(variables)[path]
    merged = tree.flatten(merge(variables))[path]
    assert merged.dtype == jnp.bfloat16
    np.testing.assert_array_equal(merged, (base + update).astype(jnp.bfloat16))


def test_dropout_acts_in_training_only_and_needs_the_factored_form() -> None:
    adapted = adapt(decoder(DecoderConfig(**TINY)), LoRA(("mlp/",), 2, 5.0, dropout=0.5))
    variables = moved(adapted.init(jax.random.key(0), BATCH))
    one, two, plain = (adapted.apply(variables, BATCH, key=k).logits for k in (jax.random.key(1), jax.random.key(2), None))
    assert float(jnp.abs(one - two).max()) > 0
    np.testing.assert_array_equal(plain, adapted.apply(variables, BATCH).logits)
    with pytest.raises(UsageError, match="factored"):
        LoRA(("mlp/",), 2, 5.0, dropout=0.5, form="fused")


def test_partition_moves_what_matches_and_never_everything_by_default() -> None:
    variables = adapt(decoder(DecoderConfig(**TINY)), LoRA(("mlp/",), 2, 5.0)).init(jax.random.key(0), BATCH)
    moves, stays = tree.partition(variables, ("^adapter/",))
    assert set(moves) == {"adapter"} and "adapter" not in stays
    assert jax.tree.structure(tree.combine(moves, stays)) == jax.tree.structure(tree.unflatten(tree.flatten(variables)))
    for patterns in ((), ("^adaptor/",)):
        with pytest.raises(UsageError):
            tree.partition(variables, patterns)


def test_the_decoder_is_causal() -> None:
    model = decoder(DecoderConfig(**TINY))
    variables = model.init(jax.random.key(0), BATCH)
    later = {"inputs": BATCH["inputs"].at[:, 5].add(1)}
    before, after = model.apply(variables, BATCH).logits, model.apply(variables, later).logits
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert float(jnp.abs(before[:, 5:] - after[:, 5:]).max()) > 0
