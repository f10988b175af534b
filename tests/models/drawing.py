"""Weights for models under test: every parameter random, biases and norm scales too, and no program compiled to draw them."""

from typing import Any

import jax
import numpy as np

from research.models.model import Batch, Model


def drawn(model: Model, batch: Batch, seed: int = 0) -> dict[str, Any]:
    """Returns random variables of a model's shapes and types, of the order of what `init` draws."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0), batch)
    return jax.tree.map(lambda s: np.asarray(0.4 * rng.standard_normal(s.shape) + 0.1, s.dtype), shapes)
