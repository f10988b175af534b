"""The density of the Hessian's spectrum: on which scale curvature lies, and how much of it is negative."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.loss_landscape.plots.rows import inits_of, rows_of
from research.analysis.densities import Density
from research.figures import style

POINTS = (("start", "before training"), ("matched", "at the shared loss"), ("end", "after training"))
WIDTH = 0.01  # of the range of all eigenvalues: the standard deviation of the normal curve that stands for a node
PLACES = 600
FLOOR = 0.3  # of the height of a single eigenvalue's curve: what lies below is the curves' tails
DEEPEST = 1e-7  # of the highest density, where the number of weights is not known


class Spectrum(NamedTuple):
    """A density, and the loss at its point, NaN where not read."""

    density: Density
    loss: float


def densities(results: pd.DataFrame) -> Figure:
    """Returns log densities of eigenvalues (nats), mean over probes with its interval, a panel per point, all inits on shared axes."""
    own = _rows(results)
    found = {(at, init): _spectrum(rows_of(own, at=at, init=init)) for at, _ in POINTS for init in inits_of(rows_of(own, at=at))}
    if not found:
        return style.sentence("No spectra: this figure needs nodes and weights of the phase 'density'.")
    places, width = _places(list(found.values()))
    inits = inits_of(own)
    looks = style.looks(inits)
    points = [(at, name) for at, name in POINTS if any(at == one for one, _ in found)]
    with style.context():
        figure = style.blank(max(2.9 * len(points) + 0.4, 6.5), 3.5)
        panels = figure.subplots(1, len(points), squeeze=False, sharex=True, sharey=True).ravel()
        top = 0.0
        for (at, name), axes in zip(points, panels, strict=True):
            for init in (init for init in inits if (at, init) in found):
                top = max(top, _curve(axes, found[at, init], places, (looks[init], width)))
            axes.set_title("\n".join([name, *_losses(found, at)]), fontsize=9)
            axes.set_xlabel("eigenvalue (nats)")
        single = _size(results) * width * np.sqrt(2 * np.pi)
        panels[0].set_yscale("log")
        panels[0].set_ylim(FLOOR / single if single else DEEPEST * top, 2 * top)
        panels[0].set_ylabel("density (log scale)")
        style.legend_above(figure, inits, solid=False)
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns how densities are made and smoothed, what bands are, n, and what the lowest density means."""
    own, size = _rows(results), _size(results)
    probes = own["probe"].nunique() if len(own) else 0
    floor = f" The axis begins at {FLOOR:g} of the height of one alone of the {size:,} eigenvalues." if size else ""
    return (
        "Density of the Hessian's eigenvalues on the fixed batch set by stochastic Lanczos quadrature, each node smoothed by a normal "
        f"curve whose standard deviation is {100 * WIDTH:g} % of the range of all eigenvalues. Lines: mean over n = {probes} probes; "
        "bands: its 95 % interval over them, which is none over bases: one base was read. Both axes are shared. Titles say at which loss "
        "(bits/byte) each was read, at the shared one by the nearest reading: where losses differ, curvature does for that reason "
        f"alone.{floor}"
    )


def _rows(results: pd.DataFrame) -> pd.DataFrame:
    return rows_of(results, phase="density")


def _size(results: pd.DataFrame) -> int:
    values = rows_of(results, phase="reference", metric="parameters")["value"].dropna()
    return int(values.iloc[0]) if len(values) else 0


def _spectrum(own: pd.DataFrame) -> Spectrum:
    values, weights = (
        rows_of(own, metric=metric).pivot_table(index="probe", columns="node", values="value", dropna=False, aggfunc="first")
        for metric in ("spectral_node", "spectral_weight")
    )
    density = Density(np.nan_to_num(values.to_numpy(float)), weights.fillna(0.0).to_numpy(float), 0)
    return Spectrum(density, float(rows_of(own, metric="loss")["value"].mean()))


def _places(spectra: Sequence[Spectrum]) -> tuple[np.ndarray, float]:
    """Where densities are drawn, tails included, and the width of a node's curve."""
    values = np.concatenate([one.density.nodes.ravel() for one in spectra])
    low, high = float(values.min()), float(values.max())
    width = WIDTH * (high - low) or WIDTH
    return np.linspace(low - 6 * width, high + 6 * width, PLACES), width


def _curve(axes: Axes, spectrum: Spectrum, places: np.ndarray, drawn: tuple[style.Look, float]) -> float:
    look, width = drawn
    mean, low, high = spectrum.density.on(places, width)
    axes.plot(places, mean, color=look.color, linestyle=look.line, linewidth=1.2)
    axes.fill_between(places, low, high, color=look.color, alpha=0.18, linewidth=0)
    return float(mean.max())


def _losses(found: dict[tuple[str, str], Spectrum], at: str) -> list[str]:
    return [f"{init}: loss {one.loss:.2f}" for (place, init), one in found.items() if place == at and np.isfinite(one.loss)]
