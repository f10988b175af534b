"""Figure: what a rank costs, from each initialization."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.lora_rank_sweep.plots.places import (
    ENDS,
    arm_words,
    inits_in,
    name_ranks,
    of_panel,
    panels_of,
    rank_places,
)
from experiments.lora_rank_sweep.wording import FULL, MATCHED, reference_of
from research.analysis.wording import interval_sentence
from research.figures import layout, style
from research.figures.intervals import around
from research.findings import Finding

DODGE = 0.07
ROOM = 0.06  # of a panel's height, for each number: rank 0 may be the untouched model, far above what a rank costs
REACH = {MATCHED: "the same matrices reach at full rank", FULL: "training everything reaches"}
ZERO = {MATCHED: "full rank", FULL: "training everything"}


class Scale(NamedTuple):
    """Where ranks stand, in which looks initializations are drawn, from which height a value is a number, and what zero is called."""

    ranks: Mapping[int, float]
    words: Mapping[str, style.Look]
    top: float
    zero: str


def gap_against_rank(found: Sequence[Finding]) -> Figure:
    """Returns LoRA's loss minus that of the same matrices at full rank (bits/byte) against rank, a panel per arm and target.

    Minus that of training everything where these were not trained. One line for each initialization, with intervals; zero is full rank.
    A rank 0 that lies far above the rest is written as a number.
    """
    gaps = _gaps(found)
    if not any(f.value is not None for f in gaps):
        return style.sentence("Nothing to compare yet: this figure needs LoRA and full-rank training in the phase 'result'.")
    places, inits = panels_of(gaps), inits_in(gaps)
    ranks, words = rank_places(f.where["rank"] for f in gaps), style.looks(inits)
    with style.context():
        figure, grid = layout.grid(len(places), 4.25, 3.15, least=5.6)
        for axes, place in zip(grid, places, strict=True):
            own = of_panel(gaps, place)
            low, top = _range(own)
            room = ROOM * _above(own, top)
            axes.set_ylim(low, top + (top - low) * room / (1 - room))
            axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= top])
            _panel(axes, own, Scale(ranks, words, top, "everything" if reference_of(found) == FULL else "full rank"))
            layout.subtitled(axes, place[0], arm_words(place[1]))
        layout.label_rows(
            grid,
            "rank of the adapter (log scale; 0: none)",
            f"loss above {'everything trained' if reference_of(found) == FULL else 'full rank'} ({style.BITS})",
        )
        style.legend_above(figure, inits, solid=False)
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns what the figure shows, n, and what its intervals hold and leave out."""
    gaps, reference = _gaps(found), reference_of(found)
    ends = ENDS if "block+ends" in {arm for _, arm in panels_of(gaps)} else ""
    return (
        f"What a rank costs: the loss LoRA reaches minus what {REACH[reference]}, on held-out target text after equally "
        f"many steps; 0 is as good as {ZERO[reference]}. Rank 0 is the model without an adapter, untouched or with what else the arm "
        f"trains. Numbers with an arrow lie above the axis; axes differ between panels. {ends}{interval_sentence(gaps)}"
    )


def _gaps(found: Sequence[Finding]) -> list[Finding]:
    return [f for f in found if f.name == "gap" and f.where["reference"] == reference_of(found)]


def _range(own: Sequence[Finding]) -> tuple[float, float]:
    """Returns the ends of a panel's axis without the room for numbers: fitted to the ranks above 0, and to no interval that dwarfs them."""
    read = [f for f in own if f.value is not None]
    read = [f for f in read if f.where["rank"]] or read
    values = [f.value for f in read if f.value is not None] or [0.0]
    size = max(*map(abs, values), 0.01)
    low = max(min([0.0, *values, *(f.low for f in read if f.low is not None)]), min(0.0, *values) - size)
    top = min(max([*values, *(f.high for f in read if f.high is not None)]), max(values) + 1.5 * size)
    span = max(top, 0.0) - low
    return low - 0.09 * span, max(top, 0.0) + 0.04 * span


def _above(own: Sequence[Finding], top: float) -> int:
    """Returns the most numbers that stand above one rank."""
    high = [f.where["rank"] for f in own if f.value is None or f.value > top]
    return max((high.count(rank) for rank in high), default=0)


def _panel(axes: Axes, own: Sequence[Finding], scale: Scale) -> None:
    """Draws each initialization's points with intervals, beside each other, and what lies above the axis as numbers."""
    axes.axhline(0.0, color="#333333", linewidth=1.1, zorder=1)
    spot: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "xytext": (0, -2.5), "textcoords": "offset points"}
    axes.annotate(scale.zero, (0.01, 0.0), ha="left", va="top", fontsize=7.5, color=style.GRAY, **spot)
    above = dict.fromkeys(scale.ranks, 0)
    for i, (init, look) in enumerate(scale.words.items()):
        line = sorted((f for f in own if f.where["init"] == init), key=lambda f: f.where["rank"])
        inside = [f for f in line if f.value is not None and f.value <= scale.top]
        for part in ([f for f in inside if not f.where["rank"]], [f for f in inside if f.where["rank"]]):
            x = [scale.ranks[f.where["rank"]] + DODGE * (i - (len(scale.words) - 1) / 2) for f in part]
            _line(axes, part, x, look)
        for f in line:
            if f not in inside:
                rank = f.where["rank"]
                style.off_axis(axes, scale.ranks[rank], float("nan") if f.value is None else f.value, look.color, above[rank])
                above[rank] += 1
    name_ranks(axes, scale.ranks)


def _line(axes: Axes, part: Sequence[Finding], x: Sequence[float], look: style.Look) -> None:
    """Draws points with intervals, joined by the initialization's line."""
    places, values, spread = around(part, x)
    mark: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": look.line}
    axes.errorbar(places, values, yerr=spread, markersize=5.5, elinewidth=1.2, capsize=2.5, zorder=3, **mark)
