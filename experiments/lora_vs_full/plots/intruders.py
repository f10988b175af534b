"""Intruders against the strength of the update, beside updates of the same size that know nothing of the start."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from experiments.lora_vs_full.plots import looks
from experiments.lora_vs_full.tables import NOISE, NONE, ROTATED, updates
from research.figures import style
from research.findings import Finding

GRAY = looks.NOISE_COLOR
Readings = Mapping[tuple[str, str, str], pd.Series]


def intruders(results: pd.DataFrame) -> Figure:
    """Returns intruders a matrix against ||dW||_2 over the start's singular value: a mark a cell, at equal loss and at the end.

    A thin line leads from each to what its own singular values read in random directions; crosses are Gaussian noise of its norm.
    """
    points = _points(results)
    if points.empty:
        return style.sentence("No intruders: this figure needs 'intruders' and 'strength' of the phase 'update'.")
    drawn = looks.places(points["at"])
    with style.context():
        figure = style.blank(7.2 if len(drawn) > 1 else 4.6, 4.0)
        panels = figure.subplots(1, len(drawn), squeeze=False, sharey=True, sharex=True).ravel()
        for at, axes in zip(drawn, panels, strict=True):
            _panel(axes, points[points["at"] == at], points["word"])
            axes.set_title(looks.placed(at), fontsize=9.5)
            axes.set_xlabel("strength of the update")
            axes.xaxis.set_major_locator(FixedLocator(_ticks(points["strength"])))
            style.plain_ticks(axes.xaxis)
        panels[0].set_ylabel("intruders a matrix")
        panels[0].set_ylim(bottom=min(-0.25, -0.03 * points[["own", ROTATED, NOISE]].max().max()))
        style.legend_below(figure, [*looks.handles(points["word"], linestyle="none"), *_extra(points)])
        return figure


def caption(results: pd.DataFrame, found: Sequence[Finding] = ()) -> str:
    """Returns what an intruder and the strength are, what each mark is, n, and where arms are compared."""
    points = _points(results)
    runs = points.groupby(["word", "at"])["seed"].nunique() if len(points) else pd.Series(dtype=int)
    n = "0" if runs.empty else f"{runs.min()}" if runs.min() == runs.max() else f"{runs.min()} to {runs.max()}"
    return (
        "Intruders: leading singular vectors of a tuned matrix that resemble none of the start's, mean over matrices. Strength, on a log "
        "scale: the update's largest singular value over that of the start at the last of the leading places; above 1 (dashed) an update "
        f"can put a direction of its own among them. A mark is a cell, one seed of each base, n = {n} of each kind, so marks of a kind, "
        "not intervals, show the spread. Thin lines lead to rotated updates, of the same singular values in random directions: where the "
        f"two do not differ, what looks like an intruder is the update's size alone. {looks.level(found)}"
    )


def _points(results: pd.DataFrame) -> pd.DataFrame:
    """A row per cell and place: word, at, seed, strength, and intruders of its own, of the rotated update and of noise (NaN: not read)."""
    found: Readings = updates(results, "intruders")
    strengths: Readings = updates(results, "strength")
    rows: list[dict[str, Any]] = []
    for (arm, null, at), own in found.items():
        if null in (NOISE, ROTATED):
            continue
        strong = strengths.get((arm, null, at), pd.Series(dtype=float))
        beside = {name: found.get((arm, name, at), pd.Series(dtype=float)) if null == NONE else {} for name in (ROTATED, NOISE)}
        for seed, value in own.items():
            where = {"word": arm if null == NONE else null, "at": at, "seed": seed, "strength": strong.get(seed, float("nan"))}
            rows.append({**where, "own": value, **{name: values.get(seed, float("nan")) for name, values in beside.items()}})
    frame = pd.DataFrame(rows, columns=["word", "at", "seed", "strength", "own", ROTATED, NOISE])
    return frame[(frame["strength"] > 0) & frame["own"].notna()].sort_values(["at", "word", "seed"])


def _panel(axes: Axes, points: pd.DataFrame, every: pd.Series) -> None:
    for word, look in looks.looks(points["word"], every).items():
        own = points[points["word"] == word]
        kind: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": "none"}
        axes.vlines(own["strength"], own["own"], own[ROTATED], color=look.color, linewidth=0.7, alpha=0.5)
        axes.plot(own["strength"], own[NOISE], color=GRAY, marker="x", markersize=4, linestyle="none", markeredgewidth=0.9)
        axes.plot(own["strength"], own[ROTATED], **kind, markersize=looks.size(word, 4.5), markerfacecolor="white", markeredgewidth=0.9)
        axes.plot(own["strength"], own["own"], **kind, markersize=looks.size(word, 5.5), alpha=0.9, zorder=4)
    axes.set_xscale("log")
    axes.axvline(1.0, color=style.GRAY, linewidth=0.9, linestyle=(0, (5, 2)), zorder=0.9)


def _ticks(values: pd.Series) -> list[float]:
    """Places of a log axis that have room for their names."""
    low, high = 0.8 * values.min(), 1.25 * values.max()
    subs = (1.0, 2.0, 3.0, 5.0, 7.0) if high < 12 * low else (1.0, 3.0) if high < 1e3 * low else (1.0,)
    every = [sub * 10.0**power for power in range(-6, 7) for sub in subs]
    return [tick for tick in every if low <= tick <= high]


def _extra(points: pd.DataFrame) -> list[Line2D]:
    look = style.Look("#444444", "o", "none")
    extra = [style.handle(look, "hollow: rotated at random", markerfacecolor="white")] if points[ROTATED].notna().any() else []
    noise = style.handle(style.Look(GRAY, "x", "none"), "noise of its norm")
    return [*extra, *[noise] * bool(points[NOISE].notna().any())]
