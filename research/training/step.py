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
        def apply(variables: Variables, batch: Batch) -> Any:
            return model.apply(variables, batch, key=key)

        def objective(trainable: Variables) -> tuple[Array, Metrics]:
            return loss(apply, tree.combine(trainable, state.frozen), batch, reference)

        (value, metrics), grads = jax.value_and_grad(objective, has_aux=True)(state.trainable)
        return grads, {"loss": value, "weight": metrics["weight"]}

    def accumulated(state: TrainState, batch: Batch, key: Array | None, reference: Any) -> tuple[Variables, Metrics]:
        size = jax.tree.leaves(batch)[0].shape[0]
        if size % accumulate:
            raise UsageError(f"a batch of {size} cannot be cut into {accumulate} equal parts; change accumulate, or the batch's size")
        parts = jax.tree.map(lambda x: x.reshape(accumulate, x.shape[0] // accumulate, *x.shape[1:]), dict(batch))

        def part(carry: tuple, xs: tuple) -> tuple[tuple, None]:
            total, loss_sum, weight_sum = carry
            index, piece = xs
            grads, metrics = gradients(state, piece, None if key is None else jax.random.fold_in(key, index), reference)
            divided = jnp.maximum(metrics["weight"], 1.0)  # by which the loss made its mean
            total = jax.tree.map(lambda t, g: t + divided * g, total, grads)
            return (total, loss_sum + divided * metrics["loss"], weight_sum + metrics["weight"]), None

        zeros = (jax.tree.map(jnp.zeros_like, state.trainable), jnp.zeros(()), jnp.zeros(()))
        (total, loss_sum, weight), _ = jax.lax.scan(part, zeros, (jnp.arange(accumulate), parts))
        weight = jnp.maximum(weight, 1.0)
        return jax.tree.map(lambda g: g / weight, total), {"loss": loss_sum / weight, "weight": weight}

    def step(state: TrainState, batch: Batch, key: Array | None = None, reference: Any = None) -> tuple[TrainState, Metrics]:
        key = None if key is None else jax.random.fold_in(key, state.step)
        grads, metrics = (gradients if accumulate == 1 else accumulated)(state, batch, key, reference)
        if axis is not None:
            grads, metrics = _mean_over(axis, grads, metrics)
        updates, opt_state = tx.update(grads, state.opt_state, state.trainable)
        trainable = optax.apply_updates(state.trainable, updates)
        metrics = {"loss": metrics["loss"], "grad_norm": optax.tree.norm(grads)}
        return TrainState(state.step + 1, trainable, state.frozen, opt_state), metrics

    return step


def _mean_over(axis: str, grads: Variables, metrics: Metrics) -> tuple[Variables, Metrics]:
    """Gradients and loss, averaged over the devices of `axis` by their weights; one array travels, not one for each parameter."""
    divided = jnp.maximum(metrics["weight"], 1.0)  # by which the loss made its mean
    sums = jax.tree.map(lambda x: divided * x, (grads, metrics["loss"]))
    flat, restore = ravel_pytree((sums, metrics["weight"]))
    (total, loss), weight = restore(jax.lax.psum(flat, axis))
    weight = jnp.maximum(weight, 1.0)
    return jax.tree.map(lambda g: g / weight, total), {"loss": loss / weight, "weight": weight}
