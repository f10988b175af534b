"""One function of many points, spread over the devices: grids of a landscape, probes, checkpoints."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from research.training import processes
from research.training.mesh import MeshSpec, P, jit_step, make_mesh, shardings


def all_devices() -> Mesh:
    """Returns the mesh with all devices along the member axis."""
    return make_mesh(MeshSpec(member=-1))


def spread(function: Callable[..., Any], mesh: Mesh | None = None, at_once: int = 1) -> Callable[..., Any]:
    """Returns call(points, *shared) -> host arrays: `function(point, *shared)` of each point along the leading axis of a tree of them.

    One program, in which every device of the mesh's member axis takes its part of the points, `at_once` of them side by side by vmap and
    the rest in turn. Compiled once for each shape: points are filled up to a multiple of the devices with the last one, and cut again.
    """
    mesh = all_devices() if mesh is None else mesh

    def over(points: Any, shared: tuple[Any, ...]) -> Any:
        if at_once == 1:
            return jax.lax.map(lambda point: function(point, *shared), points)
        return jax.lax.map(lambda point: function(point, *shared), points, batch_size=at_once)

    mapped = jax.shard_map(over, mesh=mesh, in_specs=(P("member"), P()), out_specs=P("member"), axis_names={"member"}, check_vma=False)
    compiled, devices = jit_step(mapped, (P("member"), P()), P("member"), mesh, donate=()), mesh.shape["member"]
    layout = shardings(mesh, P("member")), shardings(mesh, P())

    def call(points: Any, *shared: Any) -> Any:
        count = jax.tree.leaves(points)[0].shape[0]
        filled = -(-count // devices) * devices
        index = np.minimum(np.arange(filled), count - 1)
        own = points if filled == count else jax.tree.map(lambda leaf: leaf[index], points)
        found = processes.fetch(compiled(processes.place(own, layout[0]), processes.place(shared, layout[1])))
        return jax.tree.map(lambda leaf: leaf[:count], found)

    return call
