"""What is lost of an update that is cut to few directions, the best ones or random ones of the same norm."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from experiments.lora_vs_full.plots import looks
from experiments.lora_vs_full.readings_altered import BEST, RANDOM, WHOLE
from experiments.lora_vs_full.tables import bases_of, over, paired
from research.analysis.tables import rows
from research.figures import style
from research.findings import Finding

NAME = "truncated_loss"
APART = 1.06  # by which factor marks of both kinds stand beside their place
WIDEST = 0.5  # how far an interval may reach beyond all values, in their range


def cuts(results: pd.DataFrame, found: Sequence[Finding]) -> Figure:
    """Returns the loss of cut updates less the whole one's (bits/byte) against the directions kept: a column an arm, a row a place.

    results: records, which give how much the untouched model loses more than the whole update, a dashed line.
    """
    table = _table(found)
    if table.empty:
        return style.sentence("No cut updates: this figure needs values of the finding 'truncated_loss'.")
    arms, places = looks.ordered(table["arm"]), looks.places(table["at"])
    with style.context():
        figure = style.blank(min(max(1.75 * len(arms) + 0.4, 4.2), 7.4), 2.1 * len(places) + 1.1)
        grid = figure.subplots(len(places), len(arms), squeeze=False, sharex=True, sharey="row")
        for row, at in enumerate(places):
            for column, arm in enumerate(arms):
                _panel(grid[row, column], table[(table["arm"] == arm) & (table["at"] == at)], _untouched(results, arm, at))
                grid[0, column].set_title(looks.name(arm), fontsize=9.5)
            _view(grid[row, 0], table[table["at"] == at])
            grid[row, 0].set_ylabel(looks.placed(at))
        ranks = sorted(set(table["cut"]))
        for axes in grid.ravel():
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_locator(FixedLocator(ranks))
            style.plain_ticks(axes.xaxis)
            axes.set_xlim(ranks[0] / 1.5, 1.5 * ranks[-1])
        figure.supxlabel("directions kept of each matrix (log scale)", fontsize=9)
        figure.supylabel(f"loss of the cut update less the whole one's ({style.BITS})", fontsize=9)
        named = [style.handle(_LOOKS[which], f"{which} directions", **_FACES[which]) for which in _LOOKS]
        style.legend_on_top(figure, [*named, style.handle(_UNTOUCHED, "untouched model")])
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns what is cut, what the lines are, what intervals are and n, and where the arms are read."""
    own = [f for f in found if f.name == NAME]
    gone = sum(f.value is None for f in own)
    left = f" {gone} of {len(own)} have no value, and are left out." if gone else ""
    return (
        "Loss on the target of an update of which only so many directions of each matrix are kept, less the whole update's: its best ones, "
        "by singular value, or random ones scaled to the same norm; at 0 nothing is lost, at the dashed line (the untouched model, mean "
        "over seeds) all that was gained, and above it more than that. An adapter of LoRA has no more directions than its rank, so cuts "
        f"end below it. Intervals that leave the panel are cut at its edge. {looks.intervals(own)} {looks.level(found)}{left}"
    )


_LOOKS = {BEST: style.Look("#0072B2", "o", "-"), RANDOM: style.Look("#D55E00", "s", (0, (4, 1.5)))}
_FACES: dict[str, dict[str, Any]] = {BEST: {}, RANDOM: {"markerfacecolor": "white"}}
_UNTOUCHED = style.Look(style.GRAY, "", (0, (5, 2)))


def _table(found: Sequence[Finding]) -> pd.DataFrame:
    own = [f for f in found if f.name == NAME and f.value is not None]
    return pd.DataFrame([{**f.where, **looks.ends(f)} for f in own], columns=["arm", "at", "cut", "directions", "value", "low", "high"])


def _untouched(results: pd.DataFrame, arm: str, at: str) -> float:
    """The untouched model's loss on the target less the whole update's, mean over seeds; NaN where either was not read."""
    before, whole = rows(results, phase="reference", metric="target_loss"), rows(results, phase="cut", arm=arm, at=at, directions=WHOLE)
    if before.empty or whole.empty:
        return float("nan")
    losses = (own[own["metric"] == "target_loss"].set_index("seed")["value"] for own in (before, whole))
    gain = over(paired(*losses), bases_of(results)).value
    return float("nan") if gain is None else gain


def _view(axes: Axes, own: pd.DataFrame) -> None:
    """Room for values, for the dashed lines and for intervals, of which one much wider than all values lie apart is cut at the edge."""
    lines = [line.get_ydata()[0] for panel in axes.get_shared_y_axes().get_siblings(axes) for line in panel.get_lines()[:2]]
    values = np.array([*own["value"], *lines, 0.0], float)
    extent = float(np.ptp(values)) or 1.0
    low = max(min(values.min(), own["low"].min()), values.min() - WIDEST * extent)
    high = min(max(values.max(), own["high"].max()), values.max() + WIDEST * extent)
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _panel(axes: Axes, own: pd.DataFrame, untouched: float) -> None:
    """Draws the cuts of an arm at a place; nothing where it was not read there."""
    if own.empty:
        axes.set_axis_off()
        return
    axes.axhline(0.0, color=style.GRAY, linewidth=0.9, zorder=0.9)
    if np.isfinite(untouched):
        axes.axhline(untouched, color=_UNTOUCHED.color, linestyle=_UNTOUCHED.line, linewidth=1.2, zorder=0.95)
    for (which, look), beside in zip(_LOOKS.items(), (1 / APART, APART), strict=True):
        some = own[own["directions"] == which].sort_values("cut")
        spread = [some["value"] - some["low"], some["high"] - some["value"]]
        drawn: dict[str, Any] = {"marker": look.marker, "linestyle": look.line, "markersize": 4.5, **_FACES[which]}
        axes.errorbar(beside * some["cut"], some["value"], spread, color=look.color, **drawn)
