"""One training step: AdamW of what moves, nothing of what stays, the same in parts as in one, the same after a break."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research import tree
from research.errors import UsageError
from research.losses import cross_entropy
from research.models.model import Batch, Model, Output, Variables
from research.optimizers import OptimizerSpec, adamw
from research.training.mesh import MeshSpec, P, make_mesh
from research.training.step import TrainState, init_state, make_train_step

RNG = np.random.default_rng(0)
TOKENS, WIDTH = 5, 3
FROZEN = {"params": {"embedding": {"embedding": RNG.standard_normal((TOKENS, WIDTH)).astype(np.float32)}}}
MOVING = {"params": {"head": {"kernel": RNG.standard_normal((WIDTH, TOKENS)).astype(np.float32)}}}
BATCH = {name: RNG.integers(0, TOKENS, (4, 6)).astype(np.int32) for name in ("inputs", "targets")}
BATCH["weights"] = np.array([[1] * 6, [1, 0, 0, 1, 0, 0], [0] * 6, [1, 1, 0, 0, 0, 1]], np.float32)


def apply(variables: Variables, batch: Batch, *, key: Any = None, capture: tuple[str, ...] = ()) -> Output:
    """A bigram model of two matrices, with dropout on what lies between."""
    x_btd = jnp.take(jnp.asarray(variables["params"]["embedding"]["embedding"]), batch["inputs"], axis=0)
    if key is not None:
        x_btd = 2.0 * x_btd * jax.random.bernoulli(key, 0.5, x_btd.shape)
    return Output(x_btd @ variables["params"]["head"]["kernel"], {})


MODEL = Model(lambda key, batch: tree.combine(MOVING, FROZEN), apply)


def state(tx: optax.GradientTransformation, moving: Variables = MOVING, frozen: Variables = FROZEN) -> TrainState:
    return jax.tree.map(jnp.asarray, init_state(moving, frozen, tx))


def run(step: Callable[..., Any], begin: TrainState, steps: int, key: Any = None) -> tuple[TrainState, list[float]]:
    losses = []
    for _ in range(steps):
        begin, metrics = step(begin, BATCH, key)
        losses.append(float(metrics["loss"]))
    return begin, losses


def gradient(kernel: np.ndarray) -> np.ndarray:
    """Returns the gradient of the loss at the head, in float64, by hand."""
    x = FROZEN["params"]["embedding"]["embedding"].astype(np.float64)[BATCH["inputs"]]
    odds = np.exp(x @ kernel)
    error = (odds / odds.sum(-1, keepdims=True) - np.eye(TOKENS)[BATCH["targets"]]) * BATCH["weights"][..., None]
    return np.einsum("btd,btv->dv", x, error) / BATCH["weights"].sum()


def test_three_steps_are_adamw_by_hand() -> None:
    rate, decay, b1, b2 = 0.1, 0.2, 0.9, 0.99
    tx = adamw(OptimizerSpec(10, warmup=0.0, b1=b1, b2=b2, weight_decay=decay, clip=0.0), rate)
    done, _ = run(jax.jit(make_train_step(MODEL, cross_entropy, tx)), state(tx), 3)
    kernel, m, v = MOVING["params"]["head"]["kernel"].astype(np.float64), 0.0, 0.0
    for t in (1, 2, 3):
        g = gradient(kernel)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        kernel = kernel - rate * (m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + 1e-8) + decay * kernel)
    np.testing.assert_allclose(done.trainable["params"]["head"]["kernel"], kernel, rtol=1e-5, atol=1e-6)
    assert done.step == 3


def test_the_metrics_are_the_loss_and_the_norm_before_clipping() -> None:
    tx = adamw(OptimizerSpec(10, clip=1e-3), 0.1)
    _, metrics = jax.jit(make_train_step(MODEL, cross_entropy, tx))(state(tx), BATCH)
    np.testing.assert_allclose(metrics["grad_norm"], np.linalg.norm(gradient(MOVING["params"]["head"]["kernel"])), rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], cross_entropy(MODEL, tree.combine(MOVING, FROZEN), BATCH)[0], rtol=1e-6)
    assert set(metrics) == {"loss", "grad_norm"}


def test_what_is_frozen_keeps_its_bytes_and_has_no_moments() -> None:
    tx = adamw(OptimizerSpec(10, warmup=0.0, weight_decay=0.5), 0.5)
    begin = state(tx)
    done, losses = run(jax.jit(make_train_step(MODEL, cross_entropy, tx)), begin, 4)
    after = np.asarray(done.frozen["params"]["embedding"]["embedding"])
    assert after.tobytes() == FROZEN["params"]["embedding"]["embedding"].tobytes()
    assert np.abs(done.trainable["params"]["head"]["kernel"] - MOVING["params"]["head"]["kernel"]).min() > 1e-3
    assert losses[3] < losses[0]
    moments = [jax.tree_util.keystr(path) for path, leaf in jax.tree_util.tree_leaves_with_path(begin.opt_state) if leaf.ndim]
    assert len(moments) == 2 and all("head" in path for path in moments)
    assert jax.tree.structure(done) == jax.tree.structure(begin)


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_is_the_whole_batch_whatever_the_weights(parts: int) -> None:
    tx = optax.sgd(1.0)
    begin = state(tx, tree.combine(MOVING, FROZEN), {})
    (whole, wanted), (split, got) = (jax.jit(make_train_step(MODEL, cross_entropy, tx, n))(begin, BATCH) for n in (1, parts))
    weights = BATCH["weights"].reshape(parts, -1).sum(1)
    assert len(set(weights)) > 1
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-6)
    for ours, theirs, before in zip(*(jax.tree.leaves(s.trainable) for s in (split, whole, begin)), strict=True):
        assert np.abs(theirs - before).max() > 1e-2
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_batch_spread_by_hand_is_the_whole_batch_whatever_the_weights() -> None:
    """A device whose examples have no weight counts for nothing; without the weights the mean of the means would be wrong by far."""
    tx, mesh = optax.sgd(1.0), make_mesh(MeshSpec(data=4))
    begin = state(tx, tree.combine(MOVING, FROZEN), {})
    whole, wanted = jax.jit(make_train_step(MODEL, cross_entropy, tx))(begin, BATCH)
    one = make_train_step(MODEL, cross_entropy, tx, axis="data")
    spread, got = jax.jit(jax.shard_map(one, mesh=mesh, in_specs=(P(), P("data")), out_specs=P(), check_vma=False))(begin, BATCH)
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-6)
    for ours, theirs, before in zip(*(jax.tree.leaves(s.trainable) for s in (spread, whole, begin)), strict=True):
        assert np.abs(theirs - before).max() > 1e-2
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    unweighted = np.mean(
        [cross_entropy(MODEL, tree.combine(MOVING, FROZEN), {k: v[i : i + 1] for k, v in BATCH.items()})[0] for i in range(4)]
    )
    assert abs(unweighted - wanted["loss"]) > 0.1


def towards(pull: float) -> Callable[..., Any]:
    """Returns the cross-entropy with a pull towards the reference (L2-SP)."""

    def loss(model: Model, variables: Variables, batch: Batch, reference: Any, key: Any) -> Any:
        value, metrics = cross_entropy(model, variables, batch)
        away = variables["params"]["head"]["kernel"] - reference["params"]["head"]["kernel"]
        return value + pull * jnp.sum(away**2), metrics

    return loss


@pytest.mark.parametrize("parts", [1, 2])
def test_a_loss_sees_its_reference(parts: int) -> None:
    tx, reference = optax.sgd(1.0), jax.tree.map(lambda x: x + 1.0, MOVING)
    plain, pulled = (
        jax.jit(make_train_step(MODEL, towards(pull), tx, parts))(state(tx), BATCH, None, reference)[0].trainable["params"]["head"][
            "kernel"
        ]
        for pull in (0.0, 0.25)
    )
    np.testing.assert_allclose(pulled - plain, 0.5, atol=1e-5)


def test_dropout_is_a_function_of_the_key_and_the_step() -> None:
    tx = adamw(OptimizerSpec(10), 0.1)
    step = jax.jit(make_train_step(MODEL, cross_entropy, tx))
    whole, losses = run(step, state(tx), 5, jax.random.key(3))
    half, first = run(step, state(tx), 2, jax.random.key(3))
    resumed, second = run(step, jax.tree.map(lambda x: jnp.asarray(np.array(x)), half), 3, jax.random.key(3))
    assert first + second == losses
    for ours, theirs in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert run(step, state(tx), 5, jax.random.key(4))[1] != losses
    late = state(tx)._replace(step=jnp.int32(7))
    assert run(step, late, 1, jax.random.key(3))[1][0] != losses[0] and run(step, late, 1)[1] == run(step, state(tx), 1)[1]


def test_parts_of_a_batch_draw_masks_of_their_own() -> None:
    tx = optax.sgd(1.0)
    halves = {name: np.concatenate([x[:2], x[:2]]) for name, x in BATCH.items()}
    masks = []

    def loss(model: Model, variables: Variables, batch: Batch, reference: Any, key: Any) -> Any:
        jax.debug.callback(lambda x: masks.append(np.asarray(x)), model.apply(variables, batch, key=key).logits)
        return cross_entropy(model, variables, batch, reference, key)

    jax.block_until_ready(jax.jit(make_train_step(MODEL, loss, tx, 2))(state(tx), halves, jax.random.key(0)))
    jax.effects_barrier()
    assert len(masks) == 2 and np.abs(masks[0] - masks[1]).max() > 0.1


def test_each_member_is_clipped_by_its_own_gradient() -> None:
    tx = adamw(OptimizerSpec(10, warmup=0.0, weight_decay=0.1, clip=0.01), 0.1)
    step = make_train_step(MODEL, cross_entropy, tx)
    factors = jnp.array([1.0, 1e3, 0.0])
    frozen = jax.vmap(lambda factor: jax.tree.map(lambda x: factor * x, FROZEN))(factors)
    members = jax.vmap(lambda stays: init_state(jax.tree.map(jnp.asarray, MOVING), stays, tx))(frozen)
    together, metrics = jax.jit(jax.vmap(lambda s: step(s, BATCH)))(members)
    alone, solo = jax.jit(step)(state(tx), BATCH)
    moments = optax.tree.get(together.opt_state, "mu")["params"]["head"]["kernel"]
    np.testing.assert_allclose(np.linalg.norm(moments, axis=(1, 2)), [0.001, 0.001, 0.0], rtol=1e-5)
    assert metrics["grad_norm"][1] > 10 * metrics["grad_norm"][0] > 0.1
    np.testing.assert_allclose(metrics["grad_norm"][0], solo["grad_norm"], rtol=1e-6)
    np.testing.assert_allclose(together.trainable["params"]["head"]["kernel"][0], alone.trainable["params"]["head"]["kernel"], atol=1e-6)


def test_a_donated_state_is_given_up_and_the_next_one_stands_alone() -> None:
    tx = adamw(OptimizerSpec(10), 0.1)
    step = make_train_step(MODEL, cross_entropy, tx)
    begin = state(tx)
    done, losses = run(jax.jit(step, donate_argnums=0), begin, 3)
    assert begin.trainable["params"]["head"]["kernel"].is_deleted()
    kept, wanted = run(jax.jit(step), state(tx), 3)
    np.testing.assert_allclose(losses, wanted, rtol=1e-6)
    for ours, theirs in zip(jax.tree.leaves(done), jax.tree.leaves(kept), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def test_parts_with_fractional_weights_are_the_whole_batch() -> None:
    tx, batch = optax.sgd(1.0), {**BATCH, "weights": np.full((4, 6), 0.1, np.float32)}
    (one, whole), (two, parts) = (make_train_step(MODEL, cross_entropy, tx, n)(state(tx), batch) for n in (1, 4))
    np.testing.assert_allclose(parts["loss"], whole["loss"], rtol=1e-6)
    np.testing.assert_allclose(two.trainable["params"]["head"]["kernel"], one.trainable["params"]["head"]["kernel"], rtol=1e-5)


def test_a_batch_that_its_parts_do_not_divide_is_a_users_mistake() -> None:
    tx = optax.sgd(1.0)
    with pytest.raises(UsageError, match="a batch of 4 cannot be cut into 3"):
        make_train_step(MODEL, cross_entropy, tx, 3)(state(tx), BATCH)
