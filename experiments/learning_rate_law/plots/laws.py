"""By which factor laws miss the best rate, and where in the plane of their powers of rank and scale the measured ones lie."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.learning_rate_law.answers import FIRST_STEP, PUBLISHED
from experiments.learning_rate_law.compared import FARTHEST, errors, places_of
from experiments.learning_rate_law.laws import MEASURED, RANK, RULE, SETTING, SHAPE, TARGET
from experiments.learning_rate_law.plots import looks
from research.analysis.rate_laws import LAWS
from research.figures import style
from research.findings import Finding, find

SAID = {
    SETTING: "a setting is left out",
    RANK: "a rank is left out",
    RULE: "a rule is left out",
    TARGET: "fitted to the first target",
    SHAPE: "the same, but for a factor",
}


def missed(found: Sequence[Finding]) -> Figure:
    """Returns the factor by which each law misses best rates, a panel for each thing that was left out, with intervals."""
    places = places_of(found)
    shown = [what for what in SAID if any(errors(found, place, what) for place in places)]
    if not shown:
        return style.sentence("No law was judged: this figure needs findings 'law_error', of two rules and four settings or more.")
    names, words = [*LAWS, MEASURED], looks.by_word([" from ".join(place) for place in places])
    with style.context():
        figure = style.blank(2.3 * len(shown) + 1.4, 0.4 * len(names) + 1.3)
        row = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for axes, what in zip(row, shown, strict=True):
            for place, look in enumerate(words.values()):
                some = errors(found, places[place], what)
                _dots(axes, [(names.index(law) + 0.18 * (place - (len(words) - 1) / 2), f) for law, f in some.items()], look)
            axes.set_title(SAID[what], fontsize=9)
            axes.set_xscale("log")
            axes.axvline(1.0, color=style.GRAY, linewidth=0.9)
            style.plain_ticks(axes.xaxis)
            axes.set_xticks([1, 1.5, 2, 3, 5], ["1", "1.5", "2", "3", "5"])
            axes.set_yticks(range(len(names)), names)
            axes.set_ylim(len(names) - 0.5, -0.5)
        row[len(shown) // 2].set_xlabel("factor by which the best rate is missed")
        style.legend_below(figure, [style.handle(look, word, linestyle="none") for word, look in words.items()])
        return figure


def missed_caption(found: Sequence[Finding]) -> str:
    """Returns what is left out, and what a law's error is."""
    beyond = sum(f.value is not None and f.value > np.log(8) for f in found if f.name == "law_error")
    off = f" {beyond} lie off the axis." if beyond else ""
    return (
        "Factor by which each law misses the best rates of what it was not fitted to: e to the root mean square of the errors of natural "
        "logarithms, means over bases with 95 % intervals over bases and documents. Measured elsewhere: the rate that other bases, or the "
        f"first target, have at the same setting: what a sweep there would tell instead of a law.{off}"
    )


def powers(found: Sequence[Finding]) -> Figure:
    """Returns the power of the rank against that of the scale in the best rate, over all rules, beside what theories say."""
    places = [p for p in places_of(found) if all(_of(found, "rate_exponent", p, of) is not None for of in FIRST_STEP)]
    if not places:
        return style.sentence("No plane: this figure needs findings 'rate_exponent' of two rules or more.")
    words = looks.by_word([" from ".join(place) for place in places])
    with style.context():
        figure = style.blank(6.2, 4.3)
        axes = figure.subplots()
        for place, look in zip(places, words.values(), strict=True):
            _cross(axes, found, "rate_exponent", place, {"color": look.color, "marker": look.marker, "markersize": 6})
            _cross(axes, found, "lambda_exponent", place, {"color": look.color, "marker": look.marker, "markerfacecolor": "white"}, sign=-1)
        low, high = axes.get_xlim()
        line = np.array([min(low, -1.1), max(high, 0.6)])
        axes.plot(line, line, color=style.GRAY, linewidth=1.0, linestyle=(0, (5, 2)), label="a power of alpha alone")
        axes.axvline(PUBLISHED, color=style.GRAY, linewidth=1.0, linestyle=(0, (1, 1.5)), label=f"rank^{PUBLISHED} at one scale")
        axes.plot([0], [0], marker="x", color="black", linestyle="none", label="one rate for all")
        star: dict[str, Any] = {"marker": "*", "markersize": 11, "color": "black", "linestyle": "none", "label": "first step of one norm"}
        axes.plot([FIRST_STEP["rank"]], [FIRST_STEP["scale"]], **star)
        axes.set_xlabel("power of the rank")
        axes.set_ylabel("power of the scale")
        own = [style.handle(look, word, linestyle="none") for word, look in words.items()]
        theories = [handle for handle in axes.get_legend_handles_labels()[0] if isinstance(handle, Line2D)]
        hollow = Line2D([], [], color=style.GRAY, marker="o", markerfacecolor="white", linestyle="none", label="1 / largest eigenvalue")
        style.legend_below(figure, [*own, hollow, *theories])
        return figure


def powers_caption() -> str:
    """Returns how to read the plane."""
    return (
        "Best rates of all rules and ranks as rank to one power times scale (alpha / rank) to another: a rule is a direction. "
        "Filled: measured, with 95 % intervals over bases and documents. Hollow: what the inverse of the largest eigenvalue at the start "
        "has. Dashed: a power of alpha alone, so that the rank does nothing at a fixed alpha; dotted: a published power where alpha = rank."
    )


def _of(found: Sequence[Finding], name: str, place: tuple[str, str], of: str) -> Finding | None:
    f = find(found, name, target=place[0], init=place[1], rule="all", of=of)
    return None if f is None or f.value is None else f


def _cross(axes: Axes, found: Sequence[Finding], name: str, place: tuple[str, str], look: dict[str, Any], sign: int = 1) -> None:
    own = [_of(found, name, place, of) for of in FIRST_STEP]
    if any(f is None for f in own):
        return
    (x, left, right), (y, low, high) = (tuple(sign * end for end in looks.ends(f)) for f in own if f is not None)
    spans: dict[str, Any] = {"xerr": [[abs(x - left)], [abs(right - x)]], "yerr": [[abs(y - low)], [abs(high - y)]]}
    spans = spans if sign > 0 else {side: [ends[1], ends[0]] for side, ends in spans.items()}
    axes.errorbar([x], [y], linestyle="none", linewidth=1.1, capsize=2, **spans, **look)


def _dots(axes: Axes, some: Sequence[tuple[float, Finding]], look: style.Look) -> None:
    told = [(place, np.exp(np.minimum(looks.ends(f), np.log(FARTHEST)))) for place, f in some if f.value is not None]
    if told:
        at = np.array([place for place, _ in told])
        values, lows, highs = np.array([ends for _, ends in told]).T
        spans = np.stack([values - lows, highs - values])
        axes.errorbar(values, at, xerr=spans, color=look.color, marker=look.marker, linestyle="none", markersize=4.5, linewidth=1.1)
        axes.set_xlim(0.96, 8.0)
