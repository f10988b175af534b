"""Low-rank adaptation: W + (alpha / r) A B, with A and B in a collection of their own (LoRA, Hu et al. 2021, section 4.1)."""

import dataclasses
import itertools
import math
import re
import zlib
from collections.abc import Mapping, Sequence
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

    targets: patterns over parameter paths; each must match at least one matrix. Of stacked ones it may choose layers: `tree.of_layers`.
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
    chosen = sorted(
        {path for pattern in spec.targets for path in tree.matching(tree.of_layers(pattern)[0], sites, "adapter.targets pattern")}
    )
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
    for what, pairs in (("adapter.ranks pattern", spec.ranks), ("adapter.alphas pattern", spec.alphas)):
        used = {next((pattern for pattern, _ in pairs if re.search(pattern, path)), None) for path in chosen}
        if hidden := [pattern for pattern, _ in pairs if pattern not in used]:
            raise UsageError(f"{what} {hidden[0]!r} applies to nothing: the patterns before it match first; put it before them")
    return result


def scale(spec: LoRA, rank: Array | int, alpha: Array | float) -> Array:
    """Returns the factor before A B, as float32; 0 at rank 0."""
    rank = jnp.asarray(rank, jnp.float32)
    divisor = jnp.sqrt(rank) if spec.scaling == "rslora" else rank
    return jnp.where(rank > 0, alpha / jnp.maximum(divisor, 1.0), 0.0).astype(jnp.float32)


def _size(site: Site) -> float:
    """A one-hot input has norm 1 whatever the vocabulary, a dense one has norm sqrt(inputs): x A is of order 1 in both."""
    return 1.0 if site.kernel.endswith("/embedding") else site.inputs**-0.5


def _drawn(key: Array, sites: Sequence[Site], width: int) -> dict[str, Array]:
    """Standard normal columns by kernel, stack + (inputs, width): column j comes from its own folded key, so rank r is a prefix of R.

    Sites of equally many inputs are drawn together: one generator in the compiled program instead of one a site.
    """
    drawn = {}
    for inputs in sorted({site.inputs for site in sites}):
        alike = [site for site in sites if site.inputs == inputs]
        names = [(zlib.crc32(site.kernel.encode()), layer) for site in alike for layer in range(math.prod(site.stack))]
        keys = jax.vmap(lambda name, layer: jax.random.fold_in(jax.random.fold_in(key, name), layer))(*jnp.array(names, jnp.uint32).T)
        columns = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))(keys, jnp.arange(width))
        normal_lri = jax.vmap(jax.vmap(lambda column, n=inputs: jax.random.normal(column, (n,), jnp.float32)))(columns)
        ends = list(itertools.accumulate(math.prod(site.stack) for site in alike))
        for site, rows in zip(alike, jnp.split(normal_lri, ends[:-1]), strict=True):
            drawn[site.kernel] = jnp.swapaxes(rows, 1, 2).reshape(*site.stack, inputs, width)
    return drawn


def mask(a: Array, rank: Array | int) -> Array:
    """Returns A with the columns beyond `rank` set to zero; their gradient is zero then, and they stay zero."""
    return jnp.where(jnp.arange(a.shape[-1]) < rank, a, 0.0)


def initialize(key: Array, targets: Mapping[str, tuple[Site, int, float]], spec: LoRA, rank: Array | None = None) -> dict[str, Any]:
    """Returns the collections {'adapter': A and B by module, 'constants': scale by module}: A random, B zero, hence the identity.

    `rank`, which may be traced, stands for `spec.rank`, up to which A and B are padded: columns of A beyond it are zero, as is their
    gradient, so that padding stays exactly zero under any elementwise optimizer. Stacked layers that no target chooses have scale 0.
    Adapters are float32 whatever the model's type.
    """
    adapter, constants = {}, {}
    widest = max((width for _, width, _ in targets.values()), default=0)
    drawn = _drawn(key, [site for site, _, _ in targets.values()], widest)
    chosen = tree.layers_chosen(spec.targets, {path: drawn[site.kernel] for path, (site, _, _) in targets.items()})
    for path, (site, width, alpha) in targets.items():
        own = width if rank is None or any(re.search(pattern, path) for pattern, _ in spec.ranks) else rank
        adapter[f"{site.module}/A"] = _size(site) * mask(drawn[site.kernel][..., :width], own)
        adapter[f"{site.module}/B"] = jnp.zeros((*site.stack, width, site.outputs), jnp.float32)
        factor = jnp.broadcast_to(scale(spec, own, alpha), site.stack)
        constants[f"{site.module}/scale"] = jnp.where(jnp.array(chosen[path]), factor, 0.0) if path in chosen else factor
    return {"adapter": tree.unflatten(adapter), "constants": tree.unflatten(constants)}
