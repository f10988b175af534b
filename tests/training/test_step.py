import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research import tree
from research.losses import cross_entropy
from research.models.decoder import DecoderConfig, decoder
from research.optimizers import OptimizerSpec, adamw
from research.training.step import init_state, make_train_step

CONFIG = DecoderConfig(d_model=16, d_mlp=32, n_layers=2, n_heads=2, max_length=8)


def batch_of(weights: np.ndarray) -> dict[str, np.ndarray]:
    tokens = np.random.default_rng(0).integers(0, 256, (8, 9)).astype(np.int32)
    return {"inputs": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights.astype(np.float32)}


UNEQUAL = batch_of(np.arange(8)[None, :] < np.array([8, 1, 0, 5, 2, 7, 0, 0])[:, None])


def start(moves: tuple[str, ...], tx: optax.GradientTransformation, model=decoder(CONFIG)):
    variables = model.init(jax.random.key(0), UNEQUAL)
    return init_state(*tree.partition(variables, moves), tx)


@pytest.mark.parametrize("accumulate", [2, 4, 8])
def test_accumulation_equals_the_whole_batch_whatever_the_parts_weigh(accumulate: int) -> None:
    tx = optax.sgd(1.0)
    state, model = start(("^params/",), tx), decoder(CONFIG)
    whole, expected = jax.jit(make_train_step(model, cross_entropy, tx))(state, UNEQUAL)
    parts, metrics = jax.jit(make_train_step(model, cross_entropy, tx, accumulate))(state, UNEQUAL)
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose(metrics[name], expected[name], rtol=1e-5)
    for path, leaf in tree.flatten(parts.trainable).items():
        np.testing.assert_allclose(leaf, tree.flatten(whole.trainable)[path], rtol=1e-5, atol=1e-6, err_msg=path)


def test_parts_differ_so_that_a_plain_mean_over_parts_would_be_wrong() -> None:
    tx = optax.sgd(1.0)
    state, step = start(("^params/",), tx), make_train_step(decoder(CONFIG), cross_entropy, tx)
    halves = [step(state, {name: x[half] for name, x in UNEQUAL.items()})[1]["loss"] for half in (slice(0, 4), slice(4, 8))]
    assert abs(np.mean(halves) - step(state, UNEQUAL)[1]["loss"]) > 1e-3


def test_what_is_frozen_stays_byte_for_byte_and_has_no_optimizer_state() -> None:
    tx = adamw(OptimizerSpec(5, weight_decay=0.1), 1e-2)
    state = start(("mlp/",), tx)
    before = {path: np.asarray(leaf).tobytes() for path, leaf in tree.flatten(state.frozen).items()}
    moving = {path: np.asarray(leaf) for path, leaf in tree.flatten(state.trainable).items()}
    paths = ["/".join(str(getattr(k, "key", k)) for k in path) for path, _ in jax.tree_util.tree_leaves_with_path(state.opt_state)]
    assert sum("mlp/" in path for path in paths) == 2 * len(moving)
    assert not any("attention" in path or "embedding" in path or "head" in path for path in paths)
    step = jax.jit(make_train_step(decoder(CONFIG), cross_entropy, tx))
    for _ in range(3):
        state, _ = step(state, UNEQUAL)
    assert state.step == 3
    assert {path: np.asarray(leaf).tobytes() for path, leaf in tree.flatten(state.frozen).items()} == before
    assert all(np.any(leaf != moving[path]) for path, leaf in tree.flatten(state.trainable).items())


def test_the_dropout_key_is_folded_with_the_step() -> None:
    model, tx = decoder(dataclasses.replace(CONFIG, dropout=0.5)), optax.sgd(0.0)
    state, key = start(("^params/",), tx, model), jax.random.key(7)
    variables = tree.combine(state.trainable, state.frozen)
    step = jax.jit(make_train_step(model, cross_entropy, tx))
    seen = []
    for index in range(3):
        expected, _ = cross_entropy(lambda v, b, i=index: model.apply(v, b, key=jax.random.fold_in(key, i)), variables, UNEQUAL)
        state, metrics = step(state, UNEQUAL, key)
        np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
        seen.append(float(metrics["loss"]))
    assert len(set(seen)) == 3
    resumed, metrics = step(state._replace(step=jnp.array(1, jnp.int32)), UNEQUAL, key)
    assert float(metrics["loss"]) == seen[1] and resumed.step == 2
    without, _ = cross_entropy(model.apply, variables, UNEQUAL)
    np.testing.assert_allclose(step(state, UNEQUAL)[1]["loss"], without, rtol=1e-5)
