"""The loss of training, which tells beside it what the values cost: the words with which sentences end."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from research.losses import Metrics, cross_entropy
from research.models.model import Batch, Model, Variables

SPACE = ord(" ")
QUANTITY = "value"


def value_loss(model: Model, variables: Variables, batch: Batch, reference: Any = None, key: Array | None = None) -> tuple[Array, Metrics]:
    """Returns what `cross_entropy` does, and among the metrics `value`: nats at the bytes behind the last space of a row, else 0."""
    loss, metrics = cross_entropy(model, variables, batch, reference, key)
    spaces_left = jnp.flip(jnp.cumsum(jnp.flip(batch["targets"] == SPACE, -1), -1), -1)
    return loss, {**metrics, QUANTITY: metrics["nll"] * (spaces_left == 0)}


def value_bytes(rows: np.ndarray, mark: int) -> np.ndarray:
    """Returns where the bytes of a value are predicted, 1 else 0, (n, time) of rows (n, time + 1) of one sentence each."""
    targets = rows[:, 1:]
    spaces_left = np.flip(np.cumsum(np.flip(targets == SPACE, -1), -1), -1)
    found: np.ndarray = ((spaces_left == 0) & (targets != mark)).astype(np.float64)
    return found
