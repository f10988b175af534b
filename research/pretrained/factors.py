"""Low-rank updates where they lie: one for each matrix of ours in each layer, and one for each linear map of theirs, fused or not."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from research import tree
from research.errors import UsageError
from research.pretrained import families
from research.pretrained.checkpoint import places
from research.pretrained.families import ALSO_CALLED
from research.pretrained.layouts import KINDS, STORAGES

Place = tuple[str, int | None]  # our module, such as 'layers/attention/query', and the layer; None outside of the layers


class Factor(NamedTuple):
    """The update scale a b of one matrix: a (inputs, rank), b (rank, outputs)."""

    a: np.ndarray
    b: np.ndarray
    scale: float

    @property
    def rank(self) -> int:
        """Returns the rank."""
        return int(self.a.shape[1])


class Map(NamedTuple):
    """A linear map, or a table, of theirs: the matrices of ours that lie in it in the order of its parts, and their sizes.

    storage: how the outputs of the parts take turns (layouts.STORAGES). stored: that of its tensor, 'conv' for the transpose.
    """

    parts: tuple[Place, ...]
    inputs: int
    outputs: int
    table: bool
    storage: str
    stored: str
    heads: int


def maps(family: str, model: Mapping[str, Any]) -> dict[str, Map]:
    """Returns every linear map and table of a model by the name that its module has in transformers 5."""
    found = {}
    renamed = {theirs: new for new, theirs in ALSO_CALLED.get(family, {}).items()}
    for theirs, wanted in places(families.rows(family, model), model).items():
        row = wanted[0][0]
        kind = row.ours.rpartition("/")[2]
        if kind not in ("kernel", "embedding"):
            continue
        outputs, inputs = KINDS[row.layout.kind].matrix(row.shape) if kind == "kernel" else row.shape[::-1]
        ordered = sorted(wanted, key=lambda pair: pair[0].layout.part)
        parts = tuple((each.ours.rpartition("/")[0], layer) for each, layer in ordered)
        storage = {"fused_conv": "fused", "conv": "plain"}.get(row.layout.storage, row.layout.storage)
        name = renamed.get(theirs, theirs).removesuffix(".weight")
        found[name] = Map(parts, inputs, outputs * len(parts), kind == "embedding", storage, row.layout.storage, row.layout.heads)
    return found


def of_variables(variables: Mapping[str, Any]) -> dict[Place, Factor]:
    """Returns the updates of nested 'adapter' and 'constants', layers scanned or not, without padding; none where the rank is 0.

    UsageError where a scale is missing.
    """
    leaves = tree.flatten(variables)
    found: dict[Place, Factor] = {}
    for path in (path for path in leaves if path.startswith("adapter/") and path.endswith("/A")):
        module = path.removeprefix("adapter/").removesuffix("/A")
        if (scale := leaves.get(f"constants/{module}/scale")) is None:
            raise UsageError(f"the adapter of {module} was kept without its scale; run its cell anew")
        a, b, scale = (np.asarray(x, np.float32) for x in (leaves[path], leaves[f"adapter/{module}/B"], scale))
        if a.ndim == 3:
            found |= {(module, layer): _trimmed(a[layer], b[layer], float(scale[layer])) for layer in range(len(a))}
        else:
            found[_place(module)] = _trimmed(a, b, float(scale))
    return {place: factor for place, factor in found.items() if factor.rank and factor.scale}


def _place(module: str) -> Place:
    first, _, rest = module.partition("/")
    layer = first.removeprefix("layers_")
    return (f"layers/{rest}", int(layer)) if first != layer else (module, None)


def _trimmed(a: np.ndarray, b: np.ndarray, scale: float) -> Factor:
    """Padding are the last columns of A, which are zero, as is what B has there."""
    used = np.flatnonzero(np.any(a != 0, axis=0) | np.any(b != 0, axis=1))
    rank = int(used[-1]) + 1 if len(used) else 0
    return Factor(a[:, :rank], b[:rank], scale)


def to_variables(factors: Mapping[Place, Factor], layers: int, scan: bool) -> dict[str, Any]:
    """Returns nested 'adapter' and 'constants'; scanned ones are padded to the largest rank of a layer, of scale 0 where it has none."""
    leaves: dict[str, np.ndarray] = {}
    for module in sorted({module for module, _ in factors}):
        own = {layer: factor for (name, layer), factor in factors.items() if name == module}
        if not scan or None in own:
            for layer, factor in own.items():
                path = module if layer is None else module.replace("layers/", f"layers_{layer}/", 1)
                leaves |= {f"adapter/{path}/A": factor.a, f"adapter/{path}/B": factor.b}
                leaves[f"constants/{path}/scale"] = np.asarray(factor.scale, np.float32)
            continue
        first, width = next(iter(own.values())), max(factor.rank for factor in own.values())
        a, b = np.zeros((layers, len(first.a), width), np.float32), np.zeros((layers, width, first.b.shape[1]), np.float32)
        scale = np.zeros(layers, np.float32)
        for layer, factor in own.items():
            a[layer, :, : factor.rank], b[layer, : factor.rank], scale[layer] = factor
        leaves |= {f"adapter/{module}/A": a, f"adapter/{module}/B": b, f"constants/{module}/scale": scale}
    return tree.unflatten(leaves)


def fuse(one: Map, factors: Sequence[Factor | None]) -> Factor:
    """Returns the update of a whole map from those of its parts, of which at least one is there.

    Of several parts the ranks add up: A side by side, B a block for each, zero for the other parts. Scales that differ go into B.
    """
    present = [factor for factor in factors if factor is not None]
    if len(factors) == 1:
        return present[0]
    scale, rank, start, blocks = present[0].scale, sum(factor.rank for factor in present), 0, []
    for factor in factors:
        block = np.zeros((rank, one.outputs // len(factors)), np.float32)
        if factor is not None:
            block[start : start + factor.rank] = factor.b if factor.scale == scale else factor.b * np.float32(factor.scale / scale)
            start += factor.rank
        blocks.append(block.T)
    return Factor(np.concatenate([factor.a for factor in present], axis=1), STORAGES[one.storage].save(blocks, one.heads).T, scale)


def split(one: Map, factor: Factor) -> list[Factor | None]:
    """Returns the updates of the parts of a map; directions of which a part has nothing are left out there, which undoes `fuse`."""
    if len(one.parts) == 1:
        return [factor]
    found: list[Factor | None] = []
    for part in range(len(one.parts)):
        b = STORAGES[one.storage].load(factor.b.T, part, one.heads).T
        used = np.any(b != 0, axis=1)
        found.append(Factor(factor.a[:, used], b[used], factor.scale) if used.any() else None)
    return found
