"""The loss of training, which tells apart what the values cost, the words with which sentences end, and what all other bytes do."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from research.losses import Metrics, cross_entropy
from research.models.model import Batch, Model, Variables

SPACE = ord(" ")
VALUE, FORM = "value", "form"


def value_loss(model: Model, variables: Variables, batch: Batch, reference: Any = None, key: Array | None = None) -> tuple[Array, Metrics]:
    """Returns what `cross_entropy` does, with metrics `value`, nats at the bytes behind a row's last space, and `form`, up to it.

    The form begins at the first space: what stands before it is a name, which no form tells.
    """
    loss, metrics = cross_entropy(model, variables, batch, reference, key)
    is_space = batch["targets"] == SPACE
    left, seen = jnp.flip(jnp.cumsum(jnp.flip(is_space, -1), -1), -1), jnp.cumsum(is_space, -1)
    return loss, {**metrics, VALUE: metrics["nll"] * (left == 0), FORM: metrics["nll"] * ((left > 0) & (seen > 0))}


def scored_bytes(rows: np.ndarray, mark: int, quantity: str) -> np.ndarray:
    """Returns where a quantity, the values' or the form's, is read, 1 else 0, (n, time) of rows (n, time + 1) of one sentence each."""
    targets = rows[:, 1:]
    left, seen = np.flip(np.cumsum(np.flip(targets == SPACE, -1), -1), -1), np.cumsum(targets == SPACE, -1)
    wanted = left == 0 if quantity == VALUE else (left > 0) & (seen > 0)
    found: np.ndarray = (wanted & (targets != mark)).astype(np.float64)
    return found
