"""Training in a random subspace: theta = theta0 + P v, with v the only thing that moves.

One P for all tensors jointly (DID); with `per_layer`, theta_i = theta0_i + lambda_i (P v)_i with one learned scale a layer, which counts
(SAID): d = len(v) + number of layers (Li et al. 2018, arXiv 1804.08838, section 2; Aghajanyan et al. 2020, arXiv 2012.13255, section 3).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from research import tree
from research.adapters import projections
from research.errors import UsageError
from research.models.model import Variables


@dataclasses.dataclass(frozen=True)
class Subspace:
    """What moves within a subspace, and in which.

    dimension: of the subspace, the scales of `per_layer` included; 0 is the untouched model.
    projection: kind of P, see `research/adapters/projections.py`. targets: patterns over parameter paths, each must match something.
    """

    dimension: int
    projection: str = "count_sketch"
    per_layer: bool = False
    targets: tuple[str, ...] = ("^params/",)

    def __post_init__(self) -> None:
        if self.projection not in projections.KINDS:
            raise UsageError(f"projection {self.projection!r}: choose one of {', '.join(projections.KINDS)}")
        if self.dimension < 0:
            raise UsageError(f"a dimension of {self.dimension}: must be 0 (the untouched model) or more")


def targeted(params: Mapping[str, Any], spec: Subspace) -> dict[str, Any]:
    """Returns the leaves (arrays or shapes) that the subspace spans, by path.

    Raises UsageError for a pattern without a match, a dimension above the number of parameters, and, with `per_layer`, one that leaves
    nothing beside the layers' scales.
    """
    leaves = tree.flatten({"params": params})
    chosen = sorted({path for pattern in spec.targets for path in tree.matching(pattern, leaves, "subspace target")})
    found = {path: leaves[path] for path in chosen}
    size, layers = sum(leaf.size for leaf in found.values()), len(layers_of(found))
    if spec.dimension > size:
        raise UsageError(f"a dimension of {spec.dimension} is above the {size} parameters that may move; lower it")
    if spec.per_layer and 0 < spec.dimension <= layers:
        raise UsageError(f"a dimension of {spec.dimension} with one scale for each of {layers} layers leaves no direction; raise it")
    return found


def layers_of(leaves: Mapping[str, Any]) -> list[str]:
    """Returns the layers, in order: the top-level modules of the paths ('params/layers_0/mlp/up/kernel' is of 'layers_0').

    Those stacked in 'params/layers/mlp/up/kernel' count one by one, under the names that they have unrolled.
    """
    return [name for module, paths in _modules(leaves).items() for name in _names(module, leaves[paths[0]])]


def _modules(leaves: Mapping[str, Any]) -> dict[str, list[str]]:
    """Paths by top-level module."""
    found: dict[str, list[str]] = {}
    for path in leaves:
        found.setdefault(path.split("/")[1], []).append(path)
    return found


def _names(module: str, leaf: Any) -> list[str]:
    return [f"{module}_{index}" for index in range(leaf.shape[0])] if f"/{module}/" == tree.STACKED else [module]


def initialize(key: Array, params: Mapping[str, Any], spec: Subspace, dimension: Array | None = None) -> dict[str, Any]:
    """Returns the collections 'adapter' (v of zeros, scales of ones) and 'constants' (those of P): the untouched model.

    `dimension`, which may be traced, stands for `spec.dimension`, up to which v is padded: entries beyond it have no gradient.
    """
    leaves = targeted(params, spec)
    scales = len(layers_of(leaves)) if spec.per_layer else 0
    width = max(spec.dimension - scales, 1)
    used = jnp.asarray(spec.dimension if dimension is None else dimension, jnp.int32) - scales
    size = sum(leaf.size for leaf in leaves.values())
    constants = projections.draw(spec.projection, key, size, width, jnp.clip(used, 1, width))
    adapter = {"v": jnp.zeros(width, jnp.float32), **({"scales": jnp.ones(scales, jnp.float32)} if scales else {})}
    return {"adapter": {"subspace": adapter}, "constants": {"subspace": {**constants, "moves": (used > 0).astype(jnp.float32)}}}


def displaced(variables: Mapping[str, Any], spec: Subspace) -> Variables:
    """Returns {'params': theta0 + P v}, each sum taken in float32 and rounded once to the parameter's type.

    Variables without a v, as a reference's or those displaced already, are returned as they are.
    """
    if "subspace" not in variables.get("adapter", {}):
        return dict(variables)
    leaves = tree.flatten({"params": variables["params"]})
    chosen = targeted(variables["params"], spec)
    adapter, constants = variables["adapter"]["subspace"], variables["constants"]["subspace"]
    size, start, passed = sum(leaf.size for leaf in chosen.values()), 0, 0
    update = constants["moves"] * projections.project(spec.projection, constants, adapter["v"], size)
    for module, paths in _modules(chosen).items():
        layers = len(_names(module, chosen[paths[0]]))
        end = start + sum(chosen[path].size for path in paths)
        step_ln, place = update[start:end].reshape(layers, -1), 0  # stacked layers one behind the other, as unrolled ones are
        if spec.per_layer:
            step_ln = adapter["scales"][passed : passed + layers, None] * step_ln
        for path in paths:
            leaf, size_of_one = leaves[path], leaves[path].size // layers
            step = step_ln[:, place : place + size_of_one].reshape(leaf.shape)
            leaves[path] = (leaf.astype(jnp.float32) + step).astype(leaf.dtype)
            place += size_of_one
        start, passed = end, passed + layers
    return tree.unflatten(leaves)
