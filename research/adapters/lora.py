"""Low-rank adaptation: W + (alpha / r) A B, with A and B in a collection of their own (LoRA, Hu et al. 2021, section 4.1)."""

import dataclasses
import math
import re
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from research import tree
from research.adapters.sites import Site
from research.errors import UsageError

FORMS = ("factored", "fused")
SCALINGS = ("standard", "rslora")


@dataclasses.dataclass(frozen=True)
class LoRA:
    """What is adapted, and how.

    targets: patterns over parameter paths; each must match at least one matrix.
    rank, alpha: of every target, unless `ranks` or `alphas`, (pattern, value) pairs of which the first match wins, say otherwise.
    scaling: 'standard' is alpha / r (Hu et al. 2021), 'rslora' is alpha / sqrt(r) (Kalajdzievski 2023).
    dropout: rate on the adapter's input, in training only.
    form: how y = x (W + s A B) is computed; see `research/adapters/forms.py`. Both compute the same function.
    """

    targets: tuple[str, ...]
    rank: int
    alpha: float = 16.0
    scaling: str = "standard"
    dropout: float = 0.0
    form: str = "factored"
    ranks: tuple[tuple[str, int], ...] = ()
    alphas: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UsageError(f"adapter.form = {self.form!r}: choose one of {', '.join(FORMS)}")
        if self.scaling not in SCALINGS:
            raise UsageError(f"adapter.scaling = {self.scaling!r}: choose one of {', '.join(SCALINGS)}")
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"adapter.dropout = {self.dropout}: must be in [0, 1)")
        if self.dropout and self.form != "factored":
            raise UsageError(f"adapter.dropout = {self.dropout} acts on the adapter's input, which only adapter.form = 'factored' has")
        for rank in (self.rank, *(rank for _, rank in self.ranks)):
            if rank < 0:
                raise UsageError(f"a rank of {rank}: must be 0 (the identity) or more")


def targeted(sites: Mapping[str, Site], spec: LoRA, tied: tuple[str, ...] = ()) -> dict[str, tuple[Site, int, float]]:
    """Returns (site, rank, alpha) by parameter path for each matrix that `spec` adapts.

    Raises UsageError, naming the paths that exist, for a target, rank or alpha pattern that applies to nothing, a rank above
    min(inputs, outputs), and a matrix that is tied to another site.
    """
    if not spec.targets:
        raise UsageError(f"adapter.targets is empty; the matrices are: {', '.join(sites)}")
    chosen = sorted({path for pattern in spec.targets for path in tree.matching(pattern, sites, "adapter.targets pattern")})
    for what, pairs in (("adapter.ranks pattern", spec.ranks), ("adapter.alphas pattern", spec.alphas)):
        for pattern, _ in pairs:
            tree.matching(pattern, chosen, what)
    result = {}
    for path in chosen:
        if any(re.search(pattern, path) for pattern in tied):
            raise UsageError(f"{path} is tied: an adapter would change one of its two sites; untie it (model.tied=false) or leave it out")
        rank = tree.first_match((*spec.ranks, ("", spec.rank)), path)
        if rank > sites[path].max_rank:
            raise UsageError(f"rank {rank} is above min(inputs, outputs) = {sites[path].max_rank} of {path}; choose a rank up to that")
        result[path] = (sites[path], rank, tree.first_match((*spec.alphas, ("", spec.alpha)), path))
    return result


def scale(spec: LoRA, rank: Array | int, alpha: Array | float) -> Array:
    """Returns the factor before A B, as float32; 0 at rank 0."""
    rank = jnp.asarray(rank, jnp.float32)
    divisor = jnp.sqrt(rank) if spec.scaling == "rslora" else rank
    return jnp.where(rank > 0, alpha / jnp.maximum(divisor, 1.0), 0.0).astype(jnp.float32)


def _columns(key: Array, site: Site, width: int, rank: Array | int) -> Array:
    """A of shape stack + (inputs, width): column j comes from its own folded key, so rank r is a prefix of R; columns >= rank are 0."""
    # A one-hot input has norm 1 whatever the vocabulary, a dense one has norm sqrt(inputs): x A is of order 1 in both.
    size = 1.0 if site.kernel.endswith("/embedding") else site.inputs**-0.5
    base = jax.random.fold_in(key, zlib.crc32(site.kernel.encode()))
    layers = math.prod(site.stack)

    def column(layer: Array, j: Array) -> Array:
        drawn = jax.random.normal(jax.random.fold_in(jax.random.fold_in(base, layer), j), (site.inputs,))
        return jnp.where(j < rank, size * drawn, 0.0)

    a_lri = jax.vmap(lambda layer: jax.vmap(lambda j: column(layer, j))(jnp.arange(width)))(jnp.arange(layers))
    return jnp.swapaxes(a_lri, 1, 2).reshape(*site.stack, site.inputs, width)


def initialize(key: Array, targets: Mapping[str, tuple[Site, int, float]], spec: LoRA, rank: Array | None = None) -> dict[str, Any]:
    """Returns the collections {'adapter': A and B by module, 'constants': scale by module}: A random, B zero, hence the identity.

    `rank`, which may be traced, stands for `spec.rank`, up to which A and B are padded: columns of A beyond it are zero, as is their
    gradient, so that padding stays exactly zero under any elementwise optimizer. Adapters are float32 whatever the model's type.
    """
    adapter, constants = {}, {}
    for path, (site, width, alpha) in targets.items():
        own = width if rank is None or any(re.search(pattern, path) for pattern, _ in spec.ranks) else rank
        adapter[f"{site.module}/A"] = _columns(key, site, width, own)
        adapter[f"{site.module}/B"] = jnp.zeros((*site.stack, width, site.outputs))
        constants[f"{site.module}/scale"] = jnp.broadcast_to(scale(spec, own, alpha), site.stack)
    return {"adapter": tree.unflatten(adapter), "constants": tree.unflatten(constants)}
