"""Losses: (apply, variables, batch, reference) -> (loss in nats, metrics). Coefficients are arrays, bound by functools.partial."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from research.models.model import Batch, Output, Variables

Metrics = dict[str, Array]
Apply = Callable[[Variables, Batch], Output]
Loss = Callable[[Apply, Variables, Batch, Any], tuple[Array, Metrics]]


def cross_entropy(apply: Apply, variables: Variables, batch: Batch, reference: Any = None) -> tuple[Array, Metrics]:
    """Returns the mean negative log-likelihood per weighted token, in nats.

    batch: inputs, targets (batch, time) and weights (batch, time). Metrics, each per token, (batch, time): `nll` in nats and `correct`,
    whether the target has the largest logit, both times the weight, and `weight`. A classifier's are (batch,). `reference` (frozen
    variables) is not used by this loss.
    """
    logits_btv = apply(variables, batch).logits.astype(jnp.float32)
    # One-hot, not a gather: XLA fuses it away, and its partitioner aborts on a gather from logits split over vocabulary and batch.
    one_hot_btv = jax.nn.one_hot(batch["targets"], logits_btv.shape[-1])
    nll_bt = optax.softmax_cross_entropy(logits_btv, one_hot_btv) * batch["weights"]
    correct_bt = (logits_btv.argmax(-1) == batch["targets"]) * batch["weights"]
    return _mean(nll_bt, batch["weights"]), {"nll": nll_bt, "correct": correct_bt, "weight": batch["weights"]}


def kl_divergence(apply: Apply, variables: Variables, batch: Batch, reference: Any) -> tuple[Array, Metrics]:
    """Returns the mean Kullback-Leibler divergence of what `variables` predict from what the frozen `reference` does, in nats.

    batch: as for `cross_entropy`, whose targets only weigh. Metrics, each per token: `kl` in nats times the weight, and `weight`.
    """
    student_btv = jax.nn.log_softmax(apply(variables, batch).logits.astype(jnp.float32))
    teacher_btv = jax.nn.log_softmax(jax.lax.stop_gradient(apply(reference, batch).logits).astype(jnp.float32))
    kl_bt = (jnp.exp(teacher_btv) * (teacher_btv - student_btv)).sum(-1) * batch["weights"]
    return _mean(kl_bt, batch["weights"]), {"kl": kl_bt, "weight": batch["weights"]}


def _mean(values_bt: Array, weights_bt: Array) -> Array:
    return values_bt.sum() / jnp.maximum(weights_bt.sum(), 1.0)
