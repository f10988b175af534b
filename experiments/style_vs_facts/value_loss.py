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
    """Returns what `cross_entropy` does, with metrics `value`, nats at the bytes behind a row's last space, and `form`, at all others."""
    loss, metrics = cross_entropy(model, variables, batch, reference, key)
    spaces_left = jnp.flip(jnp.cumsum(jnp.flip(batch["targets"] == SPACE, -1), -1), -1)
    is_value = spaces_left == 0
    return loss, {**metrics, VALUE: metrics["nll"] * is_value, FORM: metrics["nll"] * ~is_value}


def scored_bytes(rows: np.ndarray, mark: int, quantity: str) -> np.ndarray:
    """Returns where a quantity, the values' or the form's, is read, 1 else 0, (n, time) of rows (n, time + 1) of one sentence each."""
    targets = rows[:, 1:]
    spaces_left = np.flip(np.cumsum(np.flip(targets == SPACE, -1), -1), -1)
    found: np.ndarray = (((spaces_left == 0) == (quantity == VALUE)) & (targets != mark)).astype(np.float64)
    return found
