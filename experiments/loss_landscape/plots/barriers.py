"""Barriers on the line between two solutions, and from a start to what became of it: as they are, and with their units matched."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.loss_landscape.plots.rows import inits_of, rows_of
from research.figures import style
from research.figures.intervals import around
from research.findings import Finding

KINDS = (("one base", "two runs of one base"), ("two bases", "runs of two bases"), ("start", "a start and its solution"))
MATCHINGS = {"raw": -0.18, "matched": 0.18}
LINE = ["seed", "run", "other_seed", "other_run"]


def barriers(results: pd.DataFrame, found: Sequence[Finding] = ()) -> Figure:
    """Returns barriers (bits/byte), raw and matched joined by a line, a panel per kind of pair, a column per initialization.

    Means have the intervals of the findings `barrier`, where these are given.
    """
    own = _rows(results)
    kinds = [(kind, name) for kind, name in KINDS if rows_of(own, pair=kind)["value"].notna().any()]
    if not kinds:
        return style.sentence("No barriers: this figure needs records of the phase 'barrier'.")
    inits = inits_of(own)
    with style.context():
        figure = style.blank(max((0.75 * len(inits) + 0.9) * len(kinds) + 0.4, 5.8), 3.8)
        panels = figure.subplots(1, len(kinds), squeeze=False).ravel()
        for (kind, name), axes in zip(kinds, panels, strict=True):
            for place, (init, look) in enumerate((init, style.looks(inits)[init]) for init in inits):
                _pairs(axes, place, rows_of(own, pair=kind, init=init), look)
                _intervals(axes, place, [f for f in _of(found) if (f.where["init"], f.where["pair"]) == (init, kind)])
            axes.axhline(0.0, color=style.GRAY, linewidth=0.9, zorder=0.9)
            axes.set_title(name, fontsize=9.5)
            axes.set_xticks(range(len(inits)), inits, rotation=30, ha="right", rotation_mode="anchor")
            axes.set_xlim(-0.5, len(inits) - 0.5)
            axes.grid(False, axis="x")
        panels[0].set_ylabel(f"barrier ({style.BITS})")
        style.legend_below(figure, _handles(own))
        return figure


def caption(results: pd.DataFrame, found: Sequence[Finding] = ()) -> str:
    """Returns what a barrier is, n by kind of pair, what intervals are, and how many barriers are missing."""
    own = _rows(results)
    methods = sorted({f.method for f in _of(found) if f.method and f.low is not None})
    bars = f", with intervals: {'; '.join(methods)}" if methods else ", without intervals"
    counts = [(name, rows_of(own, pair=kind, matching="raw").groupby("init").size()) for kind, name in KINDS]
    numbers = "; ".join(f"{name}: {_range(n)}" for name, n in counts if len(n))
    lost = int(own["value"].isna().sum())
    missing = f" {lost} of {len(own)} barriers are not finite, and not drawn." if lost else ""
    return (
        "Highest loss on the line between two solutions, above the straight line between their losses; below 0 the line lies under it "
        "everywhere. Full marks: as the weights are; hollow ones: the second solution's units permuted to match the first one's, where "
        f"both were trained; thin lines join the two readings of a pair. Pairs from each initialization: {numbers or 'none'}; pairs share "
        f"runs, so there are fewer independent ones. Dashes: means{bars}. Vertical axes differ between panels; initializations in a "
        f"panel share theirs.{missing}"
    )


def _rows(results: pd.DataFrame) -> pd.DataFrame:
    return rows_of(results, phase="barrier", metric="barrier")


def _range(counts: pd.Series) -> str:
    return str(counts.min()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"


def _pairs(axes: Axes, place: int, own: pd.DataFrame, look: style.Look) -> None:
    if own.empty:
        return
    table = own.pivot_table(index=LINE, columns="matching", values="value", aggfunc="first")
    names = [name for name in MATCHINGS if name in table]
    shifts = _shifts(names)
    jitter = np.linspace(-0.08, 0.08, len(table)) if len(table) > 1 else np.zeros(1)
    columns = np.stack([place + shifts[name] + jitter for name in names])
    axes.plot(columns, table[names].to_numpy(float).T, color=look.color, linewidth=0.5, alpha=0.4)
    for name, xs in zip(names, columns, strict=True):
        face = look.color if name == "raw" else "white"
        axes.plot(xs, table[name], color=look.color, marker=look.marker, markerfacecolor=face, markersize=3.5, linestyle="none", alpha=0.8)
        middle, mean = place + shifts[name], float(table[name].mean())
        axes.plot([middle - 0.16, middle + 0.16], [mean, mean], color="black", linewidth=1.6, zorder=4)


def _shifts(names: Sequence[str]) -> dict[str, float]:
    """Where a kind of pair's matchings stand beside an initialization's place; one alone stands on it."""
    return MATCHINGS if len(names) > 1 else dict.fromkeys(MATCHINGS, 0.0)


def _of(found: Sequence[Finding]) -> list[Finding]:
    return [f for f in found if f.name == "barrier" and f.value is not None]


def _intervals(axes: Axes, place: int, found: Sequence[Finding]) -> None:
    shifts = _shifts([f.where["matching"] for f in found])
    if not found:
        return
    x, y, spread = around(found, [place + shifts[f.where["matching"]] for f in found])
    axes.errorbar(x, y, yerr=spread, color="black", linestyle="none", elinewidth=1.2, capsize=3, zorder=4)


def _handles(own: pd.DataFrame) -> list[Line2D]:
    names = {"raw": ("as they are", "#444444"), "matched": ("units matched", "white")}
    there = [names[name] for name in MATCHINGS if name in set(own["matching"])]
    marks = [Line2D([], [], color="#444444", marker="o", markerfacecolor=face, linestyle="none", label=label) for label, face in there]
    return [*marks, Line2D([], [], color="black", linewidth=1.6, label="mean")]
