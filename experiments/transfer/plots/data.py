"""Losses against amounts of data, with the data that scratch needs read off them; and what was transferred against what it took."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from experiments.transfer.arms import SCRATCH, TUNED
from experiments.transfer.data_published import POWERS, SOURCE
from experiments.transfer.data_readings import ALLOWED, of_name
from experiments.transfer.plots import looks
from research.analysis.effective_data import FITTED
from research.analysis.wording import interval_sentence, window_sentence
from research.figures import style
from research.figures.intervals import around
from research.findings import Finding, find

AMOUNT, PUBLISHED = "data of the target (bytes)", "text"
MARKS: Mapping[str, str] = {SCRATCH: "s", TUNED: "o"}
MARKERS = ("o", "s", "^", "D", "v", "P")


def amounts(found: Sequence[Finding]) -> Figure:
    """Returns the loss of both arms against the amount of data, a panel a size, with D_E read off horizontally."""
    losses = of_name(found, "transfer_loss")
    if not losses:
        return style.sentence("No curves: this figure needs runs from scratch and tuned ones.")
    sizes = _sizes(losses)
    with style.context():
        figure = style.blank(3.2 * len(sizes) + 0.6, 3.9)
        panels = figure.subplots(1, len(sizes), squeeze=False, sharey=True).ravel()
        for axes, size in zip(panels, sizes, strict=True):
            _panel(axes, found, size)
        panels[0].set_ylabel("loss on the target (bits/byte)")
        read = Line2D([], [], color=style.GRAY, linewidth=0.9, marker="|", label="D_F to D_E, at one loss")
        style.legend_below(figure, [*(style.handle(looks.LOOKS[a], looks.SAID[a], marker=MARKS[a]) for a in (SCRATCH, TUNED)), read])
        return figure


def amounts_caption(found: Sequence[Finding]) -> str:
    """Returns how the curves were made, what is read off them, and what their intervals hold."""
    losses = of_name(found, "transfer_loss")
    own = find(found, "own_text")
    text = f" Up to {own.value:,.0f} bytes each seed has text of its own, beyond them texts overlap." if own and own.value else ""
    shared = " All seeds have one text, of which amounts are nested." if own and not own.value else ""
    return (
        "Held-out loss of runs that were stopped where their validation loss was lowest; up is worse. A horizontal line leads from what "
        "was tuned to the data on which scratch costs as little, with its interval; an arrow says that scratch never came as low. Shaded: "
        f"at most {ALLOWED:.0%} of the data that scratch needs, where the law is fitted. {interval_sentence(losses)}"
        f"{window_sentence(found)}{text}{shared}"
    )


def transferred(found: Sequence[Finding]) -> Figure:
    """Returns D_T against D_F with the law, and how many times itself the data is worth, a curve a size."""
    points = of_name(found, "data_transferred")
    if not any(f.value is not None or f.low is not None for f in points):
        return style.sentence("Nothing transferred could be read: scratch has to come as low as what was tuned.")
    sizes = _sizes(points)
    with style.context():
        figure = style.blank(8.6, 4.2)
        left, right = figure.subplots(1, 2)
        for axes, name in ((left, "data_transferred"), (right, "multiplier")):
            for place, size in enumerate(sizes):
                _points(axes, [f for f in of_name(found, name) if f.where["parameters"] == size], place, len(sizes))
        _lines(left, found, sizes)
        right.axhline(1.0, color=style.GRAY, linewidth=0.9, zorder=0.9)
        for axes, said in ((left, "data transferred, D_T (bytes)"), (right, "times its size that data is worth, D_E / D_F")):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            style.plain_ticks(axes.yaxis)
            axes.set_ylabel(said)
            _log(axes, "")
            axes.set_xticks(sorted({f.where["amount"] for f in points}))
        drawn = {size: style.Look(_color(n, len(sizes)), MARKERS[n % len(MARKERS)], "") for n, size in enumerate(sizes)}
        handles = [style.handle(look, f"N = {style.compact(size)}") for size, look in drawn.items()]
        style.legend_below(figure, [*handles, *_lines_said(found)])
        return figure


def transferred_caption(found: Sequence[Finding]) -> str:
    """Returns what is drawn, what could not be, and where the published slope is from."""
    points = of_name(found, "data_transferred")
    law = find(found, "transfer_law", what="a")
    below = sum(f.value is not None and f.value <= 0 for f in points)
    lost = f" {below} points at or below 0 are no part of the left axis." if below else ""
    fitted = law is not None and law.value is not None
    said = "Lines: the law that was fitted." if fitted else f"The law is {law.note if law else 'not fitted'}."
    return (
        f"Left: what was transferred against what was tuned on. {said} Dotted: a line of the published power, "
        f"a = {POWERS[PUBLISHED]['a']:g} ({SOURCE}), at no height of its own. Right: above the line pretraining adds to the data. Arrows: "
        f"at least so much, scratch never came as low; hollow: no part of the law.{lost} {interval_sentence(points)}"
    )


def _panel(axes: Axes, found: Sequence[Finding], size: int) -> None:
    losses = [f for f in of_name(found, "transfer_loss") if f.where["parameters"] == size and f.value is not None]
    for f in (f for f in of_name(found, "effective_data") if f.where["parameters"] == size):
        _across(axes, f, find(losses, "transfer_loss", arm=TUNED, amount=f.where["amount"]))
    for arm in (SCRATCH, TUNED):
        some = [f for f in losses if f.where["arm"] == arm]
        x, value, spread = around(some, [f.where["amount"] for f in some])
        axes.errorbar(x, value, spread, **_look(arm), markersize=4, elinewidth=1.0)
    if limit := find(found, "scratch_needs", parameters=size):
        axes.axvspan(axes.get_xlim()[0], ALLOWED * (limit.value or 0.0), color=style.GRAY, alpha=0.07, linewidth=0)
    _log(axes, f"N = {style.compact(size)}")


def _look(arm: str) -> dict[str, Any]:
    look = looks.LOOKS[arm]
    return {"color": look.color, "marker": MARKS[arm], "linestyle": look.line}


def _sizes(found: Sequence[Finding]) -> list[int]:
    return sorted({f.where["parameters"] for f in found})


def _color(place: int, count: int) -> Any:
    return style.rank_colors(range(count))[place]


def _log(axes: Axes, title: str) -> None:
    axes.set_xscale("log")
    style.plain_ticks(axes.xaxis)
    axes.set_xlabel(AMOUNT)
    axes.set_title(title)


def _across(axes: Axes, effective: Finding, tuned: Finding | None) -> None:
    """A line from what was tuned to the data that scratch needs for that loss, at its interval, or an arrow where it has none."""
    if tuned is None or tuned.value is None:
        return
    end, start = effective.value or effective.low, effective.where["amount"]
    if end is None:
        return
    axes.plot([start, end], [tuned.value] * 2, color=style.GRAY, linewidth=0.9, marker="" if effective.value else ">", markevery=[1])
    if effective.value is not None:
        _, _, spread = around([effective], [0.0])
        axes.errorbar([effective.value], [tuned.value], xerr=spread, color=style.GRAY, marker="|", elinewidth=2.2, alpha=0.7)


def _points(axes: Axes, some: Sequence[Finding], place: int, count: int) -> None:
    color, marker = _color(place, count), MARKERS[place % len(MARKERS)]
    for f in some:
        x = f.where["amount"] * 1.04 ** (place - (count - 1) / 2)
        fill = {"markerfacecolor": color if f.where["word"] == FITTED else "white", "color": color, "markersize": 5}
        if f.value is not None and f.value > 0:
            _, value, spread = around([f], [x])
            spread = np.minimum(spread, [[0.999 * f.value], [np.inf]])
            axes.errorbar([x], value, spread, marker=marker, elinewidth=1.0, **fill)
        elif f.value is None and f.low is not None and f.low > 0:
            axes.plot([x], [f.low], marker=r"$\uparrow$", linestyle="", color=color, markersize=9)


def _lines(axes: Axes, found: Sequence[Finding], sizes: Sequence[int]) -> None:
    """The law of this run at each size, and a line of the published power."""
    law = {f.where["what"]: f.value for f in of_name(found, "transfer_law") if f.value is not None}
    own = np.array(sorted({f.where["amount"] for f in of_name(found, "data_transferred")}), float)
    if len(law) == len(POWERS[PUBLISHED]):
        for place, size in enumerate(sizes):
            axes.plot(own, law["k"] * own ** law["a"] * size ** law["b"], color=_color(place, len(sizes)), linewidth=1.1)
    heights = [f.value for f in of_name(found, "data_transferred") if f.value is not None and f.value > 0]
    if heights:
        axes.plot(own, min(heights) * 0.5 * (own / own[0]) ** POWERS[PUBLISHED]["a"], color=style.GRAY, linestyle=":", linewidth=1.2)


def _lines_said(found: Sequence[Finding]) -> list[Line2D]:
    law = find(found, "transfer_law", what="b")
    fitted = [Line2D([], [], color=style.GRAY, label="the law")] if law is not None and law.value is not None else []
    return [*fitted, Line2D([], [], color=style.GRAY, linestyle=":", label=f"power {POWERS[PUBLISHED]['a']:g}, published")]
