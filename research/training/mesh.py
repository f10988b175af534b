"""The mesh and the one place with jit: axes member, data, fsdp, tensor."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from research import tree
from research.errors import UsageError
from research.training import processes

AXES = ("member", "data", "fsdp", "tensor")
CPU_OPTIONS = {"xla_backend_optimization_level": 1}  # a quarter less to compile than the default 3, and as fast
P = PartitionSpec

# First match wins. A spec shorter than a leaf is padded on the left: layers stacked by nn.scan are never split.
RULES: tuple[tuple[str, PartitionSpec], ...] = (
    (r"(^|/)(constants|subspace)/", P()),
    (r"(^|/)(dense|conv)_\d+/kernel$", P()),  # classifiers are small
    (r"(query|key)_norm/scale$", P()),  # each device needs all of it, whichever heads it holds
    (r"norm/scale$", P(("fsdp", "tensor"))),
    (r"(^|/)embedding/embedding$", P(None, ("fsdp", "tensor"))),
    (r"position/embedding$", P(None, ("fsdp", "tensor"))),
    (r"(query|key|value)/kernel$", P("fsdp", "tensor", None)),
    (r"out/kernel$", P("tensor", None, "fsdp")),
    (r"(gate|up|head)/kernel$", P("fsdp", "tensor")),
    (r"down/kernel$", P("tensor", "fsdp")),
    (r"(query|key|value)/bias$", P("tensor", None)),
    (r"bias$", P()),
    (r"/A$", P("fsdp", None)),
    (r"/B$", P(None, "tensor")),
)


@dataclasses.dataclass(frozen=True)
class MeshSpec:
    """Devices along each axis; at most one axis is -1, the rest of the devices.

    member: members of a population. data: examples. fsdp: examples and parameters (Zhao et al. 2023). tensor: heads and hidden units.
    """

    member: int = 1
    data: int = 1
    fsdp: int = 1
    tensor: int = 1

    def sizes(self, devices: int) -> tuple[int, ...]:
        """Returns the axes' sizes on so many devices; raises UsageError when they do not fit.

        An axis of -1 takes as many as the others leave room for: 6 devices hold one copy of a model that is split over 4.
        """
        sizes = dataclasses.astuple(self)
        fixed = math.prod(size for size in sizes if size != -1)
        wish = ", ".join(f"{axis} {size}" for axis, size in zip(AXES, sizes, strict=True))
        if min(sizes) < -1 or 0 in sizes or sizes.count(-1) > 1:
            raise UsageError(f"a mesh of {wish}: sizes are positive, and one of them may be -1 for the rest of the devices")
        if fixed > devices:
            raise UsageError(f"a mesh of {wish} does not fit {devices} devices; lower it with --config.mesh.AXIS=SIZE")
        return tuple(devices // fixed if size == -1 else size for size in sizes)


def make_mesh(spec: MeshSpec, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns the mesh over the first devices that `spec` needs, with Auto axes: the compiler spreads what jit's shardings begin.

    Raises UsageError when it does not fit the devices, or would leave a process of several without one.
    """
    devices = list(jax.devices() if devices is None else devices)
    sizes = spec.sizes(len(devices))
    used, idle = devices[: math.prod(sizes)], devices[math.prod(sizes) :]
    if left := {device.process_index for device in idle} - {device.process_index for device in used}:
        raise UsageError(f"a mesh of {sizes} on {len(devices)} devices leaves process {min(left)} without one; change mesh.*")
    return jax.make_mesh(sizes, AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=used)


def own_device() -> Mesh:
    """Returns the mesh of one device of this process, for what every process works out by itself."""
    return make_mesh(MeshSpec(), jax.local_devices())


def solo(spec: MeshSpec, devices: int, examples: int, processes: int = 1) -> MeshSpec:
    """Returns the mesh of one model on the devices of a population: the member axis is spent on data, as far as `examples` divide.

    What is left over stays idle. With several processes every device takes part, and those left over repeat the work of others.
    """
    member, data, fsdp, tensor = spec.sizes(devices)
    places = member * data
    shares = [n for n in range(1, places + 1) if examples % (n * fsdp) == 0 and (processes == 1 or places % n == 0)]
    data = max(shares, default=1)
    return MeshSpec(1 if processes == 1 else places // data, data, fsdp, tensor)


def leaf_path(path: Sequence[Any]) -> str:
    """Returns the '/'-joined name of a leaf from JAX's key path: dict keys, tuple fields, positions."""
    return "/".join(str(getattr(part, "key", getattr(part, "name", getattr(part, "idx", part)))) for part in path)


def specs(variables: Any, prefix: tuple[Any, ...] = ()) -> Any:
    """Returns the tree of PartitionSpecs by the first matching rule, each behind `prefix` (the member axis of stacked leaves).

    Scalars are replicated. Raises UsageError, naming the path, for a leaf that no rule matches: nothing is replicated by oversight.
    """

    def spec_of(path: Sequence[Any], leaf: Any) -> PartitionSpec:
        own = leaf.ndim - len(prefix)
        if own <= 0:
            return P(*prefix[: leaf.ndim])
        rule = tree.first_match(RULES, leaf_path(path), "sharding rule")
        if len(rule) > own:
            raise UsageError(f"{leaf_path(path)} of shape {leaf.shape} has fewer axes than its sharding rule {rule}")
        return P(*prefix, *((None,) * (own - len(rule))), *rule)

    return jax.tree_util.tree_map_with_path(spec_of, variables)


def shardings(mesh: Mesh, spec_tree: Any) -> Any:
    """Returns NamedShardings of a tree of PartitionSpecs."""
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), spec_tree, is_leaf=lambda x: isinstance(x, PartitionSpec))


def check_divisible(mesh: Mesh, variables: Any, spec_tree: Any) -> None:
    """Raises UsageError, naming the leaf, where an axis of a leaf is not divisible by the devices that split it."""
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    for (path, leaf), spec in zip(leaves, jax.tree.leaves(spec_tree, is_leaf=lambda x: isinstance(x, PartitionSpec)), strict=True):
        for size, names in zip(leaf.shape, spec, strict=False):
            devices = math.prod(mesh.shape[name] for name in ((names,) if isinstance(names, str) else names or ()))
            if size % devices:
                raise UsageError(f"{leaf_path(path)} has an axis of {size}, which {devices} devices ({names}) do not divide; change mesh.*")


def jit_step(step: Callable[..., Any], in_specs: Any, out_specs: Any, mesh: Mesh, donate: tuple[int, ...] = (0,)) -> Any:
    """Returns `step` compiled for a mesh: the only place of Lowlands with jit, shardings and donation.

    This is what pjit has become: jax.jit with shardings of arguments and results, from which the compiler derives all communication.
    Specs are trees of PartitionSpecs, or prefixes of such trees; `donate` names the arguments whose memory the results may take. Over
    several processes host arrays, the same in each, are laid out first.
    """
    compiled = jax.jit(
        step,
        in_shardings=shardings(mesh, in_specs),
        out_shardings=shardings(mesh, out_specs),
        donate_argnums=donate,
        compiler_options=CPU_OPTIONS if mesh.devices.flat[0].platform == "cpu" else None,
    )
    if not mesh.is_multi_process:
        return compiled
    # jit splits no NumPy array over processes by itself.
    return lambda *args: compiled(*processes.place(args, shardings(mesh, in_specs)))
