"""The definition of a low-rank adapter: W + s A B, in float32. The oracle of every other form."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from research import tree
from research.models.model import Variables


def delta(variables: Mapping[str, Any]) -> dict[str, Array]:
    """Returns s A B by parameter path, in float32 and in the shape of the parameter."""
    adapter, constants = tree.flatten(variables["adapter"]), tree.flatten(variables["constants"])
    params = tree.flatten(variables["params"])
    updates = {}
    for path in adapter:
        module, _, leaf = path.rpartition("/")
        if leaf != "A":
            continue
        name = next(f"{module}/{name}" for name in ("kernel", "embedding") if f"{module}/{name}" in params)
        factor = constants[f"{module}/scale"][..., None, None]
        product = jnp.matmul(factor * adapter[path].astype(jnp.float32), adapter[f"{module}/B"].astype(jnp.float32))
        updates[f"params/{name}"] = product.reshape(params[name].shape)
    return updates


def merge(variables: Mapping[str, Any]) -> Variables:
    """Returns {'params': W + s A B}: a plain model's variables, each sum taken in float32 and rounded once to the parameter's type."""
    params = tree.flatten({"params": variables["params"]})
    for path, update in delta(variables).items():
        params[path] = (params[path].astype(jnp.float32) + update).astype(params[path].dtype)
    return tree.unflatten(params)
