"""Whether scaling intruders down keeps more of the source than scaling the whole update down does, at the same loss on the target."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.lora_vs_full.plots import looks
from experiments.lora_vs_full.tables import EQUAL_TARGET, INTRUDERS, NONE, OTHERS, UPDATE
from research.analysis.tables import rows
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, verdict
from research.figures import layout, style
from research.findings import Finding

ALL = "all"
LOSSES = ("target_loss", "source_loss")


def scaled(results: pd.DataFrame) -> Figure:
    """Returns the rise of the source's loss against the target's loss (bits/byte), a panel an arm.

    The path leads from the untouched model (star) through updates scaled as a whole to the tuned one; squares have their intruders scaled,
    and hollow marks as many other directions, or only what the update has along the intruders.
    """
    points = _points(results)
    if not (points["scaled"] == INTRUDERS).any():
        return style.sentence("No scaled updates: this figure needs 'target_loss' and 'source_loss' of the phase 'altered'.")
    arms = looks.ordered(points["arm"])
    columns = 2 if len(arms) in (2, 4) else min(len(arms), 3)
    count = -(-len(arms) // columns)
    with style.context():
        figure = style.blank(max(2.4 * columns, 4.6), 2.4 * count + 0.9)
        grid = list(figure.subplots(count, columns, squeeze=False, sharex=True, sharey=True).ravel())
        for arm, axes in zip(arms, grid, strict=False):
            _panel(axes, points[points["arm"] == arm])
            axes.set_title(looks.name(arm), fontsize=9.5)
        for axes in grid[len(arms) :]:
            axes.set_visible(False)
        for axes in grid[max(len(arms) - columns, 0) : len(arms)]:
            axes.xaxis.set_tick_params(labelbottom=True)
        layout.label_rows(grid[: len(arms)], f"target loss ({style.BITS})", f"rise of the source's\nloss ({style.BITS})")
        style.legend_below(figure, _handles(points))
        return figure


def caption(results: pd.DataFrame, found: Sequence[Finding] = ()) -> str:
    """Returns how to read the plane, which factors there are, n, and how many comparisons at equal loss tell the two apart."""
    points = _points(results)
    factors = points[points["factor"].between(0, 1, inclusive="neither")].groupby("scaled")["factor"].unique()
    said = {what: [f"{factor:g}" for factor in sorted(factors.get(what, []))] for what in (ALL, INTRUDERS)}
    between = f"{INTRUDERS} - {ALL}"
    own = [f for f in found if f.name == "contrast" and f.where["what"] == EQUAL_TARGET and f.where["between"] == between]
    read = [word for f in own if f.value is not None and (word := verdict(f)) != UNJUDGED]
    unread = f"; {len(own) - len(read)} cannot be read there, or have no interval" if len(own) > len(read) else ""
    judged = (
        f" At the same loss on the target, of {len(read)} squares {read.count(LESS)} lose less of the source than the path, "
        f"{read.count(MORE)} more, {read.count(ALIKE)} are not told apart{unread}. {looks.intervals(own)}"
        if own
        else ""
    )
    return (
        "Loss on the target against what the source's loss rose above the same base's, at the end of training; down and left is better. "
        f"Line: the whole update times {', '.join(said[ALL]) or 'nothing'}, as WiSE-FT does, from the untouched model to the tuned one. "
        f"Squares: only the intruders' singular values times {', '.join(said[INTRUDERS]) or 'nothing'}, the smaller the factor the "
        f"smaller the square; below the line scaling intruders is the better way.{_hollow(points)} Marks: means over seeds (n = "
        f"{points['seed'].nunique()}); faint, of the path and the squares: each seed.{judged}"
    )


_STAR: dict[str, Any] = {"color": "#ffd21f", "marker": "*", "markersize": 12, "markeredgecolor": "black", "markeredgewidth": 0.8}
_PATH = "#222222"
_SQUARE = style.Look("#D55E00", "s", "-")
_LIGHTER = {OTHERS: style.Look("#009E73", "^", "-"), UPDATE: style.Look("#0072B2", "d", "-")}
_HOLLOW: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 1.0}
_SCALED = {
    OTHERS: ("as many others scaled", "triangles: as many of the other leading directions, scaled so"),
    UPDATE: (
        "update along intruders scaled",
        "diamonds: only what the update has along the intruders, and nothing that the start has there",
    ),
}


def _hollow(points: pd.DataFrame) -> str:
    """What the hollow marks are, of parts that were read."""
    told = [said for part, (_, said) in _SCALED.items() if (points["scaled"] == part).any()]
    return f" Hollow {'; '.join(told)}." if told else ""


def _points(results: pd.DataFrame) -> pd.DataFrame:
    """A row per arm, seed and what is scaled by which factor: target and rise; the path (all) begins at 0 and ends at 1."""
    empty = pd.DataFrame(columns=["arm", "seed", "scaled", "factor", "target", "rise"])
    made, start, result = (
        rows(results, **where) for where in ({"phase": "altered", "null": NONE}, {"phase": "reference"}, {"phase": "result"})
    )
    if made.empty or start.empty or result.empty:
        return empty
    ends = result[(result["step"] == result["step"].max()) & result["arm"].isin(made["arm"]) & result["seed"].isin(made["seed"])]
    begun = start[start["seed"].isin(made["seed"])]
    untouched = [begun.assign(arm=arm, scaled=ALL, factor=0.0) for arm in looks.ordered(made["arm"])]
    every = pd.concat([made, ends.assign(scaled=ALL, factor=1.0), *untouched], ignore_index=True)
    every = every[every["metric"].isin(LOSSES)]
    table = every.pivot_table(index=["arm", "seed", "scaled", "factor"], columns="metric", values="value").reindex(columns=list(LOSSES))
    table = table.dropna().reset_index()
    before = begun[begun["metric"] == "source_loss"].groupby("seed")["value"].mean()
    rise = table["source_loss"] - table["seed"].map(before)
    return table.assign(target=table["target_loss"], rise=rise)[empty.columns]


def _panel(axes: Axes, own: pd.DataFrame) -> None:
    axes.axhline(0.0, color=style.GRAY, linewidth=0.9, zorder=0.9)
    path = _mean(axes, own[own["scaled"] == ALL], _PATH)
    for factor, point in path.iterrows():
        mark = _STAR if factor == 0 else {"color": _PATH, "marker": "o", "markersize": 6 if factor == 1 else 4}
        axes.plot(*point, **mark, linestyle="none", zorder=6 if factor == 0 else 4)
    tuned = own[(own["scaled"] == ALL) & (own["factor"] == 1)]
    for part, look in {INTRUDERS: _SQUARE, **_LIGHTER}.items():
        beside = _mean(axes, pd.concat([own[own["scaled"] == part], tuned]), look.color, lighter=part in _LIGHTER)
        beside = beside[beside.index < 1]
        face = {"markeredgecolor": look.color, **_HOLLOW} if part in _LIGHTER else {"markeredgecolor": "white"}
        for size, (_, point) in zip(np.linspace(4, 7, len(beside)), beside.iterrows(), strict=True):
            axes.plot(*point, color=look.color, marker=look.marker, markersize=size, linestyle="none", zorder=5, **face)


def _mean(axes: Axes, some: pd.DataFrame, color: str, lighter: bool = False) -> pd.DataFrame:
    """Draws a line of each seed, faintly, unless it is a lighter one, and their mean, which it returns by factor: target, rise."""
    for _, one in some.sort_values("factor").groupby("seed") if not lighter else ():
        axes.plot(one["target"], one["rise"], color=color, linewidth=0.7, alpha=0.3)
    mean = some.groupby("factor")[["target", "rise"]].mean()
    axes.plot(mean["target"], mean["rise"], color=color, linewidth=0.9 if lighter else 1.5, zorder=2.5 if lighter else 3)
    return mean


def _handles(points: pd.DataFrame) -> list[Any]:
    read = [part for part in _LIGHTER if (points["scaled"] == part).any()]
    return [
        style.handle(style.Look("black", "*", "none"), "untouched", **_STAR),
        style.handle(style.Look(_PATH, "o", "-"), "whole update scaled", markersize=4),
        style.handle(style.Look(_PATH, "o", "none"), "tuned", markersize=6),
        style.handle(_SQUARE, "intruders scaled"),
        *(style.handle(_LIGHTER[part], _SCALED[part][0], markersize=5, linewidth=0.9, **_HOLLOW) for part in read),
    ]
