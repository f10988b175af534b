"""`merge` and `delta`: W + s A B by the definition, in float32, whatever the model's type and mode."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from research import tree
from research.adapters.adapt import adapt
from research.adapters.lora import LoRA
from research.adapters.merging import delta, merge
from research.models.model import Batch, from_linen
from tests.adapters.foreign import BATCH, SITES, adapted, foreign, random


class One(nn.Module):
    """A single Dense, not square, with bias."""

    @nn.compact
    def __call__(self, batch: Batch, deterministic: bool = True) -> jax.Array:
        return nn.Dense(7, name="dense")(batch["inputs"])


ONE = from_linen(One())
ROWS = {"inputs": np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)}


def one(**fields: Any) -> tuple[Any, dict[str, Any]]:
    """Returns the single Dense under an adapter of rank 3 and alpha 7, and random variables."""
    model = adapt(ONE, LoRA(**{"targets": ("dense",), "rank": 3, "alpha": 7.0, **fields}))
    return model, random(model, ROWS)


@pytest.mark.parametrize("form", ["factored", "fused"])
@pytest.mark.parametrize(("scaling", "s"), [("standard", 7 / 3), ("rslora", 7 / 3**0.5)])
def test_one_dense_is_the_formula_in_numpy(form: str, scaling: str, s: float) -> None:
    model, variables = one(form=form, scaling=scaling)
    w, bias, a, b = (
        tree.flatten(variables)[path].astype(np.float64)
        for path in ("params/dense/kernel", "params/dense/bias", "adapter/dense/A", "adapter/dense/B")
    )
    y = ROWS["inputs"] @ w + bias + s * (ROWS["inputs"] @ a @ b)
    np.testing.assert_allclose(model.apply(variables, ROWS).logits, y, atol=2e-6 * np.abs(y).max())
    np.testing.assert_allclose(merge(variables)["params"]["dense"]["kernel"], w + s * a @ b, atol=2e-6 * np.abs(w + s * a @ b).max())
    np.testing.assert_array_equal(merge(variables)["params"]["dense"]["bias"], variables["params"]["dense"]["bias"])


def test_delta_is_what_merge_adds_at_every_site_and_nowhere_else() -> None:
    variables = random(adapted(foreign("scan")))
    updates, before, after = delta(variables), tree.flatten({"params": variables["params"]}), tree.flatten(merge(variables))
    assert set(updates) == {f"params/{name}/{'embedding' if name == 'lora' else 'kernel'}" for name in SITES}
    assert set(after) == set(before)
    for path, leaf in before.items():
        expected = leaf + np.asarray(updates[path]) if path in updates else leaf
        np.testing.assert_array_equal(after[path], expected, err_msg=path)
        assert path not in updates or (np.abs(updates[path]).max() > 0.1 and updates[path].shape == leaf.shape)


def test_delta_of_each_layer_and_of_several_axes_is_numpy() -> None:
    variables = random(adapted(foreign("scan"), ranks=(("A/A", 2),), alphas=(("A/A", 5.0),)))
    a, b = (variables["adapter"]["A"]["A"][name].astype(np.float64) for name in "AB")
    wanted = np.stack([5.0 / 2 * a[layer] @ b[layer] for layer in range(2)]).reshape(2, 2, 4, 3, 2)
    np.testing.assert_allclose(delta(variables)["params/A/A/kernel"], wanted, atol=1e-6 * np.abs(wanted).max())
    np.testing.assert_array_equal(np.linalg.matrix_rank(wanted.reshape(2, 8, 6)), 2)


def test_delta_turns_its_sign_with_b_and_is_not_changed_by_the_base() -> None:
    _, variables = one()
    turned = {**variables, "adapter": {"dense": {**variables["adapter"]["dense"], "B": -variables["adapter"]["dense"]["B"]}}}
    other = {**variables, "params": jax.tree.map(lambda x: 100.0 * x, variables["params"])}
    np.testing.assert_array_equal(delta(turned)["params/dense/kernel"], -delta(variables)["params/dense/kernel"])
    np.testing.assert_array_equal(delta(other)["params/dense/kernel"], delta(variables)["params/dense/kernel"])


def test_merge_into_a_short_type_rounds_the_exact_sum_once(short_type: str) -> None:
    dtype = short_type
    variables = random(adapted(foreign("plain", dtype=dtype, param_dtype=dtype)))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables["adapter"])} == {np.dtype("float32")}
    twice = 0
    for path, update in delta(variables).items():
        leaf, merged = tree.flatten(variables)[path], tree.flatten(merge(variables))[path]
        exact = leaf.astype(np.float64) + np.asarray(update, np.float64)
        half_step = np.spacing(np.abs(exact).astype(np.float32)) * 2.0 ** (23 - ml_dtypes.finfo(dtype).nmant) / 2
        assert merged.dtype == leaf.dtype == jnp.dtype(dtype) and update.dtype == jnp.float32
        assert (np.abs(np.asarray(merged, np.float64) - exact) <= half_step * (1 + 1e-3)).all(), path
        twice += int((np.asarray(leaf + update.astype(dtype), np.float64) != np.asarray(merged, np.float64)).sum())
    assert twice > 0, "a sum in the short type would have passed as well"


@pytest.mark.parametrize(("size", "survives"), [(2.0**-7, True), (2.0**-8 * 1.01, True), (2.0**-8 * 0.99, False)])
def test_a_tiny_delta_is_lost_only_below_half_a_step_of_the_base(size: float, survives: bool) -> None:
    _, variables = one(rank=2)
    module = {"A": np.full((4, 2), 0.5, np.float32), "B": np.full((2, 7), size / 3.5, np.float32)}
    base = {"kernel": jnp.ones((4, 7), jnp.bfloat16), "bias": jnp.zeros(7, jnp.bfloat16)}
    tiny = {**variables, "adapter": {"dense": module}, "params": {"dense": base}}
    np.testing.assert_allclose(delta(tiny)["params/dense/kernel"], size, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(merge(tiny)["params"]["dense"]["kernel"] != 1.0), survives)


def test_dropout_of_the_adapter_is_unbiased_and_evaluation_is_the_merged_model() -> None:
    model, variables = one(dropout=0.5)
    wanted = ONE.apply(merge(variables), ROWS).logits
    np.testing.assert_allclose(model.apply(variables, ROWS).logits, wanted, atol=2e-6 * np.abs(wanted).max())
    draws = jax.jit(jax.vmap(lambda key: model.apply(variables, ROWS, key=key).logits))(jax.random.split(jax.random.key(0), 4096))
    error = draws.std(0) / 64
    assert (error > 0).all()
    np.testing.assert_array_less(np.abs(draws.mean(0) - wanted), 5 * error)


def test_dropout_never_touches_the_base() -> None:
    model, variables = one(dropout=0.5)
    still = {**variables, "adapter": {"dense": {**variables["adapter"]["dense"], "B": np.zeros((3, 7), np.float32)}}}
    np.testing.assert_array_equal(
        model.apply(still, ROWS, key=jax.random.key(3)).logits, ONE.apply({"params": still["params"]}, ROWS).logits
    )


def test_merging_leaves_its_arguments_as_they_were() -> None:
    variables = random(adapted(foreign("scan")))
    before = jax.tree.map(lambda x: np.array(x).tobytes(), variables)
    merged = merge(variables)
    assert jax.tree.map(lambda x: np.array(x).tobytes(), variables) == before
    assert set(merged) == {"params"} and jax.tree.structure(merged["params"]) == jax.tree.structure(variables["params"])


def test_a_merged_model_takes_a_second_adapter_and_both_add_up() -> None:
    model, variables = one()
    again = {**variables, **merge(variables)}
    twice = variables["params"]["dense"]["kernel"] + 2 * np.asarray(delta(variables)["params/dense/kernel"])
    np.testing.assert_allclose(merge(again)["params"]["dense"]["kernel"], twice, atol=2e-6 * np.abs(twice).max())
    wanted = ONE.apply(merge(again), ROWS).logits
    np.testing.assert_allclose(model.apply(again, ROWS).logits, wanted, atol=2e-6 * np.abs(wanted).max())


def test_of_an_embedding_the_rows_of_the_batch_learn_and_no_others() -> None:
    model = adapt(foreign("scan"), LoRA(("lora/",), 2, 5.0))
    variables = random(model)
    grads = jax.jit(jax.grad(lambda a: model.apply({**variables, "adapter": a}, BATCH).logits.std()))(variables["adapter"])
    np.testing.assert_array_equal(np.flatnonzero(np.abs(grads["lora"]["A"]).max(1)), np.unique(BATCH["inputs"]))
