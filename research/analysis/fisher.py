"""The diagonal of the Fisher information: how much each weight matters to what a model predicts, sequence by sequence."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from research.errors import UsageError
from research.losses import cross_entropy
from research.models.model import Batch, Model

LABELS = ("model", "data")


def fisher_diagonal(
    model: Model, params: Any, rows: Array, to_batch: Callable[[Array], Batch], key: Array, labels: str = "model"
) -> dict[str, Any]:
    """Returns the diagonal of the Fisher information per weighted token, in nats: a tree like `params`, in float32 or wider; traced.

    rows: (sequences, ...); to_batch: rows (1, ...) -> the batch of one sequence, with weights of 0 or 1. For each sequence alone the
    gradient of its summed loss is squared, and the squares are summed and divided by the weighted tokens of all: a batch's mean gradient,
    squared, would be smaller by about the number of its sequences, and zero at an optimum. One tree of squares is held, whatever the rows.

    labels 'model': each token's label is drawn with `key` from what the model predicts at the text's own context. Scores of labels drawn
    apart are not correlated, so the expected square of their sum is the sum over tokens: the Fisher, which is the Gauss-Newton diagonal
    of the mean loss, and where the model is right its Hessian's.
    labels 'data': the text's own labels, the "empirical Fisher" of much code. It is not the Fisher (Kunstner, Balles and Hennig 2019,
    arXiv 1905.12558): it grows with the misfit of the model, and the gradients of a sequence's tokens do not cancel out.

    Raises UsageError for no rows, and for other labels.
    """
    if labels not in LABELS:
        raise UsageError(f"a Fisher of labels {labels!r}: choose 'model', drawn from its predictions, or 'data', the text's own")
    if not len(rows):
        raise UsageError("a Fisher of no sequences: give at least one row of the text that the weights were trained on")

    def loss(params: Any, batch: Batch) -> Array:
        return cross_entropy(model, {"params": params}, batch)[1]["nll"].sum()

    def one(sums: tuple[Any, Array], xs: tuple[Array, Array]) -> tuple[tuple[Any, Array], None]:
        index, row = xs
        batch = dict(to_batch(row[None]))
        if labels == "model":
            logits = model.apply({"params": params}, batch).logits.astype(jnp.float32)
            batch["targets"] = jax.random.categorical(jax.random.fold_in(key, index), logits)
        gradient = jax.grad(loss)(params, batch)
        squares = jax.tree.map(lambda total, leaf: total + jnp.square(leaf.astype(total.dtype)), sums[0], gradient)
        return (squares, sums[1] + batch["weights"].sum()), None

    zeros = jax.tree.map(lambda leaf: jnp.zeros(jnp.shape(leaf), jnp.promote_types(jnp.result_type(leaf), jnp.float32)), params)
    (squares, tokens), _ = jax.lax.scan(one, (zeros, jnp.zeros(())), (jnp.arange(len(rows)), jnp.asarray(rows)))
    return jax.tree.map(lambda total: total / jnp.maximum(tokens, 1.0), squares)
