"""A model that is not ours: every kind of linear map, hostile names, and a stack of layers that may be scanned or recomputed."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from research import tree
from research.adapters.adapt import adapt
from research.adapters.lora import LoRA
from research.models.model import Batch, Model, Variables, from_linen

TOKENS, WIDTH, LAYERS = 9, 6, 2
BATCH = {"inputs": np.random.default_rng(0).integers(0, TOKENS, (2, 4)).astype(np.int32)}
EVERY = ("(kernel|embedding)$",)
# By module: inputs, outputs, whether the layers' stack axis is in front. Names of the adapter's own leaves and collections among them.
SITES = {"lora": (TOKENS, WIDTH, 0), "A/B": (WIDTH, 8, 1), "A/A": (8, 6, 1), "A/scale": (6, WIDTH, 1), "adapter": (WIDTH, 5, 0)}


class Layer(nn.Module):
    """Dense, several outputs; several inputs and outputs; several inputs; with bias."""

    dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(self, x_btd: jax.Array) -> tuple[jax.Array, None]:
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        y = nn.DenseGeneral((2, 4), name="B", **types)(x_btd)
        y = nn.DenseGeneral((3, 2), axis=(-2, -1), name="A", use_bias=False, **types)(nn.tanh(y))
        return x_btd + nn.DenseGeneral(WIDTH, axis=(-2, -1), name="scale", **types)(nn.tanh(y)), None


class Foreign(nn.Module):
    """Embed, a stack of layers under a wrap ('none' leaves it out), a norm, and a Dense that narrows."""

    wrap: str = "scan"
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, batch: Batch, deterministic: bool = True) -> jax.Array:
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x_btd = nn.Embed(TOKENS, WIDTH, name="lora", **types)(batch["inputs"])
        if self.wrap == "none":
            return nn.Dense(5, name="adapter", **types)(x_btd)
        layer = nn.remat(Layer, prevent_cse="scan" not in self.wrap) if "remat" in self.wrap else Layer
        if "scan" in self.wrap:
            axes = dict.fromkeys(("params", "adapter", "constants"), 0)
            layer = nn.scan(layer, variable_axes=axes, split_rngs={"params": True}, length=LAYERS)
        x_btd, _ = layer(self.dtype, self.param_dtype, name="A")(x_btd)
        return nn.Dense(5, name="adapter", **types)(nn.LayerNorm(name="weight", **types)(x_btd))


def foreign(wrap: str = "scan", **types: Any) -> Model:
    """Returns the foreign model."""
    return from_linen(Foreign(wrap, **types))


def shapes(model: Model, batch: Batch = BATCH) -> Variables:
    """Returns the shapes of a model's variables, without computing anything."""
    return jax.eval_shape(model.init, jax.random.key(0), batch)


def random(model: Model, batch: Batch = BATCH) -> Variables:
    """Returns variables in which everything is random, A and B too; only the scale stays what the adapter says."""
    rng = np.random.default_rng(1)
    drawn = {p: np.asarray(0.5 * rng.standard_normal(s.shape), s.dtype) for p, s in tree.flatten(shapes(model, batch)).items()}
    constants = jax.jit(lambda: {name: x for name, x in model.init(jax.random.key(0), batch).items() if name == "constants"})()
    return {**tree.unflatten(drawn), **constants}


def adapted(model: Model, form: str = "factored", **fields: Any) -> Model:
    """Returns the model with an adapter at every site, of rank 3 and alpha 7 unless said otherwise."""
    return adapt(model, LoRA(**{"targets": EVERY, "rank": 3, "alpha": 7.0, "form": form, **fields}))
