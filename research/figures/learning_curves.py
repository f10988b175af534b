"""Figure (c): the loss at every budget."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from research.figures import layout, style
from research.figures.intervals import (
    at_place,
    entropies_of,
    keys_of,
    of_last_choice,
    over_seeds,
    places_of,
    ranks_of,
    seeds_sentence,
    select,
    tidy,
)

HEADROOM = 2.0


def learning_curves(results: pd.DataFrame) -> Figure:
    """Returns target loss (bits/byte) against steps (log): smallest and largest rank, full-rank references.

    A panel for each initialization, arm and target; the panels of a target share their vertical axis.
    """
    frame = tidy(results)
    trained = _trained(frame)
    if trained["step"].nunique() < 2:
        return style.sentence("No learning curves: this figure needs target losses of the phase 'result' at two steps or more.")
    shown = {rank for target, arm in places_of(trained) for rank in _ends(at_place(trained, target, arm))}
    kinds = _kinds(sorted(shown), set(trained["trains"]))
    with style.context():
        figure, cells = layout.panels(keys_of(trained))
        for cell in cells:
            _panel(cell.axes, at_place(trained, cell.target, cell.arm, cell.init), kinds)
            _steps(cell.axes, trained)
        layout.align(cells)
        for cell in cells:
            entropies = entropies_of(frame, cell.target)
            _known(cell.axes, entropies, _top(entropies, select(trained, target=cell.target)))
        for cell in layout.last_of_rows(cells):
            for name, value in entropies_of(frame, cell.target).items():
                style.name_line(cell.axes, value, name)
        layout.label_outer(cells, "training steps (log scale)", f"target loss ({style.BITS})")
        style.legend_below(figure, [style.handle(look, name) for look, name in kinds.values()])
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns what the figure shows, n, and what its intervals cover and leave out."""
    trained = _trained(tidy(results))
    budgets = ", ".join(str(int(step)) for step in sorted(trained["step"].dropna().unique()))
    last = trained["chosen_for"].max()
    rates = "" if np.isnan(last) else f" and was chosen for the loss after {last:.0f} steps: earlier losses are not the best that could be"
    return (
        f"Loss on a fixed piece of the target's test text at the budgets read off each run ({budgets or 'none'} steps); the learning "
        f"rate is constant after warm-up{rates}. Vertical axes differ between targets and end at most two bits above the unigram entropy. "
        + seeds_sentence(trained, ["target", "init", "arm", "trains", "rank", "step"])
    )


def _trained(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the target losses after at least one step: step 0 has no place on a log axis."""
    rows = of_last_choice(select(frame, phase="result", metric="budget_loss"))
    return rows[rows["step"] > 0]


def _panel(axes: Axes, rows: pd.DataFrame, kinds: Mapping[tuple[str, int | None], tuple[style.Look, str]]) -> None:
    """Draws the lines of an initialization: its own smallest and largest rank, and the references."""
    ends = _ends(rows)
    for (trains, rank), (look, _) in kinds.items():
        same = rows["rank"].isna() if rank is None else rows["rank"] == rank
        if rank is None or rank in ends:
            _curve(axes, rows[same & (rows["trains"] == trains)], look)


def _ends(rows: pd.DataFrame) -> set[int]:
    """Returns the smallest and the largest rank of an adapter; 0 is none, unless nothing else was trained."""
    ranks = [rank for rank in ranks_of(rows) if rank] or ranks_of(rows)
    return {ranks[0], ranks[-1]} if ranks else set()


def _known(axes: Axes, entropies: Mapping[str, float], top: float | None) -> None:
    """Draws what is known of the target's text, within the axis; failed runs cannot stretch it."""
    axes.set_ylim(top=top)
    for value in entropies.values():
        axes.axhline(value, color=style.GRAY, linewidth=1.1, zorder=0.9)
    low, high = axes.get_ylim()
    axes.set_ylim(bottom=min(low, *(value - 0.04 * (high - low) for value in entropies.values()), np.inf))


def _kinds(ranks: list[int], trains: set[str]) -> dict[tuple[str, int | None], tuple[style.Look, str]]:
    """Returns the look and the name of each line."""
    colors = style.rank_colors(ranks)
    looks: dict[tuple[str, int | None], Any] = {
        ("lora", rank): (style.Look(color, marker, "-"), f"rank {rank}")
        for (rank, color), marker in zip(colors.items(), itertools.cycle("osv^"), strict=False)
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
