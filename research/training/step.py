"""One training step, pure: no jit, no mesh, no files."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from research import tree
from research.errors import UsageError
from research.losses import Loss, Metrics
from research.models.model import Batch, Model, Variables


class TrainState(NamedTuple):
    """Arrays only; the functions are arguments. `trainable` and `frozen` together are the model's variables."""

    step: Array
    trainable: Variables
    frozen: Variables
    opt_state: Any


Step = Callable[..., tuple[TrainState, Metrics]]
Sums = tuple[tuple[Variables, Array], Array]  # (gradients, loss), each times its weight; the weight


def init_state(trainable: Variables, frozen: Variables, tx: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step."""
    return TrainState(jnp.zeros((), jnp.int32), trainable, frozen, tx.init(trainable))


def make_train_step(model: Model, loss: Loss, tx: optax.GradientTransformation, accumulate: int = 1, axis: str | None = None) -> Step:
    """Returns step(state, batch, key=None, reference=None) -> (state, metrics): one optimizer update of what is trainable.

    key: turns dropout on; folded with the step, so a resumed run draws what an uninterrupted one would.
    reference: frozen variables for losses that compare with them (distillation, L2-SP, EWC, preferences).
    accumulate: the batch is cut into so many parts along its first axis, whose gradients are averaged by their weights.
    axis: the mesh axis along which `jax.shard_map` has spread the batch, where the compiler has not; averaged likewise.
    Metrics: `loss` (nats per weighted token) and `grad_norm`, before clipping.
    """

    def gradients(state: TrainState, batch: Batch, key: Array | None, reference: Any) -> tuple[Variables, Metrics]:
        def objective(trainable: Variables) -> tuple[Array, Metrics]:
            return loss(model, tree.combine(trainable, state.frozen), batch, reference, key)

        (value, metrics), grads = jax.value_and_grad(objective, has_aux=True)(state.trainable)
        return grads, {"loss": value, "weight": metrics["weight"].sum()}

    def weighted(state: TrainState, piece: Batch, key: Array | None, reference: Any) -> Sums:
        grads, metrics = gradients(state, piece, key, reference)
        divided = jnp.maximum(metrics["weight"], 1.0)  # by which the loss made its mean
        return jax.tree.map(lambda x: divided * x, (grads, metrics["loss"])), metrics["weight"]

    def in_parts(state: TrainState, batch: Batch, key: Array | None, reference: Any) -> Sums:
        size = jax.tree.leaves(batch)[0].shape[0]
        if size % accumulate:
            raise UsageError(f"a batch of {size} cannot be cut into {accumulate} equal parts; change accumulate, or the batch's size")
        parts = jax.tree.map(lambda x: x.reshape(accumulate, x.shape[0] // accumulate, *x.shape[1:]), dict(batch))

        def sums_of(index: Array, piece: Batch) -> Sums:
            return weighted(state, piece, None if key is None else jax.random.fold_in(key, index), reference)

        shapes = jax.eval_shape(sums_of, 0, jax.tree.map(lambda x: x[0], parts))
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        total, _ = jax.lax.scan(
            lambda total, xs: (jax.tree.map(jnp.add, total, sums_of(*xs)), None), zeros, (jnp.arange(accumulate), parts)
        )
        return total

    def averaged(state: TrainState, batch: Batch, key: Array | None, reference: Any) -> tuple[Variables, Metrics]:
        sums = (weighted if accumulate == 1 else in_parts)(state, batch, key, reference)
        if axis is not None:  # one array travels, not one for each parameter
            flat, restore = ravel_pytree(sums)
            sums = restore(jax.lax.psum(flat, axis))
        totals, weight = sums
        grads, value = jax.tree.map(lambda x: x / jnp.maximum(weight, 1.0), totals)
        return grads, {"loss": value}

    def step(state: TrainState, batch: Batch, key: Array | None = None, reference: Any = None) -> tuple[TrainState, Metrics]:
        key = None if key is None else jax.random.fold_in(key, state.step)
        grads, metrics = (gradients if accumulate == 1 and axis is None else averaged)(state, batch, key, reference)
        updates, opt_state = tx.update(grads, state.opt_state, state.trainable)
        trainable = optax.apply_updates(state.trainable, updates)
        metrics = {"loss": metrics["loss"], "grad_norm": optax.tree.norm(grads)}
        return TrainState(state.step + 1, trainable, state.frozen, opt_state), metrics

    return step
