"""Figure (b): how each arm's learning rate was chosen."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from research.figures import layout, style
from research.figures.intervals import (
    at_last_step,
    at_place,
    keys_of,
    over_seeds,
    ranks_of,
    seeds_sentence,
    select,
    spread,
    tidy,
)

BY = ["target", "init", "arm", "trains", "rank", "learning_rate"]
HEADROOM = 2.0
RING = "#222222"
EDGE = "#D55E00"


class Curve(NamedTuple):
    """One line of a panel: the learning rates' table, its look and marker size, and the chosen rate (NaN for none)."""

    table: pd.DataFrame
    look: style.Look
    size: float
    chosen: float
    on_edge: bool


def loss_against_learning_rate(results: pd.DataFrame) -> Figure:
    """Returns validation loss (bits/byte) against learning rate, a panel per initialization, arm and target, a line per rank.

    Chosen rates are ringed; a choice on the grid's edge has a square in another color; diverged members are crosses at the top.
    """
    frame = tidy(results)
    tried = at_last_step(select(frame, phase="select", metric="validation_loss"))
    if tried.empty:
        return style.sentence("No learning rates were tried: this figure needs records of the phase 'select'.")
    choice = select(frame, phase="choice", metric="best_learning_rate")
    with style.context():
        ranks, table = ranks_of(tried), over_seeds(tried, BY)
        figure, cells = layout.panels(keys_of(tried))
        for cell in cells:
            rows, chosen = (at_place(some, cell.target, cell.arm, cell.init) for some in (table, choice))
            _panel(cell.axes, _curves(rows, chosen, style.rank_colors(ranks)))
        layout.label_outer(cells, "learning rate", f"validation loss ({style.BITS})")
        style.legend_below(figure, _handles(tried, choice, ranks))
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns what the figure shows, how many seeds the choice rests on, and how many choices lie on an edge."""
    frame = tidy(results)
    tried = at_last_step(select(frame, phase="select", metric="validation_loss"))
    edges = int(select(frame, phase="choice")["on_edge"].sum())
    found = (
        f"{edges} of them on the grid's edge (squares), where a better one may lie outside" if edges else "none of them on the grid's edge"
    )
    seeds = int(tried["seed"].nunique())
    between = sorted(set(ranks_of(frame)) - set(ranks_of(tried)) - {0})
    steps, last = tried["step"].max(), select(frame, phase="result")["step"].max()
    short = f" Rates were tried for {steps:.0f} steps, results for {last:.0f}." if steps < last else ""
    anchors = " LoRA's rates were tried at the ranks shown; other ranks take theirs from these." if between else ""
    return (
        f"Loss on the target's validation part against learning rate; ringed: the chosen ones, {found}. A ring between points is the "
        f"lowest point of a parabola through them. Crosses: diverged. Vertical axes differ between panels.{anchors}{short} The choice "
        f"has {seeds} {'seed' if seeds == 1 else 'seeds'} of its own, apart from those of the results. "
        + seeds_sentence(tried, BY, "the same validation text throughout")
    )


def _curves(rows: pd.DataFrame, choice: pd.DataFrame, colors: Mapping[int, Any]) -> list[Curve]:
    """Returns the panel's lines: full and same matrices first, then the ranks in order."""
    curves = []
    for (trains, arm, rank), own in rows.groupby(["trains", "arm", "rank"], dropna=False):
        same = choice["rank"].isna() if np.isnan(rank) else choice["rank"] == rank
        picked = choice[same & (choice["trains"] == trains) & (choice["arm"] == arm)]
        chosen = float(picked["value"].iloc[0]) if len(picked) else float("nan")
        look = style.TRAINS_LOOKS.get(trains) or style.Look(colors.get(int(rank), style.GRAY), "o", "-")
        curves.append(Curve(own, look, style.TRAINS_SIZES.get(trains, 4.0), chosen, bool(picked["on_edge"].any())))
    return curves


def _panel(axes: Axes, curves: list[Curve]) -> None:
    """Draws the lines, the rings around chosen rates, and at the top what diverged or lies above the axis."""
    axes.set_xscale("log")
    best = [curve.table["mean"].min() for curve in curves if curve.table["mean"].notna().any()]
    low, top = (min(best), max(best) + HEADROOM) if best else (0.0, 1.0)
    seen = [value for curve in curves for value in curve.table["mean"] if value <= top]
    top = max(seen, default=top)
    span = max(top - low, 0.1)
    axes.set_ylim(low - 0.06 * span, top + 0.2 * span)
    lost = dict.fromkeys(sorted({rate for curve in curves for rate in curve.table["learning_rate"]}), 0)
    style.plain_ticks(axes.xaxis, list(lost))
    axes.set_xlim(min(lost, default=1.0) / 1.3, max(lost, default=1.0) * 1.3)
    for curve in curves:
        _line(axes, curve, top)
        for _, row in curve.table[~(curve.table["mean"] <= top)].iterrows():
            mark = "x" if np.isnan(row["mean"]) else "^"
            _at_top(axes, row["learning_rate"], mark, curve.look.color, lost[row["learning_rate"]])
            lost[row["learning_rate"]] += 1


def _line(axes: Axes, curve: Curve, top: float) -> None:
    """Draws one line and the mark of its chosen rate."""
    table, look = curve.table[curve.table["mean"] <= top], curve.look
    line: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": look.line, "linewidth": 1.3}
    drawn = axes.errorbar(
        table["learning_rate"], table["mean"], yerr=spread(table), markersize=curve.size, elinewidth=0.8, capsize=0, **line
    )
    for bars in drawn[2]:
        bars.set_alpha(0.4)  # over two selection seeds they are long
    if table.empty or np.isnan(curve.chosen):
        return
    height = np.interp(np.log(curve.chosen), np.log(table["learning_rate"]), table["mean"])
    shape, color, size = ("s", EDGE, 10) if curve.on_edge else ("o", RING, 8)
    axes.plot([curve.chosen], [height], linestyle="none", marker=shape, markersize=size, markerfacecolor="none", color=color, zorder=4)


def _at_top(axes: Axes, rate: float, mark: str, color: Any, before: int) -> None:
    """Puts a mark at the top of a learning rate's column, beside those already there."""
    shift = (before % 4) * 7 - 4, -(before // 4) * 7
    text, size = ("×", 11) if mark == "x" else ("▲", 7)
    place: dict[str, Any] = {
        "xycoords": axes.get_xaxis_transform(),
        "xytext": shift,
        "textcoords": "offset points",
        "ha": "center",
        "va": "center",
    }
    axes.annotate(text, (rate, 0.95), color=color, fontsize=size, **place)


def _handles(tried: pd.DataFrame, choice: pd.DataFrame, ranks: list[int]) -> list[Line2D]:
    """Returns the legend: ranks, references, and the marks that occur."""
    colors = style.rank_colors(ranks)
    handles = [style.handle(style.Look(colors[rank], "o", "-"), f"rank {rank}") for rank in ranks]
    handles += [
        style.handle(look, style.TRAINS_NAMES[name], markersize=style.TRAINS_SIZES[name])
        for name, look in style.TRAINS_LOOKS.items()
        if name in set(tried["trains"])
    ]
    ring: dict[str, Any] = {"linestyle": "none", "markerfacecolor": "none"}
    if len(choice):
        handles.append(Line2D([], [], color=RING, marker="o", markersize=8, label="chosen", **ring))
    if choice["on_edge"].any():
        handles.append(Line2D([], [], color=EDGE, marker="s", markersize=10, label="chosen, on the grid's edge", **ring))
    if tried["value"].isna().any():
        handles.append(Line2D([], [], color=RING, marker="x", linestyle="none", label="diverged"))
    return handles
