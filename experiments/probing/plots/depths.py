"""At which depth each task is read, by cumulative probes, and by the mix of all layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.probing.plots import looks
from experiments.probing.readings_scores import LEADER
from research.analysis.wording import interval_sentence
from research.figures import style
from research.figures.style import Look
from research.findings import Finding, find

RAW, CLIPPED, CENTER = "o", "|", "x"


def expected(found: Sequence[Finding]) -> Figure:
    """Returns the expected layer of each task with its interval, raw and clipped, beside the center of gravity of the mix."""
    tasks, made = looks.tasks(found), looks.looks(_own(found))
    if not tasks or not made:
        return style.sentence("No depths: this figure needs the finding expected_layer.")
    with style.context():
        figure = style.blank(7.0, 0.2 * len(tasks) * len(made) + 1.5)
        axes = figure.subplots()
        for place, task in enumerate(tasks):
            for step, (init, look) in enumerate(made.items()):
                _mark(axes, found, {"task": task, "init": init}, look, place + 0.8 * ((step + 0.5) / len(made) - 0.5))
        axes.set_yticks(range(len(tasks)), tasks)
        axes.set_ylim(len(tasks) - 0.5, -0.5)
        axes.set_xlim(left=min(-0.3, axes.get_xlim()[0]))
        axes.set_xlabel("expected layer")
        gray = {"color": style.GRAY, "linestyle": "none"}
        marks = {"raw": RAW, "clipped": CLIPPED, "center of gravity": CENTER}
        further = [style.handle(Look(style.GRAY, mark, ""), word, **gray) for word, mark in marks.items()]
        style.legend_below(figure, [*(style.handle(look, word, marker="s", linestyle="none") for word, look in made.items()), *further])
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns how to read `expected`, and what is missing."""
    own = _own(found)
    lost = [f"{f.where['task']} ({f.where['init']})" for f in own if f.value is None]
    negative = [f"{f.where['task']} {f.value:.0%}" for f in found if f.name == "negative_differences" and f.where["init"] == LEADER]
    some = find(found, "mixed")
    mixed = "" if some is None else f" Cumulative probes mix depths {some.note}."
    return (
        "Where cumulative probes gain their accuracy: sum of l D(l) over sum of D(l), D what depth l adds to all before it; clipped: "
        "without what is negative. Center of gravity: sum of l s(l), of the weights of a mix of all layers, each standardized. Losses are "
        f"of all changes, for {LEADER} weights: {', '.join(negative) or 'not read'}. None, since all layers gain "
        f"nothing that is sure over the embedding: {', '.join(lost) or 'none'}.{mixed} {interval_sentence(own)}"
    )


def _own(found: Sequence[Finding]) -> list[Finding]:
    return [f for f in found if f.name == "expected_layer" and f.where["differences"] == "raw"]


def _mark(axes: Axes, found: Sequence[Finding], where: dict[str, str], look: Look, place: float) -> None:
    raw, clipped = (find(found, "expected_layer", **where, differences=which) for which in ("raw", "clipped"))
    center = find(found, "center_of_gravity", **where)
    if center is not None and center.value is not None:
        axes.plot(center.value, place, color=look.color, marker=CENTER, markersize=4, linestyle="none", alpha=0.6)
    if raw is None or raw.value is None:
        spot: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "color": look.color, "va": "center", "fontsize": 7.0}
        axes.annotate("none", (0.01, place), **spot)
        return
    ends = None if raw.low is None or raw.high is None else np.array([[raw.value - raw.low], [raw.high - raw.value]])
    axes.errorbar(raw.value, place, xerr=ends, color=look.color, marker=RAW, markersize=4.5, linestyle="none", elinewidth=1.0)
    if clipped is not None and clipped.value is not None:
        axes.plot(clipped.value, place, color=look.color, marker=CLIPPED, markersize=8, linestyle="none")
