"""What the source lost where every method has the same loss on the target: one line per method and strength."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.forgetting.plots import methods
from research.figures import style
from research.findings import Finding, shown

NAME = "source_rise_at_equal_target"


def equal_target(found: Sequence[Finding]) -> Figure:
    """Returns the rise of the source's loss (bits/byte) at one loss on the target: value and interval, the smallest first.

    Members that are censored stand below with the reason; a dashed line goes through full training's value.
    """
    read = _sorted(found)
    known = [f for f in read if f.value is not None]
    if not known:
        return style.sentence("No comparison at equal target loss: this figure needs values of the finding 'source_rise_at_equal_target'.")
    with style.context():
        figure = style.blank(7.0, 0.235 * len(read) + 1.0)
        axes = figure.subplots()
        for place, f in enumerate(read):
            _line(axes, place, f)
        _view(axes, known)
        full = [f.value for f in known if f.value is not None and f.where["method"] == "full"]
        if full:
            axes.plot([full[0]] * 2, [-0.5, len(known) - 0.5], color="black", linewidth=1.0, linestyle=(0, (5, 2)), zorder=0.9)
        axes.plot([0.0, 0.0], [-0.5, len(known) - 0.5], color=style.GRAY, linewidth=0.9, zorder=0.9)
        if len(known) < len(read):
            axes.axhline(len(known) - 0.5, color="#bbbbbb", linewidth=0.8)
        levels = _levels(read)
        names = [methods.words(f.where["method"], f.where["strength"]) for f in read]
        at = [f" at {f.where['bits']:.2f}" if len(levels) > 1 else "" for f in read]
        axes.set_yticks(range(len(read)), [name + level for name, level in zip(names, at, strict=True)])
        axes.set_ylim(len(read) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        said = f" where the target's is {levels[0]:.2f}" if len(levels) == 1 else " at equal loss on the target"
        axes.set_xlabel(f"rise of the source's loss ({style.BITS}){said}")
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns what is compared, what intervals are, n, and how many are censored."""
    read = _sorted(found)
    known = [f for f in read if f.value is not None]
    n = sorted({f.n for f in known})
    count = "0" if not n else f"{n[0]}" if len(n) == 1 else f"{n[0]} to {n[-1]}"
    how = sorted({f.method for f in known if f.method and f.low is not None and f.high is not None})
    bars = f"Bars: {'; '.join(how)}" if how else "No intervals"
    open_ends = sum((f.low is None) != (f.high is None) for f in known)
    ends = f" Open at one end, an arrow there: {open_ends} of {len(known)} intervals." if open_ends else ""
    censored = len(read) - len(known)
    gone = f" {censored} of {len(read)} have no value, and stand below with the reason." if censored else ""
    levels = ", ".join(f"{level:.2f}" for level in _levels(read))
    full = " Dashed: everything trained at its own rate." if any(f.where["method"] == "full" for f in known) else ""
    return (
        f"What the source's loss has risen above the untouched base's where the target's loss is {levels or 'equal'} bits/byte, sorted, "
        f"the least forgetting on top; runs are read between their budgets. {bars} (n = {count} seeds).{full}{ends} Intervals of two "
        f"members may overlap although their paired difference is clear: see the contrasts.{gone}"
    )


def _sorted(found: Sequence[Finding]) -> list[Finding]:
    """The findings at the largest share, those with a value by value, then the others by method and strength."""
    every = [f for f in found if f.name == NAME]
    read = [f for f in every if f.where["share"] == max(f.where["share"] for f in every)]
    place = {name: i for i, name in enumerate(methods.ORDER)}

    def key(f: Finding) -> tuple[bool, float, int, float]:
        return f.value is None, f.value or 0.0, place.get(f.where["method"], len(place)), f.where["strength"] or 0.0

    return sorted(read, key=key)


def _levels(read: Sequence[Finding]) -> list[float]:
    return sorted({f.where["bits"] for f in read if f.where.get("bits") is not None})


def _line(axes: Axes, place: int, f: Finding) -> None:
    beside: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "va": "center", "fontsize": 8}
    if f.value is None:
        axes.annotate(shown(f), (0.015, place), color=style.GRAY, fontstyle="italic", **beside)
        return
    look = methods.looks([f.where["method"]])[f.where["method"]]
    low, high = (f.value if end is None else end for end in (f.low, f.high))
    axes.plot([low, high], [place, place], color=look.color, linewidth=1.4, solid_capstyle="butt")
    axes.plot(f.value, place, color=look.color, marker=look.marker, markersize=methods.size(f.where["method"], 5.5), zorder=4)
    axes.annotate(shown(f, ".3f").replace("-", "\N{MINUS SIGN}"), (1.02, place), color="#333333", **beside)


def _view(axes: Axes, known: Sequence[Finding]) -> None:
    """Limits from values and their intervals, of which one much wider than the others is cut at the edge; arrows at open ends."""
    values = np.array([f.value for f in known], float)
    lows, highs = ([end for f in known if (end := getattr(f, name)) is not None] for name in ("low", "high"))
    extent = float(np.ptp([*values, 0.0])) or 1.0
    low = max(min([*values, *lows, 0.0]), values.min() - extent)
    high = min(max([*values, *highs, 0.0]), values.max() + extent)
    axes.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    for place, f in enumerate(known):
        color = methods.looks([f.where["method"]])[f.where["method"]].color
        for end, edge, marker in ((f.low, axes.get_xlim()[0], "<"), (f.high, axes.get_xlim()[1], ">")):
            if end is None and not (f.low is None and f.high is None):
                axes.plot([values[place], edge], [place, place], color=color, linewidth=1.4, linestyle=(0, (1.2, 1.2)))
                axes.plot(edge, place, color=color, marker=marker, markersize=4.5, clip_on=False)
