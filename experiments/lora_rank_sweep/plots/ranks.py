"""Figure (a): loss against rank, with its nulls and references."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research.figures import layout, style
from research.figures.intervals import (
    at_last_step,
    at_place,
    entropies_of,
    inits_of,
    keys_of,
    over_seeds,
    places_of,
    ranks_of,
    seeds_sentence,
    select,
    spread,
    tidy,
)

BY = ["target", "init", "arm", "trains", "rank"]
COLUMNS = {"nothing": "untouched", "matched": "same\nmatrices", "full": "everything"}
LINES = {"nothing": (0, (1, 2)), "matched": style.MATCHED.line, "full": style.FULL.line}
HEADROOM = 1.5


class Scale(NamedTuple):
    """Where a rank or a reference stands on the x axis, and the y range with the height of off-axis marks."""

    places: Mapping[str | int, float]
    low: float
    top: float


def loss_against_rank(results: pd.DataFrame) -> Figure:
    """Returns target loss (bits/byte) at the last step against rank, a panel per arm and target: low rank, the nulls, full-rank references.

    What is untouched stands left of rank 1, full-rank training of the same matrices and of everything right of the last rank; each
    has a thin horizontal line. A point above the axis is written at its top as a number with an arrow.
    """
    frame = tidy(results)
    trained = at_last_step(select(frame, phase="result", metric="target_loss"))
    inits = inits_of(trained)
    if not inits:
        return style.sentence("No target losses of trained cells yet: this figure needs records of the phase 'result'.")
    tables, keys, places = _tables(frame), keys_of(trained), places_of(trained)
    with style.context():
        figure, grid = layout.grid(len(places), 5.6, 3.6, least=6.4)
        titles = layout.titles(places)
        for axes, (target, arm) in zip(grid, places, strict=True):
            shown = [key[2] for key in keys if key[:2] == (target, arm)]
            table, untouched = (some[some["init"].isin(shown)] for some in (at_place(each, target, arm) for each in tables))
            entropies = entropies_of(frame, target)
            scale = _scale(table, untouched, entropies, ranks_of(table))
            _panel(axes, pd.concat([table, untouched]), shown, scale)
            _axes(axes, scale)
            for name, value in entropies.items():
                axes.axhline(value, color=style.GRAY, linewidth=1.1, zorder=0.9)
                style.name_line(axes, value, name)
            axes.set_title(titles[target, arm], loc="left")
        layout.label_rows(
            grid, "rank of the update (log scale); left: no training, right: full-rank training", f"target loss ({style.BITS})"
        )
        style.legend_above(figure, inits)
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns what the figure shows, n, and what its intervals cover and leave out."""
    trained = at_last_step(select(tidy(results), phase="result", metric="target_loss"))
    step = f" after {int(trained['step'].max())} steps" if len(trained) else ""
    same = "of the same matrices and " if (trained["trains"] == "matched").any() or trained.empty else ""
    return (
        f"Loss on the target's test text{step} against the rank of the update, learning rate tuned per arm. Left: untouched; right: "
        f"full-rank training {same}of everything. Gray: unigram and bigram entropy of the target's text, and the entropy "
        "of its grammar where that is known. Vertical axes differ between targets. " + seeds_sentence(trained, BY)
    )


def _tables(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns means over seeds of what was trained and of what was untouched."""
    trained = over_seeds(at_last_step(select(frame, phase="result", metric="target_loss")), BY)
    untouched = over_seeds(select(frame, phase="reference", metric="target_loss"), BY)
    return trained, untouched[untouched["init"] != ""]


def _scale(table: pd.DataFrame, untouched: pd.DataFrame, entropies: Mapping[str, float], ranks: list[int]) -> Scale:
    """Returns the x places and a y range that no untouched or failed run can stretch beyond the unigram's neighborhood."""
    places: dict[str | int, float] = {rank: np.log2(rank) if rank else np.log2(min([r for r in ranks if r] or [1])) - 1 for rank in ranks}
    first, last = min(places.values(), default=0.0), max(places.values(), default=0.0)
    step = max(1.0, (last - first) / 6)
    same: dict[str | int, float] = {"matched": last + 1.15 * step} if (table["trains"] == "matched").any() else {}
    places = {"nothing": first - 1.2 * step, **places, **same, "full": last + (2.4 if same else 1.15) * step}
    seen = table["mean"].dropna()
    if "unigram" in entropies:
        seen = seen[seen <= entropies["unigram"] + HEADROOM]
    ends = table.loc[seen.index, ["low", "high"]].stack().clip(seen.min() - HEADROOM, seen.max() + HEADROOM)
    everything = [*seen, *ends.dropna(), *entropies.values()] or [1.0]
    return Scale(places, min([*everything, *untouched["mean"].dropna()]), max(everything))


def _panel(axes: Axes, rows: pd.DataFrame, inits: list[str], scale: Scale) -> None:
    """Draws every initialization's points, intervals, reference lines and off-axis marks."""
    words, marks = style.looks(inits), dict.fromkeys(scale.places, 0)
    for init in inits:
        own = rows[rows["init"] == init]
        low_rank = own[(own["trains"] == "lora") & (own["mean"] <= scale.top)].sort_values("rank")
        _points(axes, low_rank, [scale.places[int(rank)] for rank in low_rank["rank"]], words[init], "-")
        for trains in (name for name in COLUMNS if name in scale.places):
            one = own[(own["trains"] == trains) & (own["mean"] <= scale.top)]
            if len(one):
                _points(axes, one, [scale.places[trains]] * len(one), words[init], "none")
                x = [scale.places["nothing"], scale.places["full"]]
                axes.plot(
                    x, [one["mean"].iloc[0]] * 2, color=words[init].color, linestyle=LINES[trains], linewidth=0.9, alpha=0.65, zorder=1
                )
        for _, row in own[~(own["mean"] <= scale.top)].iterrows():
            place = int(row["rank"]) if row["trains"] == "lora" else row["trains"]
            style.off_axis(axes, scale.places[place], row["mean"], words[init].color, marks[place])
            marks[place] += 1


def _points(axes: Axes, table: pd.DataFrame, x: list[float], look: style.Look, line: str) -> None:
    """Draws means with their intervals at the places `x`; untouched models are hollow."""
    face = "white" if (table["trains"] == "nothing").all() else look.color
    axes.errorbar(
        x,
        table["mean"],
        yerr=spread(table),
        color=look.color,
        marker=look.marker,
        linestyle=line,
        markerfacecolor=face,
        elinewidth=1,
        zorder=3,
    )


def _axes(axes: Axes, scale: Scale) -> None:
    """Names the places on the x axis, parts the references from the ranks, and leaves room for the off-axis marks."""
    span = max(scale.top - scale.low, 0.1)
    axes.set_ylim(scale.low - 0.05 * span, scale.top + 0.17 * span)
    axes.set_xlim(scale.places["nothing"] - 0.6, scale.places["full"] + 0.5)
    axes.set_xticks(list(scale.places.values()), [COLUMNS.get(str(name), str(name)) for name in scale.places])
    axes.grid(visible=False, axis="x")
    ranks = [x for name, x in scale.places.items() if isinstance(name, int)]
    if ranks:
        for edge in ((min(ranks) + scale.places["nothing"]) / 2, (max(ranks) + scale.places.get("matched", scale.places["full"])) / 2):
            axes.axvline(edge, color="#bbbbbb", linewidth=0.8)
