"""The loss against the learning rate, by rank, under each rule: where the best rate of each setting lies."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.learning_rate_law.compared import places_of
from experiments.learning_rate_law.plots import looks
from research.figures import style
from research.findings import Finding


def losses(results: pd.DataFrame, found: Sequence[Finding]) -> Figure:
    """Returns the target's loss (bits/byte, means over seeds) against the learning rate, a panel a rule and a row a target and start.

    A mark on a curve is the best rate of its setting, with its interval.
    """
    places, rules = places_of(found), list(looks.rules(found))
    if not places or not rules:
        return style.sentence("No curves: this figure needs best rates, which need losses of the phase 'result' at three rates or more.")
    ranks = sorted({f.where["rank"] for f in found if f.name == "best_rate" and f.where["rank"]})
    colors = style.rank_colors(ranks)
    with style.context():
        figure = style.blank(2.6 * len(rules) + 0.6, 2.3 * len(places) + 0.8)
        grid = figure.subplots(len(places), len(rules), squeeze=False, sharex=True, sharey="row")
        for (row, place), (column, rule) in itertools.product(enumerate(places), enumerate(rules)):
            axes = grid[row, column]
            _panel(axes, results, [f for f in found if f.name == "best_rate" and _of(f) == (*place, rule)], colors)
            axes.set_title(rule if row == 0 else "", fontsize=9)
        for row, place in enumerate(places):
            grid[row, 0].set_ylabel(f"{place[0]}\n{place[1]} ({style.BITS})", fontsize=8)
        grid[-1, len(rules) // 2].set_xlabel("learning rate")
        style.legend_below(figure, [Line2D([], [], color=colors[rank], marker="o", markersize=4, label=f"rank {rank}") for rank in ranks])
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns how to read the curves."""
    lost = sum(f.value is None for f in found if f.name == "best_rate" and f.where["rule"])
    gone = f" {lost} settings have no best rate in at least one seed." if lost else ""
    return (
        "Loss on the target at the end against the learning rate, means over seeds, at the rates that were tried around the coarse choice. "
        f"Marks: best rate, geometric mean over bases, with its 95 % interval.{gone}"
    )


def _of(f: Finding) -> tuple[str, str, str]:
    return f.where["target"], f.where["init"], f.where["rule"]


def _panel(axes: Axes, results: pd.DataFrame, some: Sequence[Finding], colors: Mapping[int, Any]) -> None:
    for f in some:
        _curve(axes, _rows(results, f), f, colors[f.where["rank"]])
    axes.set_xscale("log")


def _rows(results: pd.DataFrame, f: Finding) -> pd.Series:
    own = results[(results["phase"] == "result") & (results["metric"] == "target_loss") & (results["rank"] == f.where["rank"])]
    own = own[
        (own["target"] == f.where["target"]) & (own["init"] == f.where["init"]) & np.isclose(own["alpha"].astype(float), f.where["alpha"])
    ]
    return own.astype({"value": float}).groupby("learning_rate")["value"].mean()


def _curve(axes: Axes, curve: pd.Series, f: Finding, color: Any) -> None:
    rates, values = curve.index.to_numpy(float), curve.to_numpy(float)
    axes.plot(rates, values, color=color, linewidth=1.2, marker=".", markersize=3)
    if f.value is None or not np.isfinite(values).any():
        return
    value, low, high = looks.ends(f)
    height = float(np.interp(np.log(value), np.log(rates), values))
    axes.errorbar([value], [height], xerr=[[value - low], [high - value]], color=color, marker="o", markersize=5, linewidth=1.2, zorder=3)
