"""Factored and fused compute what merged weights compute, value and gradient, wherever a linear map may stand."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.adapters.adapt import adapt
from research.adapters.forms import best_form, fused_product
from research.adapters.lora import LoRA
from research.adapters.merging import merge
from research.errors import UsageError
from research.models.model import Model, Variables
from tests.adapters.foreign import BATCH, EVERY, SITES, adapted, foreign, random

FORMS = ("factored", "fused")
WRAPS = ("plain", "remat", "scan", "scan, remat")


def objective(model: Model, variables: Variables) -> jax.Array:
    return jnp.sin(model.apply(variables, BATCH).logits).mean()


def graded(model: Model, variables: Variables) -> tuple[jax.Array, jax.Array, dict[str, Any]]:
    """Returns logits, the objective, and its gradient by what is adapted."""
    value, grads = jax.value_and_grad(lambda a: objective(model, {**variables, "adapter": a}))(variables["adapter"])
    return model.apply(variables, BATCH).logits, value, grads


def merging(model: Model) -> Model:
    return Model(model.init, lambda variables, batch: model.apply(merge(variables), batch))


@functools.cache
def three(wrap: str) -> dict[str, Any]:
    """Returns what `graded` says by form, and the logits of the base, all with the same weights whether recomputed or not."""
    base = foreign(wrap)
    models = {**{form: adapted(base, form) for form in FORMS}, "merge": merging(base)}
    variables = random(models["factored"])
    found = jax.jit(lambda v: {form: graded(model, v) for form, model in models.items()})(variables)
    return {**found, "base": jax.jit(base.apply)({"params": variables["params"]}, BATCH).logits}


def assert_close(got: tuple[jax.Array, jax.Array, Any], wanted: tuple[jax.Array, jax.Array, Any], within: float) -> None:
    """Logits, objective and every leaf of the gradient agree, relative to the largest value of each."""
    np.testing.assert_allclose(got[0], wanted[0], atol=within * np.abs(wanted[0]).max())
    np.testing.assert_allclose(got[1], wanted[1], rtol=within)
    assert_close_trees(got[2], wanted[2], within)


def assert_close_trees(got: Any, wanted: Any, within: float) -> None:
    mine, theirs = tree.flatten(got), tree.flatten(wanted)
    assert set(mine) == set(theirs)
    for path, leaf in theirs.items():
        np.testing.assert_allclose(mine[path], leaf, atol=within * np.abs(leaf).max(), err_msg=path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrap", WRAPS)
def test_a_form_equals_merge_in_value_and_gradient(wrap: str, form: str) -> None:
    found = three(wrap)
    assert np.abs(found["merge"][0] - found["base"]).max() > 0.1
    assert_close(found[form], found["merge"], 2e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrap", WRAPS)
def test_every_adapter_has_a_gradient_in_every_layer(wrap: str, form: str) -> None:
    grads = tree.flatten(three(wrap)[form][2])
    assert set(grads) == {f"{site}/{factor}" for site in SITES for factor in "AB"}
    for path, leaf in grads.items():
        layers = np.abs(leaf).reshape(-1, *leaf.shape[-2:])
        assert (layers.max((1, 2)) > 1e-6).all(), path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("wrap", "plain"), [("remat", "plain"), ("scan, remat", "scan")])
def test_recomputing_changes_neither_value_nor_gradient(wrap: str, plain: str, form: str) -> None:
    assert_close(three(wrap)[form], three(plain)[form], 1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_without_jit_value_and_gradient_are_the_same(form: str) -> None:
    model = adapt(foreign("none"), LoRA(EVERY, 2, 5.0, form=form))
    variables = random(model)
    assert_close(graded(model, variables), jax.jit(lambda v: graded(model, v))(variables), 1e-5)


def test_forward_mode_goes_through_factored_as_through_merge_and_not_through_fused() -> None:
    base = foreign("plain")
    variables = random(adapted(base))

    def pushed(model: Model) -> jax.Array:
        return jax.jvp(lambda a: model.apply({**variables, "adapter": a}, BATCH).logits, *[(variables["adapter"],)] * 2)[1]

    got, wanted = jax.jit(lambda: (pushed(adapted(base)), pushed(merging(base))))()
    np.testing.assert_allclose(got, wanted, atol=2e-5 * np.abs(wanted).max())
    assert np.abs(wanted).max() > 0.1
    with pytest.raises(TypeError):
        pushed(adapted(base, "fused"))


def test_a_base_that_moves_beside_its_adapter_has_the_gradient_of_merge() -> None:
    base = foreign("plain")
    variables = random(adapted(base))

    def grads(model: Model) -> Any:
        return jax.grad(lambda p: objective(model, {**variables, "params": p}))(variables["params"])

    mine, theirs = jax.jit(lambda: (grads(adapted(base)), grads(merging(base))))()
    assert_close_trees(mine, theirs, 2e-5)


@pytest.mark.parametrize("moving", ["A/B/kernel", "A/A/kernel", "A/scale/kernel", "adapter/kernel"])
def test_fused_refuses_each_adapted_matrix_that_moves(moving: str) -> None:
    model = adapted(foreign("scan, remat"), "fused")
    moves, stays = tree.partition(random(model), (f"^params/{moving}$",))
    with pytest.raises(UsageError, match="adapter.form=factored"):
        jax.eval_shape(jax.grad(lambda m: objective(model, tree.combine(m, stays))), moves)


def test_fused_lets_what_is_not_adapted_move() -> None:
    base, patterns = foreign("plain"), ("^adapter/", "^params/weight/", "^params/adapter/bias$", "^params/A/scale/kernel$")
    models = [adapt(base, LoRA(("A/B/kernel", "A/A/kernel", "adapter/kernel"), 2, 5.0, form=form)) for form in FORMS]
    moves, stays = tree.partition(random(models[0]), patterns)

    def grads(model: Model, moves: Variables) -> Variables:
        return jax.grad(lambda m: objective(model, tree.combine(m, stays)))(moves)

    factored, fused = jax.jit(lambda m: [grads(model, m) for model in models])(moves)
    assert all(np.abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(factored))
    assert_close_trees(fused, factored, 2e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", None])
def test_the_output_has_the_type_of_the_base_and_the_adapter_is_float32(form: str, dtype: str | None) -> None:
    base = foreign("scan", dtype=dtype, param_dtype="bfloat16" if dtype is None else "float32")
    model = adapted(base, form)
    variables = jax.eval_shape(model.init, jax.random.key(0), BATCH)
    wanted = jax.eval_shape(base.apply, {"params": variables["params"]}, BATCH).logits
    assert jax.eval_shape(model.apply, variables, BATCH).logits.dtype == wanted.dtype == jnp.dtype(dtype or "bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves((variables["adapter"], variables["constants"]))} == {jnp.dtype("float32")}


def test_fused_product_never_forms_the_gradient_of_w() -> None:
    x, w, a, b = (jnp.zeros(shape) for shape in ((3, 40), (40, 50), (40, 2), (2, 50)))

    def forms_dw(gradient: Any, at: Any) -> bool:
        lines = jax.jit(gradient).lower(at).as_text().splitlines()
        return any("dot_general" in line and line.split("->")[1].strip().startswith(("tensor<40x50x", "tensor<50x40x")) for line in lines)

    assert not forms_dw(jax.grad(lambda ab: fused_product(x, w, *ab).sum()), (a, b))
    assert forms_dw(jax.grad(lambda w: (x @ w).sum()), w)


@pytest.mark.parametrize(
    ("wish", "platform", "dropout", "form"),
    [
        ("auto", "cpu", 0.0, "fused"),
        ("auto", "cpu", 0.1, "factored"),
        ("auto", "gpu", 0.0, "factored"),
        ("factored", "cpu", 0.0, "factored"),
    ],
)
def test_the_form_follows_the_wish_before_the_machine(wish: str, platform: str, dropout: float, form: str) -> None:
    assert best_form(wish, platform, dropout) == form
