"""Forgetting and learning against steps: a line per method at its middle strength."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.forgetting.plots import methods, rows
from research.figures import style

PANELS = {"rise": "rise of the source's loss", "target": "target loss"}


def steps(results: pd.DataFrame) -> Figure:
    """Returns the rise of the source's loss and the target's loss (bits/byte) against steps (log), each method at its middle strength.

    Lines are means over seeds, bands reach from the smallest to the largest.
    """
    own = _middle(rows.budgets(results))
    if own[["rise", "target"]].dropna().empty or own["step"].nunique() < 2:
        return style.sentence(
            "No curves: this figure needs 'budget_source' and 'budget_target' of the phase 'result' at two steps or more."
        )
    with style.context():
        figure = style.blank(7.2, 3.9)
        panels = figure.subplots(1, 2)
        for axes, (column, name) in zip(panels, PANELS.items(), strict=True):
            for method in methods.methods_of(own):
                _line(axes, own[own["method"] == method], column)
            _steps(axes, own)
            axes.set_title(f"{name} ({style.BITS})", fontsize=9.5)
        scale = rows.vertical(panels[0], own["rise"])
        panels[0].set_title(f"{PANELS['rise']} ({style.BITS}{scale})", fontsize=9.5)
        panels[0].axhline(0.0, color=style.GRAY, linewidth=1.0, linestyle=(0, (5, 2)), zorder=0.9)
        before = rows.untouched(results, "budget_target")
        if np.isfinite(before):
            panels[1].axhline(before, color=style.GRAY, linewidth=1.0, linestyle=(0, (5, 2)), zorder=0.9)
        style.legend_below(figure, _handles(own))
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns which strengths are shown, what lines and bands are, n, and what is missing."""
    own = _middle(rows.budgets(results))
    shown = [methods.words(method, own.loc[own["method"] == method, "strength"].iloc[0]) for method in methods.methods_of(own)]
    return (
        "What the source's loss rose above the same base's, and the target's loss, after so many steps, each method at the middle one of "
        f"its strengths ({'; '.join(shown) or 'none'}), which is not where they learned equally much. Lines: means over seeds (n = "
        f"{rows.seeds(own)}); bands: from the smallest to the largest of them, not an interval. Dashed: the untouched base. One run's "
        f"budgets are read along it.{rows.lost(own)}"
    )


def _middle(readings: pd.DataFrame) -> pd.DataFrame:
    """The readings of each method at its middle strength, the lower one of two, of methods that take steps on the way."""
    parts = [own for _, own in readings.groupby("method") if own["step"].nunique() > 1]
    if not parts:
        return readings.iloc[:0]
    kept = []
    for own in parts:
        known = np.sort(own["strength"].dropna().unique())
        kept.append(own[own["strength"] == known[(len(known) - 1) // 2]] if len(known) else own)
    return pd.concat(kept)


def _line(axes: Axes, own: pd.DataFrame, column: str) -> None:
    (method,) = methods.methods_of(own)
    look = methods.looks([method])[method]
    table = own.groupby("step")[column].agg(["mean", "min", "max"]).dropna()
    places = table.index.to_numpy(float)
    axes.fill_between(places, table["min"], table["max"], color=look.color, alpha=0.13, linewidth=0)
    axes.plot(places, table["mean"], color=look.color, marker=look.marker, markersize=methods.size(method, 4), linestyle="-", linewidth=1.3)


def _steps(axes: Axes, own: pd.DataFrame) -> None:
    """A log axis with a tick at each budget that has room for its name."""
    places = sorted(float(step) for step in own["step"].unique() if step > 0)
    axes.set_xscale("log")
    ticks = [place for i, place in enumerate(places) if i == 0 or place >= 1.3 * places[i - 1]]
    axes.set_xticks(ticks)
    style.plain_ticks(axes.xaxis)
    axes.set_xlabel("training steps (log scale)")


def _handles(own: pd.DataFrame) -> list:
    drawn = methods.methods_of(own)
    strengths = {method: own.loc[own["method"] == method, "strength"].iloc[0] for method in drawn}
    return [
        style.handle(look, methods.words(method, strengths[method]), linestyle="-", markersize=methods.size(method, 5))
        for method, look in methods.looks(drawn).items()
    ]
