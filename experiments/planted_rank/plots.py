"""The ruler's own test: estimated against planted rank, and the divergence of students of every rank."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from research.figures import style

LOOKS = {
    "flat": style.Look("#0072B2", "o", "-"),
    "decaying": style.Look("#D55E00", "s", (0, (6, 2))),
    "zero": style.Look("#009E73", "D", "-"),
    "full_rank": style.Look("#CC79A7", "^", "-"),
    "out_of_reach": style.Look("#000000", "X", "-"),
}
SIDESTEP = 0.16
WORDS = {
    "zero": "decoy: nothing planted",
    "full_rank": "decoy: full rank",
    "out_of_reach": "decoy: in matrices the adapter may not touch",
    "flat": "planted, flat spectrum",
    "decaying": "planted, decaying spectrum",
}


def _kind(decoy: str, spectrum: str) -> str:
    return spectrum if decoy == "none" else decoy


def estimated_against_planted(estimates: pd.DataFrame) -> Figure:
    """Returns the estimated rank of every case against the planted one, mean and range over seeds.

    "Not reached" stands at the top, planted ranks beyond every student's at the right.

    `estimates` has columns decoy, spectrum, planted_rank, seed, largest, value (null where no student came near).
    """
    if estimates.empty:
        return style.sentence("No students have finished yet: this figure needs records of the phase 'result'.")
    largest = int(estimates["largest"].max())
    top, beyond = largest + 1.5, largest + 2.0
    with style.context():
        figure = style.blank(5.4, 4.6)
        axes = figure.subplots()
        places = {rank: rank if rank <= largest else beyond for rank in sorted(set(estimates["planted_rank"]))}
        axes.plot([0, largest], [0, largest], color=style.GRAY, linewidth=0.9, zorder=1)
        axes.axhspan(top - 0.5, top + 0.5, color="#eeeeee", zorder=0)
        kinds = pd.Series([_kind(*pair) for pair in zip(estimates["decoy"], estimates["spectrum"], strict=True)], estimates.index)
        drawn = list(dict.fromkeys(kinds))
        for rank, rows in estimates.groupby("planted_rank"):
            here = [kind for kind in drawn if kind in set(kinds[rows.index])]
            for kind, shift in zip(here, SIDESTEP * (np.arange(len(here)) - (len(here) - 1) / 2), strict=True):
                _point(axes, places[rank] + shift, rows["value"][kinds[rows.index] == kind].fillna(top).astype(float), LOOKS[kind])
        ticks = sorted({*range(0, largest, 2), *(rank for rank in places if rank <= largest)})
        axes.set_yticks([*ticks, top], [*map(str, ticks), "not\nreached"])
        axes.set_xticks(list(places.values()), [str(rank) for rank in places])
        axes.set_xlabel("planted rank")
        axes.set_ylabel("estimated rank")
        style.legend_below(figure, [style.handle(LOOKS[kind], WORDS[kind], linestyle="none") for kind in drawn])
        return figure


def _point(axes: Axes, x: float, values: pd.Series, look: style.Look) -> None:
    low, high = values.mean() - values.min(), values.max() - values.mean()
    axes.errorbar([x], [values.mean()], [[low], [high]], color=look.color, marker=look.marker, linestyle="none", capsize=3, zorder=3)


def estimated_caption(estimates: pd.DataFrame) -> str:
    """Returns what the figure shows, and n."""
    seeds = estimates["seed"].nunique()
    return (
        "Estimated against planted rank: the smallest rank of a student whose divergence from its teacher lies below half of what "
        f"leaving out the last planted component costs. Mean and range over {seeds} seeds, which redraw plant, student and order, "
        "not the base. The gray line is the truth. A full-rank plant and one out of reach must not be reached."
    )


def divergence_against_rank(results: pd.DataFrame, estimates: pd.DataFrame) -> Figure:
    """Returns KL(teacher || student) in bits a byte against the student's rank, a panel per case, with the tolerance of each seed."""
    last = results.query("phase == 'result' and metric == 'kl'")
    if last.empty:
        return style.sentence("No students have finished yet: this figure needs records of the phase 'result'.")
    table = pd.concat([results.query("phase == 'reference' and metric == 'kl'"), last[last["step"] == last["step"].max()]])
    cases = list(estimates[["decoy", "spectrum", "planted_rank"]].drop_duplicates().itertuples(index=False, name=None))
    columns = min(4, len(cases))
    with style.context():
        figure = style.blank(2.35 * columns + 0.4, 2.0 * -(-len(cases) // columns) + 0.5)
        grid = figure.subplots(-(-len(cases) // columns), columns, squeeze=False, sharex=True).ravel()
        for axes, (decoy, spectrum, planted) in zip(grid, cases, strict=False):
            where = "decoy == @decoy and spectrum == @spectrum and planted_rank == @planted"
            own, told = table.query(where), estimates.query(where)
            look = LOOKS[_kind(decoy, spectrum)]
            for _, curve in own.groupby("seed"):
                by_rank = curve.set_index("rank")["value"].astype(float).sort_index()
                axes.plot(by_rank.index, by_rank.clip(lower=1e-9), color=look.color, marker=look.marker, markersize=3, linewidth=0.9)
            for value in told["tolerance"]:
                axes.axhline(value, color=style.GRAY, linewidth=0.8, linestyle=(0, (4, 2)))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if decoy == "none":
                axes.axvline(planted, color=style.GRAY, linewidth=0.8)
            axes.set_yscale("log")
            axes.set_title(f"k = {planted}, {spectrum}" if decoy == "none" else WORDS[decoy].removeprefix("decoy: "), fontsize=8)
        for axes in grid[len(cases) :]:
            axes.set_visible(False)
        figure.supxlabel("rank of the student", fontsize=9)
        figure.supylabel("KL to the teacher (bits/byte)", fontsize=9)
        return figure


def divergence_caption(results: pd.DataFrame) -> str:
    """Returns what the figure shows."""
    rates: Any = results.query("phase == 'choice'")["value"].astype(float)
    span = f" between {np.nanmin(rates):g} and {np.nanmax(rates):g}" if rates.notna().any() else ""
    return (
        "Divergence of students from their teacher on held-out text against the student's rank, a line a seed, learning rate chosen per "
        f"case and rank{span}. Dashed: the tolerance, half of what leaving out the last planted component costs. Upright: the planted rank."
    )
