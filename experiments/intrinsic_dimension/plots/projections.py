"""Projections compared: the same d90, and what a step with each costs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.intrinsic_dimension.plots.quality import TITLES
from research.figures import style
from research.figures.intervals import around
from research.findings import Finding

LOOKS = {"absolute": style.Look("#0072B2", "o", "none"), "relative": style.Look("#D55E00", "s", "none")}
PANELS = (("d90", "d90 (dimensions)"), ("step_time", "time of a step (ms)"), ("member_memory", "memory of a member (MB)"))
SCALES = {"d90": 1.0, "step_time": 1e3, "member_memory": 1e-6}


def compared(found: Sequence[Finding]) -> Figure:
    """Returns d90 with intervals, time of a step (ms) and memory of a member (MB), a row per projection, of the model with most of them."""
    own = _of(found)
    names = list(dict.fromkeys(f.where["projection"] for f in own if f.where["projection"]))
    if not any(f.name == "d90" for f in own):
        return style.sentence("No d90 of a projection yet: this figure needs records of the phase 'result'.")
    rows = [*names, *([None] if any(f.where["projection"] is None for f in own) else [])]
    with style.context():
        figure = style.blank(8.6, 0.55 * len(rows) + 1.7)
        for axes, (metric, label) in zip(figure.subplots(1, 3, sharey=True), PANELS, strict=True):
            _panel(axes, [f for f in own if f.name == metric], rows, SCALES[metric])
            axes.set_xlabel(label)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [name.replace("_", "-") if name else "full space" for name in rows])
        style.legend_below(figure, [style.handle(look, f"d90, {name} threshold", linestyle="none") for name, look in LOOKS.items()])
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns what the figure shows, n, and what a time is."""
    own = _of(found)
    model, n = (own[0].where["model"], max(f.n for f in own)) if own else ("fc", 0)
    return (
        f"By projection, of the model '{TITLES[model]}' from its first initialization: d90 with its interval over {n} draws, the time of a "
        "training step of one member with all devices busy (the fastest of three calls), and what a member carries: v or the weights, "
        "their moments, and P where it is stored."
    )


def _of(found: Sequence[Finding]) -> list[Finding]:
    """Findings of the model with most projections, the first of several, and of its first initialization."""
    some = [f for f in found if f.name in SCALES and f.where.get("threshold", "absolute") in LOOKS]
    counts: dict[tuple[str, int], set[str]] = {}
    for f in some:
        counts.setdefault(_model(f), set()).add(f.where["projection"])
    most = max(counts, key=lambda model: len(counts[model]), default=("", 0))
    own = [f for f in some if _model(f) == most]
    first = next((f.where["init"] for f in own if f.name == "d90"), "")
    return [f for f in own if f.where.get("init", first) == first]


def _model(f: Finding) -> tuple[str, int]:
    return f.where["model"], f.where["parameters"]


def _panel(axes: Axes, some: Sequence[Finding], rows: Sequence[str | None], scale: float) -> None:
    shifts = dict(zip(LOOKS, (-0.12, 0.12), strict=True))
    for f in some:
        if f.value is None:
            axes.annotate("not read", (0.5, rows.index(f.where["projection"])), xycoords=("axes fraction", "data"), color=style.GRAY)
            continue
        name = f.where.get("threshold")
        look, shift = (LOOKS[name], shifts[name]) if name else (style.Look("#333333", "o", "none"), 0.0)
        y, x, spread = around([f], [rows.index(f.where["projection"]) + shift])
        axes.errorbar(scale * x, y, xerr=scale * spread, color=look.color, marker=look.marker, capsize=3)
    if scale != 1.0:
        axes.set_xscale("log")
        low, high = np.log10(axes.get_xlim())
        axes.set_xlim(10 ** np.floor(low), 10 ** np.ceil(high))  # whole decades: within one there would be no tick to name
        style.plain_ticks(axes.xaxis)
