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

    batch: inputs, targets (batch, time) and weights (batch, time). Metrics: `nll`, the weighted sum in nats, `correct`, the weighted
    number of targets with the largest logit, and `weight`, the sum of weights, from which means over several batches are made. A
    classifier's targets and weights are (batch,). `reference` (frozen variables) is not used by this loss.
    """
    logits_btv = apply(variables, batch).logits.astype(jnp.float32)
    # One-hot, not a gather: XLA fuses it away, and its partitioner aborts on a gather from logits split over vocabulary and batch.
    one_hot_btv = jax.nn.one_hot(batch["targets"], logits_btv.shape[-1])
    nll_bt = optax.softmax_cross_entropy(logits_btv, one_hot_btv) * batch["weights"]
    correct_bt = (logits_btv.argmax(-1) == batch["targets"]) * batch["weights"]
    nll, weight = nll_bt.sum(), batch["weights"].sum()
    return nll / jnp.maximum(weight, 1.0), {"nll": nll, "correct": correct_bt.sum(), "weight": weight}


def kl_divergence(apply: Apply, variables: Variables, batch: Batch, reference: Any) -> tuple[Array, Metrics]:
    """Returns the mean Kullback-Leibler divergence of what `variables` predict from what the frozen `reference` does, in nats.

    batch: as for `cross_entropy`, whose targets only weigh. Metrics: `kl`, the weighted sum in nats, and `weight`.
    """
    student_btv = jax.nn.log_softmax(apply(variables, batch).logits.astype(jnp.float32))
    teacher_btv = jax.nn.log_softmax(jax.lax.stop_gradient(apply(reference, batch).logits).astype(jnp.float32))
    kl = ((jnp.exp(teacher_btv) * (teacher_btv - student_btv)).sum(-1) * batch["weights"]).sum()
    weight = batch["weights"].sum()
    return kl / jnp.maximum(weight, 1.0), {"kl": kl, "weight": weight}
