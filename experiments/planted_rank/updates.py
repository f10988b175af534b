"""Updates of known rank and known subspaces, planted into the matrices at chosen sites, on the host."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.planted_rank.kronecker import Factors, inverse_root
from research import tree
from research.adapters.sites import Site
from research.errors import UsageError


class Planted(NamedTuple):
    """One planted update, L diag(s) R^T: left (inputs, rank), values (rank,) descending, right (outputs, rank)."""

    left: np.ndarray
    values: np.ndarray
    right: np.ndarray

    def matrix(self, rank: int | None = None) -> np.ndarray:
        """Returns the update (inputs, outputs), or its first `rank` components."""
        kept = slice(rank)
        return (self.left[:, kept] * self.values[kept]) @ self.right[:, kept].T


def chosen(sites: Mapping[str, Site], patterns: Sequence[str], what: str) -> list[Site]:
    """Returns the sites whose path matches one of the patterns; each must match something."""
    paths = {path for pattern in patterns for path in tree.matching(pattern, sites, what)}
    return [sites[path] for path in sorted(paths)]


def draw(sites: Sequence[Site], metric: Mapping[str, Factors], values: np.ndarray, seed: int) -> dict[str, Planted]:
    """Returns an update for the matrix of each site, a pure function of (seed, path): S^-1/2 U diag(values) V^T G^-1/2.

    U and V are random and orthonormal, S and G the site's factors: alone, and while small, component i costs values_i^2 / 2 nats a token,
    and no update of lower rank comes nearer than by leaving out the last. Raises UsageError for a rank above min(inputs, outputs), and for
    layers stacked by nn.scan.
    """
    planted = {}
    for site in sites:
        if site.stack:
            raise UsageError(f"{site.kernel} holds several layers; plant into an unrolled model (model.scan=false)")
        if len(values) > site.max_rank:
            raise UsageError(f"a planted rank of {len(values)} is above min(inputs, outputs) = {site.max_rank} of {site.kernel}; lower it")
        generator = np.random.default_rng([seed, zlib.crc32(site.kernel.encode())])
        left, right = (
            inverse_root(moment) @ np.linalg.qr(generator.standard_normal((len(moment), len(values))))[0] for moment in metric[site.kernel]
        )
        planted[site.kernel] = Planted(left, values, right)
    return planted


def plant(params: Mapping[str, Any], planted: Mapping[str, Planted], rank: int | None = None) -> dict[str, Any]:
    """Returns the parameters with the updates added, or the first `rank` components of each."""
    leaves = tree.flatten({"params": params})
    for path, update in planted.items():
        leaves[path] = (leaves[path] + update.matrix(rank).reshape(leaves[path].shape)).astype(leaves[path].dtype)
    return tree.unflatten(leaves)["params"]
