"""Figure (f): what the target gained and the source lost."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research.figures import layout, style
from research.figures.intervals import at_last_step, at_place, keys_of, over_seeds, ranks_of, seeds_sentence, select, spread, tidy

BY = ["target", "init", "arm", "trains", "rank"]
REACH = 1.5


def source_against_target(results: pd.DataFrame) -> Figure:
    """Returns source loss against target loss (bits/byte) after training: a panel per initialization, arm and
    target, a point per rank.

    The untouched model is a hollow circle; where it lies too far off, its coordinates are written with an arrow instead.
    """
    frame = tidy(results)
    pairs = _pairs(frame, "result")
    if pairs.empty:
        return style.sentence("No source losses yet: this figure needs source and target losses of the phase 'result'.")
    untouched = _pairs(frame, "reference")
    with style.context():
        ranks, keys = ranks_of(pairs), keys_of(select(frame, phase="result", metric="source_loss"))
        colors = style.rank_colors(ranks)
        figure, cells = layout.panels([key for key in keys if len(at_place(pairs, *key))], height=2.8)
        for cell in cells:
            rows, start = (at_place(some, cell.target, cell.arm, cell.init) for some in (pairs, untouched))
            _points(cell.axes, rows, colors)
            _untouched(cell.axes, rows, start)
        layout.label_outer(cells, f"target loss ({style.BITS})", f"source loss ({style.BITS})")
        handles = [style.handle(style.Look(colors[rank], "o", "none"), f"rank {rank}") for rank in ranks]
        handles += [
            style.handle(look, style.TRAINS_NAMES[name], linestyle="none", markersize=style.TRAINS_SIZES[name] + 1)
            for name, look in style.TRAINS_LOOKS.items()
            if name in set(pairs["trains"])
        ]
        if len(untouched):
            handles.append(style.handle(style.Look(style.GRAY, "o", "none"), "untouched", markerfacecolor="white", markersize=7))
        style.legend_below(figure, handles)
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns what the figure shows, n, and what its intervals cover and leave out."""
    frame = tidy(results)
    every = select(frame, phase="result", metric="source_loss")
    rows = at_last_step(every)
    read = ": the figure source_at_equal_loss compares at one target loss" if every["step"].nunique() > 1 else ""
    return (
        "Loss on the source's test text against loss on the target's, after training; down and left is better. Learning rates were "
        f"chosen on the target alone, and what learned more of the target has moved further{read}. Axes differ between panels. "
        + seeds_sentence(rows, BY)
    )


def _pairs(frame: pd.DataFrame, phase: str) -> pd.DataFrame:
    """Returns source and target means with intervals, joined by what was trained; cells without both are left out."""
    sides = []
    for metric in ("target_loss", "source_loss"):
        rows = select(frame, phase=phase, metric=metric)
        table = over_seeds(at_last_step(rows), BY)
        sides.append(table[table["mean"].notna() & (table["init"] != "")])
    return sides[0].merge(sides[1], on=BY, suffixes=("_x", "_y"))


def _side(table: pd.DataFrame, side: str) -> pd.DataFrame:
    """Returns one axis's mean and interval."""
    return table[[f"mean{side}", f"low{side}", f"high{side}"]].set_axis(["mean", "low", "high"], axis=1)


def _points(axes: Axes, rows: pd.DataFrame, colors: Mapping[int, Any]) -> None:
    """Draws the ranks as a chain of points and the references as marks of their own, with intervals both ways."""
    chain = rows[rows["trains"] == "lora"].sort_values("rank")
    axes.plot(chain["mean_x"], chain["mean_y"], color="#999999", linewidth=0.9, zorder=1)
    for i in range(len(rows)):
        one = rows.iloc[[i]]
        trains, rank = one["trains"].iloc[0], one["rank"].iloc[0]
        look = style.TRAINS_LOOKS.get(trains) or style.Look(colors.get(int(rank), style.GRAY), "o", "none")
        size = style.TRAINS_SIZES.get(trains, 4.5) + 1
        bars: dict[str, Any] = {"xerr": spread(_side(one, "_x")), "yerr": spread(_side(one, "_y")), "elinewidth": 0.9, "capsize": 0}
        mark: dict[str, Any] = {"color": look.color, "marker": look.marker, "markersize": size, "linestyle": "none", "zorder": 3}
        axes.errorbar(one["mean_x"], one["mean_y"], **bars, **mark)


def _untouched(axes: Axes, rows: pd.DataFrame, start: pd.DataFrame) -> None:
    """Draws the untouched model as a hollow point, or writes its coordinates where it would squeeze the others together."""
    if start.empty or rows.empty:
        return
    x, y = float(start["mean_x"].iloc[0]), float(start["mean_y"].iloc[0])
    near = all(_near(value, rows[f"mean{side}"]) for value, side in ((x, "_x"), (y, "_y")))
    if near:
        axes.plot([x], [y], marker="o", markersize=7, markerfacecolor="white", color=style.GRAY, linestyle="none", zorder=2)
        return
    arrow = "↗" if y > rows["mean_y"].max() else "→"
    axes.margins(y=0.16)
    axes.annotate(
        f"untouched ({x:.1f}, {y:.1f}) {arrow}", (0.98, 0.98), xycoords="axes fraction", ha="right", va="top", fontsize=8, color=style.GRAY
    )


def _near(value: float, others: pd.Series) -> bool:
    """Returns whether a value is within REACH bits of the others."""
    return bool(np.isfinite(value)) and others.min() - REACH <= value <= others.max() + REACH
