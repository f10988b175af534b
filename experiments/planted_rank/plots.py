"""The ruler's own test: estimated against planted rank, and the divergence of students of every rank."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.planted_rank.readings_r90 import BREAK
from research.figures import style
from research.figures.intervals import around
from research.findings import Finding, find

LOOKS = {
    "flat": style.Look("#0072B2", "o", "-"),
    "decaying": style.Look("#D55E00", "s", (0, (6, 2))),
    "zero": style.Look("#009E73", "D", "-"),
    "full_rank": style.Look("#CC79A7", "^", "-"),
    "out_of_reach": style.Look("#000000", "X", "-"),
}
READ_LOOKS = {
    "matched": (style.Look("#0072B2", "o", "-"), "r90, as in lora_rank_sweep"),
    "teacher": (style.Look("#56B4E9", "s", (0, (6, 2))), "r90 to the teacher"),
    "estimated_rank": (style.Look("#D55E00", "x", "none"), "estimated rank"),
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
    """Returns the estimated rank of every case of the weakest strength against the planted one, mean and range over seeds.

    "Not reached" stands at the top, planted ranks beyond every student's at the right.

    `estimates` has columns decoy, spectrum, planted_rank, strength, seed, largest, value (null where no student came near).
    """
    estimates = _weakest(estimates)
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


def _weakest(estimates: pd.DataFrame) -> pd.DataFrame:
    return estimates[estimates["strength"] == estimates["strength"].min()]


def _point(axes: Axes, x: float, values: pd.Series, look: style.Look) -> None:
    low, high = values.mean() - values.min(), values.max() - values.mean()
    axes.errorbar([x], [values.mean()], [[low], [high]], color=look.color, marker=look.marker, linestyle="none", capsize=3, zorder=3)


def estimated_caption(estimates: pd.DataFrame) -> str:
    """Returns what the figure shows, and n."""
    seeds, strength = estimates["seed"].nunique(), estimates["strength"].min()
    return (
        "Estimated against planted rank: the smallest rank of a student whose divergence from its teacher lies below half of what "
        f"leaving out the last planted component costs, at {strength:g} nats a component. Mean and range over {seeds} seeds, which redraw "
        "plant, student and order, not the base. The gray line is the truth. A full-rank plant and one out of reach must not be reached."
    )


def divergence_against_rank(results: pd.DataFrame, estimates: pd.DataFrame) -> Figure:
    """Returns KL(teacher || student) in bits a byte against the student's rank, a panel per case, with the tolerance of each seed."""
    last = results.query("phase == 'result' and metric == 'kl' and trains == 'lora'")
    if last.empty:
        return style.sentence("No students have finished yet: this figure needs records of the phase 'result'.")
    table = pd.concat([results.query("phase == 'reference' and metric == 'kl'"), last[last["step"] == last["step"].max()]])
    cases = list(estimates[["decoy", "spectrum", "planted_rank", "strength"]].drop_duplicates().itertuples(index=False, name=None))
    columns = min(4, len(cases))
    with style.context():
        figure = style.blank(2.35 * columns + 0.4, 2.0 * -(-len(cases) // columns) + 0.5)
        grid = figure.subplots(-(-len(cases) // columns), columns, squeeze=False, sharex=True).ravel()
        for axes, (decoy, spectrum, planted, strength) in zip(grid, cases, strict=False):
            where = "decoy == @decoy and spectrum == @spectrum and planted_rank == @planted and strength == @strength"
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
            words = f"k = {planted}, {spectrum}, {strength:g} nats" if decoy == "none" else WORDS[decoy].removeprefix("decoy: ")
            axes.set_title(words, fontsize=8)
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


def r90_against_strength(found: Sequence[Finding]) -> Figure:
    """Returns r90 and the estimated rank against the strength of the plant, a panel for each planted rank, with the analytic r90.

    Shaded: half an octave around the analytic value. Dotted: what the estimator reads on the exact floors. Top: not reached.
    """
    broken = [f for f in found if f.name == "breaks_at" and f.where["of"] == "r90"]
    if not broken:
        return style.sentence("No rank was planted at several strengths, or its students have not finished: there is nothing to compare.")
    with style.context():
        figure = style.blank(3.8 * len(broken) + 0.2, 4.2)
        for axes, case in zip(figure.subplots(1, len(broken), squeeze=False)[0], broken, strict=True):
            _strengths(axes, found, case.where["spectrum"], case.where["planted_rank"])
        style.legend_below(figure, [style.handle(look, words) for look, words in READ_LOOKS.values()])
        return figure


def _strengths(axes: Axes, found: Sequence[Finding], kind: str, planted: int) -> None:
    case = {"decoy": "none", "spectrum": kind, "planted_rank": planted}
    own = [f for f in found if case.items() <= f.where.items()]
    strengths = sorted({f.where["strength"] for f in own})
    known, top = next(f.where["analytic"] for f in own if f.name == "planted_r90"), planted + 3.0
    axes.axhspan(known * 2**-BREAK, known * 2**BREAK, color="#eeeeee", zorder=0)
    axes.axhline(known, color=style.GRAY, linewidth=0.9, zorder=1)
    floor = find(found, "floor_r90", spectrum=kind, planted_rank=planted, grid="every rank")
    if floor is not None and floor.value is not None:
        axes.axhline(floor.value, color=style.GRAY, linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=1)
    for shift, (word, (look, _)) in zip((-SIDESTEP, 0.0, SIDESTEP), READ_LOOKS.items(), strict=True):
        where = {} if word == "estimated_rank" else {"reference": word}
        name = "estimated_rank" if word == "estimated_rank" else "planted_r90"
        read = [find(own, name, strength=strength, **where) for strength in strengths]
        placed = [(place + shift, f) for place, f in enumerate(read) if f is not None]
        x, value, sides = around([f for _, f in placed], [place for place, f in placed if f.value is not None])
        axes.errorbar(x, value, sides, color=look.color, marker=look.marker, linestyle=look.line, linewidth=0.9, capsize=2, zorder=3)
        beyond = [place for place, f in placed if f.value is None and f.note.startswith("not reached")]
        axes.plot(beyond, [top] * len(beyond), color=look.color, marker=look.marker, linestyle="none", zorder=3)
    gains = [find(own, "planted_gain", strength=strength, reference="matched") for strength in strengths]
    words = [f"{s:g}\n{g.value:.2g}" if g is not None and g.value is not None else f"{s:g}" for s, g in zip(strengths, gains, strict=True)]
    axes.set_xticks(range(len(strengths)), words)
    axes.set_ylim(0, top + 0.5)
    axes.set_yticks([*range(1, planted + 3), top], [*map(str, range(1, planted + 3)), "not\nreached"])
    axes.set_xlabel("nats a token that a component costs;\nbelow, the gain of matched training (bits/byte)")
    axes.set_ylabel("rank")
    axes.set_title(f"k = {planted}, {kind}", fontsize=9)


def r90_caption(found: Sequence[Finding]) -> str:
    """Returns what the figure shows, and n."""
    seeds = max((f.n for f in found if f.name == "planted_r90"), default=0)
    return (
        "r90 of students of a flat plant against its strength: between the untouched divergence and that of the same matrices trained "
        f"themselves, as in lora_rank_sweep, and to the teacher. Value and 95 % interval over {seeds} seeds (no bar: open), beside the "
        "estimated rank. Gray line: the analytic r90, of one matrix and a small update; shaded: half an octave around it; dotted: what the "
        "estimator reads on the exact floors."
    )
