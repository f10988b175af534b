"""Figure (c): the loss at every budget."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from research.figures import style
from research.figures.intervals import arms_of, entropies_of, inits_of, over_seeds, ranks_of, seeds_sentence, select, tidy

HEADROOM = 2.0


def learning_curves(results: pd.DataFrame) -> Figure:
    """Returns target loss (bits/byte) against steps (log): smallest and largest rank, full-rank references; a panel per init and arm."""
    frame = tidy(results)
    trained = _trained(frame)
    if trained.empty:
        return style.sentence("No learning curves yet: this figure needs target losses of the phase 'result'.")
    ranks = ranks_of(trained)
    shown = sorted({ranks[0], ranks[-1]}) if ranks else []
    kinds = _kinds(shown, set(trained["trains"]))
    entropies = entropies_of(frame)
    top = _top(entropies, trained)
    with style.context():
        figure, cells = style.panels(arms_of(trained), inits_of(trained), sharey=True)
        for cell in cells:
            rows = trained[(trained["init"] == cell.init) & trained["arm"].isin([cell.arm, ""])]
            for (trains, rank), (look, _) in kinds.items():
                same = rows["rank"].isna() if rank is None else rows["rank"] == rank
                _curve(cell.axes, rows[same & (rows["trains"] == trains)], look)
            for value in entropies.values():
                cell.axes.axhline(value, color=style.GRAY, linewidth=1.1, zorder=0.9)
            _steps(cell.axes, trained)
        cells[0].axes.set_ylim(top=top)
        style.label_outer(cells, "training steps (log scale)", f"target loss ({style.BITS})")
        for name, value in entropies.items():
            style.name_line(cells[-1].axes, value, name)
        style.legend_below(figure, [style.handle(look, name) for look, name in kinds.values()])
        return figure


def caption(results: pd.DataFrame, bases: int = 1) -> str:
    """Returns what the figure shows, n, and what its intervals cover and leave out."""
    trained = _trained(tidy(results))
    budgets = ", ".join(str(int(step)) for step in sorted(trained["step"].dropna().unique()))
    return (
        f"Loss on the target's test text at the budgets read off each run ({budgets or 'none'} steps; the learning rate is constant "
        "after warm-up). " + seeds_sentence(trained, ["init", "arm", "trains", "rank", "step"], bases)
    )


def _trained(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the target losses after at least one step: step 0 has no place on a log axis."""
    rows = select(frame, phase="result", metric="target_loss")
    return rows[rows["step"] > 0]


def _kinds(ranks: list[int], trains: set[str]) -> dict[tuple[str, int | None], tuple[style.Look, str]]:
    """Returns the look and the name of each line."""
    colors = style.rank_colors([1, 2] if len(ranks) == 2 else ranks)
    markers = ("o", "s")
    looks: dict[tuple[str, int | None], Any] = {
        ("lora", rank): (style.Look(color, marker, "-"), f"rank {rank}")
        for rank, color, marker in zip(ranks, colors.values(), markers, strict=False)
    }
    return looks | {(name, None): (look, style.TRAINS_NAMES[name]) for name, look in style.TRAINS_LOOKS.items() if name in trains}


def _top(entropies: Mapping[str, float], trained: pd.DataFrame) -> float | None:
    """Returns an upper end of the axis that no failing member can move away, or None where matplotlib's own serves."""
    limit = entropies.get("unigram", trained["value"].median()) + HEADROOM
    return float(limit) if (trained["value"] > limit).any() else None


def _curve(axes: Axes, rows: pd.DataFrame, look: style.Look) -> None:
    """Draws the mean at every budget, with the interval as a band."""
    table = over_seeds(rows, ["step"])
    axes.plot(table["step"], table["mean"], color=look.color, marker=look.marker, linestyle=look.line, markersize=4, linewidth=1.4)
    axes.fill_between(table["step"], table["low"], table["high"], color=look.color, alpha=0.18, linewidth=0)


def _steps(axes: Axes, trained: pd.DataFrame) -> None:
    """Puts the x axis's ticks at the budgets, and names as many of them as have room."""
    steps = sorted(trained["step"].unique())
    axes.set_xscale("log")
    style.plain_ticks(axes.xaxis)
    axes.xaxis.set_major_locator(FixedLocator(steps))
    room = np.log(steps[-1] / steps[0]) / 6 if len(steps) > 1 else 0.0
    names, last = [], np.inf
    for step in reversed(steps):
        fits = np.log(last / step) >= room
        names.append(style.compact(step) if fits else "")
        last = step if fits else last
    axes.set_xticklabels(names[::-1])
