"""A spectrum as nodes and weights of stochastic Lanczos quadrature, and what is read of it: moments, shares, a smooth curve."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from research.analysis.intervals import t_interval, t_quantile
from research.findings import Estimate


class Density(NamedTuple):
    """The spectrum as nodes (probes, steps) and weights (probes, steps), of which each probe's sum is 1, of `size` eigenvalues.

    A probe that ended early is filled up with its last node, of weight 0.
    """

    nodes: np.ndarray
    weights: np.ndarray
    size: int

    def moment(self, power: int) -> Estimate:
        """Returns the mean of the eigenvalues to a power, with the t interval over probes; exact for a probe up to 2 steps - 1."""
        return t_interval((self.weights * self.nodes**power).sum(1))

    def negative_share(self, beyond: float = 0.01) -> Estimate:
        """Returns the share of eigenvalues below minus `beyond` times the largest |node|, t interval over probes.

        Near zero lies nearly all of a network's spectrum, in few nodes: of which sign these are says nothing.
        """
        return t_interval((self.weights * (self.nodes < -beyond * np.abs(self.nodes).max())).sum(1))

    def on(self, grid: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the density on a grid (points,), smoothed by a normal curve of standard deviation `width`, and its t interval's ends.

        Per unit of eigenvalue, mean over probes; its integral is 1.
        """
        distance = (grid[None, None, :] - self.nodes[:, :, None]) / width
        curves = (self.weights[:, :, None] * np.exp(-(distance**2) / 2)).sum(1) / (width * np.sqrt(2 * np.pi))
        half = t_quantile(0.95, len(curves) - 1) * curves.std(0, ddof=1) / np.sqrt(len(curves))
        return curves.mean(0), np.maximum(curves.mean(0) - half, 0.0), curves.mean(0) + half


def density_of(pairs: Sequence[tuple[np.ndarray, np.ndarray]], size: int) -> Density:
    """Returns the density of nodes and weights, a pair for each probe; where a probe broke down early, it has nodes without weight."""
    steps = max(nodes.size for nodes, _ in pairs)
    filled = [(np.pad(nodes, (0, steps - nodes.size), "edge"), np.pad(weights, (0, steps - nodes.size))) for nodes, weights in pairs]
    nodes, weights = (np.stack(side) for side in zip(*filled, strict=True))
    return Density(nodes, weights, size)
