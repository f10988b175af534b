"""Losses along lines of random directions, before training and after it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.loss_landscape.plots.rows import inits_of, logarithmic, missing, rows_of, wide
from research.figures import style

POINTS = (("start", "before training"), ("end", "after training"))
BAND = (0.1, 0.9)


def profiles(results: pd.DataFrame) -> Figure:
    """Returns the loss (bits/byte) against the place along a direction: median and band over directions, all inits on shared axes."""
    own = _rows(results)
    points = [(at, name) for at, name in POINTS if rows_of(own, at=at)["value"].notna().any()]
    if not points:
        return style.sentence("No profiles: this figure needs losses along directions, of the phase 'grid'.")
    inits = inits_of(own)
    looks = style.looks(inits)
    with style.context():
        figure = style.blank(max(3.6 * len(points), 5.4), 3.5)
        panels = figure.subplots(1, len(points), squeeze=False, sharex=True, sharey=True).ravel()
        for (at, name), axes in zip(points, panels, strict=True):
            for init in inits:
                _profile(axes, rows_of(own, at=at, init=init), looks[init])
            axes.set_title(name)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.set_xlabel("along a direction (1: as long as the weights)")
        if wide(own["value"]):
            logarithmic(panels[0], own["value"])
        panels[0].set_ylabel(f"loss ({style.BITS})")
        style.legend_above(figure, inits, solid=False)
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns what lines and bands are, over how many directions, and how many losses are missing."""
    own = _rows(results)
    return (
        "Loss on the fixed batch set along Gaussian directions, each filter in the norm of the weights' own, of everything trained. Lines: "
        f"median over n = {own['direction'].nunique() if len(own) else 0} directions; bands: between their quantiles "
        f"{BAND[0]:g} and {BAND[1]:g}, at each place. All of it around one base: the band says nothing of other bases. Both axes are "
        f"shared.{missing(own, 'they count as above all others, and a median that is not finite is left out')}"
    )


def _rows(results: pd.DataFrame) -> pd.DataFrame:
    return rows_of(results, phase="grid", metric="profile", trains="full")


def _profile(axes: Axes, own: pd.DataFrame, look: style.Look) -> None:
    if own.empty:
        return
    table = own.pivot_table(index="x", columns="direction", values="value", dropna=False, aggfunc="first")
    xs, losses = table.index.to_numpy(float), np.sort(table.fillna(np.inf).to_numpy(float), axis=1)
    low, middle, high = (_finite(np.quantile(losses, share, axis=1, method="inverted_cdf")) for share in (BAND[0], 0.5, BAND[1]))
    axes.plot(xs, middle, color=look.color, linestyle=look.line)
    axes.fill_between(xs, low, high, color=look.color, alpha=0.18, linewidth=0)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)
