"""Kronecker factors of the Fisher information at linear maps: the coordinates in which the divergence of an update is its size.

For a small update D of a matrix, KL(before || after) is about tr(S D G D^T) / 2 nats a token, with S the second moment of the map's inputs
and G that of the gradients at its outputs (K-FAC, Martens & Grosse 2015, section 3).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from research.adapters.sites import LINEAR, Site, input_of
from research.models.model import Batch, Model

DAMPING = 0.07  # of the mean eigenvalue


class Factors(NamedTuple):
    """Second moments at one site: of its inputs (inputs, inputs), of the log-likelihood's gradients at its outputs (outputs, outputs)."""

    inputs: np.ndarray
    outputs: np.ndarray


def factors(model: Model, params: Mapping[str, Any], batch: Batch, sites: Sequence[Site], key: Array) -> dict[str, Factors]:
    """Returns the factors at each site by the path of its matrix; targets are drawn from what the model predicts, as Fisher's are."""
    by_module = {site.module: site for site in sites}

    def log_likelihood(probes: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
        seen: dict[str, Array] = {}

        def probe(next_fun: Any, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
            y = next_fun(*args, **kwargs)
            path = "/".join(context.module.path)
            if not isinstance(context.module, LINEAR) or context.method_name != "__call__" or path not in by_module:
                return y
            seen[path] = input_of(args, kwargs).reshape(-1, by_module[path].inputs)
            return y + probes[path].reshape(y.shape) if path in probes else y

        with nn.intercept_methods(probe):
            logits = model.apply({"params": params}, batch).logits
        logs = jax.nn.log_softmax(logits)
        drawn = jax.nn.one_hot(jax.random.categorical(key, jax.lax.stop_gradient(logits)), logits.shape[-1])
        return (logs * drawn).sum(), seen

    shapes = jax.eval_shape(lambda: log_likelihood({})[1])
    probes = {module: jnp.zeros((shape.shape[0], by_module[module].outputs), jnp.float32) for module, shape in shapes.items()}
    gradients, inputs = jax.grad(log_likelihood, has_aux=True)(probes)
    return {by_module[m].kernel: Factors(_second_moment(inputs[m]), _second_moment(gradients[m])) for m in by_module}


def _second_moment(rows: Any) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    return rows.T @ rows / len(rows)


def inverse_root(moment: np.ndarray) -> np.ndarray:
    """Returns the inverse square root of a second moment, damped by DAMPING of its mean eigenvalue."""
    values, vectors = np.linalg.eigh(moment)
    return (vectors / np.sqrt(values + DAMPING * values.mean())) @ vectors.T
