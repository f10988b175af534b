"""Losses: (model, variables, batch, reference, key) -> (loss in nats, metrics). Coefficients are arrays, bound by functools.partial."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from research.models.model import Batch, Model, Variables

Metrics = dict[str, Array]
Loss = Callable[..., tuple[Array, Metrics]]
Function = Callable[[Sequence[Array], Array], Metrics]  # (float32 logits of each side, targets) -> metrics, token by token

WHOLE = 2**27  # bytes of the float32 logits of a batch up to which they are made at once; above it, in chunks of time of about that size


def cross_entropy(
    model: Model, variables: Variables, batch: Batch, reference: Any = None, key: Array | None = None
) -> tuple[Array, Metrics]:
    """Returns the mean negative log-likelihood per weighted token, in nats.

    batch: inputs, targets (batch, time) and weights (batch, time). Metrics, each per token, (batch, time): `nll` in nats and `correct`,
    whether the target has the largest logit, both times the weight, and `weight`. A classifier's are (batch,). `reference` (frozen
    variables) is not used by this loss; a key turns dropout on.
    """

    def of(sides: Sequence[Array], targets: Array) -> Metrics:
        (logits,) = sides
        # One-hot, not a gather: XLA fuses it away, and its partitioner aborts on a gather from logits split over vocabulary and batch.
        nll = optax.softmax_cross_entropy(logits, jax.nn.one_hot(targets, logits.shape[-1]))
        return {"nll": nll, "correct": logits.argmax(-1) == targets}

    return _mean("nll", _by_token(of, model, (variables,), batch, key), batch["weights"])


def kl_divergence(model: Model, variables: Variables, batch: Batch, reference: Any, key: Array | None = None) -> tuple[Array, Metrics]:
    """Returns the mean Kullback-Leibler divergence of what `variables` predict from what the frozen `reference` does, in nats.

    batch: as for `cross_entropy`, whose targets only weigh. Metrics, each per token: `kl` in nats times the weight, and `weight`.
    """

    def of(sides: Sequence[Array], targets: Array) -> Metrics:
        student, teacher = jax.nn.log_softmax(sides[0]), jax.nn.log_softmax(jax.lax.stop_gradient(sides[1]))
        return {"kl": (jnp.exp(teacher) * (teacher - student)).sum(-1)}

    return _mean("kl", _by_token(of, model, (variables, reference), batch, key), batch["weights"])


def anchored(
    model: Model, variables: Variables, batch: Batch, reference: Any, key: Array | None = None, *, loss: Loss = cross_entropy
) -> tuple[Array, Metrics]:
    """Returns `loss` plus strength / 2 sum_i importance_i (theta_i - start_i)^2 in nats; the metrics are those of `loss`.

    reference: {"params": start, "strength": a scalar, "importance": a tree like the start, left out where all weights matter alike}. That
    is L2-SP (Li et al. 2018, arXiv 1802.01483, eq. 2); with a Fisher diagonal it is elastic weight consolidation (Kirkpatrick et al. 2017,
    arXiv 1612.00796, eq. 3).
    """
    value, metrics = loss(model, variables, batch, None, key)
    start = reference["params"]
    importance = reference.get("importance") or jax.tree.map(lambda leaf: 1.0, start)
    moved = jax.tree.map(lambda at, begun, weight: (weight * jnp.square(at - begun)).sum(), variables["params"], start, importance)
    return value + 0.5 * reference["strength"] * jax.tree.reduce(jnp.add, moved), metrics


def _mean(name: str, values: Metrics, weights: Array) -> tuple[Array, Metrics]:
    metrics = {metric: value * weights for metric, value in values.items()}
    return metrics[name].sum() / jnp.maximum(weights.sum(), 1.0), {**metrics, "weight": weights}


def _by_token(function: Function, model: Model, sides: Sequence[Variables], batch: Batch, key: Array | None) -> Metrics:
    """Returns `function` of the logits that the model has with each of `sides`; where they are large, chunk by chunk of time.

    Chunks cut no batch and no vocabulary, both of which may lie on several devices. Of a chunk nothing is kept for the backward pass.
    """
    if model.hidden is None or model.head is None:
        return function([model.apply(side, batch, key=key).logits.astype(jnp.float32) for side in sides], batch["targets"])
    head, settled = model.head, [model.settle(side) for side in sides]
    streams = [model.hidden(side, batch, key=key).stream for side in settled]

    def of(streams: Sequence[Array], targets: Array, key: Array | None) -> Metrics:
        logits = [head(side, stream, key=key).astype(jnp.float32) for side, stream in zip(settled, streams, strict=True)]
        return function(logits, targets)

    size = jax.eval_shape(head, settled[0], streams[0]).size * jnp.dtype(jnp.float32).itemsize
    if size <= WHOLE:
        return of(streams, batch["targets"], key)
    return _in_chunks(of, streams, batch["targets"], key, -(-size // WHOLE))


def _in_chunks(of: Callable[..., Metrics], streams: Sequence[Array], targets: Array, key: Array | None, wanted: int) -> Metrics:
    """Returns `of` in up to `wanted` chunks of time; the last is filled up with zeros."""
    batch, time = targets.shape
    length = -(-time // wanted)
    chunks = -(-time // length)

    def cut(x: Array) -> Array:
        """(batch, time, ...) to (chunk, batch, length, ...)."""
        filled = jnp.pad(x, ((0, 0), (0, chunks * length - time), *((0, 0),) * (x.ndim - 2)))
        return jnp.moveaxis(filled.reshape(batch, chunks, length, *x.shape[2:]), 1, 0)

    def one(_: None, xs: Any) -> tuple[None, Metrics]:
        index, streams, targets = xs
        return None, of(streams, targets, None if key is None else jax.random.fold_in(key, index))

    xs = (jnp.arange(chunks), [cut(stream) for stream in streams], cut(targets))
    _, values = jax.lax.scan(jax.checkpoint(one, prevent_cse=False), None, xs)
    return {name: jnp.moveaxis(value, 0, 1).reshape(batch, -1)[:, :time] for name, value in values.items()}
