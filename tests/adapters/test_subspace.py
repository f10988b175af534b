"""Training in a subspace: what it computes, what moves, and what cannot be."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.adapters.adapt import adapt
from research.adapters.projections import KINDS, project
from research.adapters.subspace import Subspace, displaced, initialize, layers_of, targeted
from research.errors import UsageError
from research.losses import cross_entropy
from research.models.classifiers import ClassifierConfig, classifier
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.models.model import count
from research.optimizers import OptimizerSpec, adamw
from research.training.step import init_state, make_train_step
from tests.models.drawing import drawn

MODEL = classifier(ClassifierConfig("mlp", (4, 4), hidden=(6,), classes=3))
RNG = np.random.default_rng(0)
BATCH = {"inputs": RNG.random((5, 16)).astype(np.float32), "targets": RNG.integers(0, 3, 5), "weights": np.ones(5, np.float32)}
PARAMS = MODEL.init(jax.random.key(0), BATCH)["params"]
SIZE = count(PARAMS)
TINY = DecoderConfig(vocab_size=7, d_model=4, n_layers=3, d_mlp=6, max_length=4, tied=True)
TOKENS = {"inputs": np.zeros((1, 4), np.int32)}


def start(spec: Subspace, **changes: Any) -> dict[str, Any]:
    return {"params": PARAMS, **initialize(jax.random.key(1), PARAMS, spec, **changes)}


def moved(variables: dict[str, Any], by: float = 1.0) -> dict[str, Any]:
    adapter = {**variables["adapter"]["subspace"]}
    adapter["v"] = by * jnp.asarray(np.random.default_rng(1).standard_normal(adapter["v"].shape), jnp.float32)
    return {**variables, "adapter": {"subspace": adapter}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("per_layer", [False, True])
def test_it_starts_as_the_model_and_moves_by_the_projection(kind: str, per_layer: bool) -> None:
    spec = Subspace(9, kind, per_layer)
    variables = start(spec)
    adapted = adapt(MODEL, spec)
    np.testing.assert_array_equal(adapted.apply(variables, BATCH).logits, MODEL.apply({"params": PARAMS}, BATCH).logits)
    away = moved(variables)
    assert count(away["adapter"]) == 9
    change = jax.tree.map(lambda a, b: a - b, displaced(away, spec)["params"], PARAMS)
    flat = np.concatenate([np.ravel(leaf) for leaf in tree.flatten(change).values()])
    constants = away["constants"]["subspace"]
    np.testing.assert_allclose(flat, project(kind, constants, away["adapter"]["subspace"]["v"], SIZE), atol=1e-6)
    assert np.abs(flat).max() > 0.01


def test_a_layers_scale_moves_that_layer_alone() -> None:
    spec = Subspace(9, "count_sketch", per_layer=True)
    away = moved(start(spec))
    away["adapter"]["subspace"]["scales"] = jnp.array([3.0, 1.0])
    plain = moved(start(spec))
    for layer, factor in zip(layers_of(targeted(PARAMS, spec)), (3.0, 1.0), strict=True):
        ratio = [(displaced(v, spec)["params"][layer]["kernel"] - PARAMS[layer]["kernel"]) for v in (away, plain)]
        np.testing.assert_allclose(ratio[0], factor * ratio[1], rtol=1e-4, atol=1e-5)


def test_init_gives_what_apply_takes() -> None:
    adapted = adapt(MODEL, Subspace(5))
    variables = adapted.init(jax.random.key(0), BATCH)
    np.testing.assert_array_equal(adapted.apply(variables, BATCH).logits, MODEL.apply({"params": PARAMS}, BATCH).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_never_moves_and_no_dimension_is_the_untouched_model(kind: str) -> None:
    spec = Subspace(8, kind)
    tx = adamw(OptimizerSpec(3, weight_decay=0.0), 0.1)

    def trained(dimension: jax.Array) -> Any:
        moves, stays = tree.partition(start(spec, dimension=dimension), ("^adapter/",))
        state = init_state(moves, stays, tx)
        for _ in range(3):
            state, _ = make_train_step(adapt(MODEL, spec), cross_entropy, tx)(state, BATCH)
        return state.trainable["adapter"]["subspace"]["v"]

    found = np.asarray(jax.jit(jax.vmap(trained))(jnp.array([0, 3, 8])))
    assert (found[0] == 0).all()
    assert (found[1][:3] != 0).all() and (found[1][3:] == 0).all()
    assert (found[2] != 0).all()


def test_targets_confine_what_moves() -> None:
    spec = Subspace(4, "dense", targets=("dense_0/kernel",))
    after = displaced(moved(start(spec)), spec)["params"]
    np.testing.assert_array_equal(after["dense_1"]["kernel"], PARAMS["dense_1"]["kernel"])
    assert not np.allclose(after["dense_0"]["kernel"], PARAMS["dense_0"]["kernel"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Subspace(4, "sparse"), "count_sketch"),
        (lambda: Subspace(-1), "untouched"),
        (lambda: targeted(PARAMS, Subspace(SIZE + 1)), f"above the {SIZE}"),
        (lambda: targeted(PARAMS, Subspace(2, per_layer=True)), "no direction"),
        (lambda: targeted(PARAMS, Subspace(2, targets=("nowhere",))), "matches nothing"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def test_no_dimension_is_not_an_error() -> None:
    spec = Subspace(0)
    np.testing.assert_array_equal(adapt(MODEL, spec).apply(moved(start(spec)), BATCH).logits, MODEL.apply({"params": PARAMS}, BATCH).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_stacked_layers_have_a_scale_each_and_move_as_unrolled_ones_do(kind: str) -> None:
    unrolled = drawn(decoder(TINY), TOKENS)["params"]
    layers = jax.tree.map(lambda *x: np.stack(x), *(unrolled[f"layers_{index}"] for index in range(TINY.n_layers)))
    stacked = {**{name: leaf for name, leaf in unrolled.items() if not name.startswith("layers_")}, "layers": layers}
    spec = Subspace(12, kind, per_layer=True)
    found = {}
    for name, params in (("unrolled", unrolled), ("stacked", stacked)):
        assert layers_of(targeted(params, spec)) == ["embedding", "final_norm", "layers_0", "layers_1", "layers_2"]
        away = moved({"params": params, **initialize(jax.random.key(1), params, spec)})
        away["adapter"]["subspace"]["scales"] = jnp.arange(1.0, 6.0)
        assert count(away["adapter"]) == 12
        found[name] = jax.device_get(jax.jit(lambda v: displaced(v, spec))(away))["params"]
    for index in range(TINY.n_layers):
        jax.tree.map(
            np.testing.assert_array_equal,
            jax.tree.map(lambda x, i=index: x[i], found["stacked"]["layers"]),
            found["unrolled"][f"layers_{index}"],
        )
    assert np.abs(found["stacked"]["layers"]["mlp"]["up"]["kernel"] - layers["mlp"]["up"]["kernel"]).min((1, 2)).max() > 0
    np.testing.assert_array_equal(found["stacked"]["embedding"]["embedding"], found["unrolled"]["embedding"]["embedding"])
    with pytest.raises(UsageError, match="one scale for each of 5 layers"):
        targeted(stacked, Subspace(5, per_layer=True))
