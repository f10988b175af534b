"""What is left of known facts that nobody was taught, after each lesson."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.style_vs_facts.plots import looks
from experiments.style_vs_facts.ways import Read, Taught
from research.figures import style
from research.findings import Finding, find

PLAIN, STYLED = "plain", "in the style"
ALL = 4.0  # bits of a fact, one of 16 values
BESIDE = 0.24  # of a row: how far below stands what was asked in the style


def old(read: Read, found: Sequence[Finding]) -> Figure:
    """Returns bits an old fact at the end, a row for each arm below the untouched base: value and interval; small dots are seeds."""
    base, arms = find(found, "untouched", what="old_bits"), _arms(read, found)
    if base is None or base.value is None or not arms:
        return style.sentence("No old facts: this figure needs values of the findings 'old_recall' and 'untouched'.")
    with style.context():
        figure = style.blank(7.0, 0.31 * len(arms) + 1.6)
        axes = figure.subplots()
        look, ends, spans = looks.looks(read), read.ends("old_bits"), [looks.span(base)]
        looks.mark(axes, 0, spans[0], looks.BASE, markersize=5)
        for place, arm in enumerate(arms, 1):
            changes = {asked: f for asked in (PLAIN, STYLED) if (f := _found(found, arm, asked)) is not None and f.value is not None}
            own = {asked: looks.span(f, base.value) for asked, f in changes.items()}
            _row(axes, place, own, look[arm.how], looks.size(arm.how, 5))
            spots = [place - BESIDE] * len(ends[arm.word])
            axes.plot(ends[arm.word], spots, color=look[arm.how].color, marker=".", markersize=4, alpha=0.7, linestyle="none")
            spans += own.values()
        for level, line in ((base.value, looks.BASE.line), (0.0, "-"), (ALL, "-")):
            axes.axvline(level, color=style.GRAY, linewidth=1.0, linestyle=line, zorder=0.9)
        kinds = [arm.kind for arm in arms]
        for place in [0, *(i for i in range(1, len(arms)) if kinds[i] != kinds[i - 1])]:
            axes.axhline(place + 0.5, color="#cccccc", linewidth=0.8, zorder=0.8)
        looks.rows(axes, ["untouched base", *(_name(arm) for arm in arms)])
        axes.set_xlim(*looks.view(spans, [0.0, ALL, *np.concatenate([ends[arm.word].dropna() for arm in arms])], 0.15))
        axes.set_xlabel(f"bits an old fact at the end (0: guessing; {ALL:g}: all known)")
        named = looks.handles(read, [how for how in looks.hows(read) if how in {arm.how for arm in arms}], linestyle="none")
        hollow = style.handle(style.Look("#444444", "o", "none"), "asked in the style", markerfacecolor="white")
        shown = any(_found(found, arm, STYLED) is not None for arm in arms)
        style.legend_below(figure, [*named, *[hollow] * shown])
        return figure


def caption(read: Read, found: Sequence[Finding]) -> str:
    """Returns what is asked, what the intervals are of and n, and what is missing."""
    every = [f for arm in read.arms for asked in (PLAIN, STYLED) if (f := _found(found, arm, asked)) is not None]
    plain = [f for f in every if f.where["asked"] == PLAIN]
    return (
        "Bits of known facts, of entities that no arm was taught, after each lesson: what the untouched base knows of them (dotted) and "
        "the change of it. Below 0 a model is surer of wrong values than guessing would be. The lessons on known facts, plain, and on "
        "noise, new names of which every value is said as often, teach nothing: what is lost beside them is lost to new facts. Styles "
        "have a learning rate of their own, all others that of facts, and all have equally many steps, so that they have not learned "
        "equally much. Hollow: asked in the style, beside what the base knows asked "
        "plain: what is lost plain but not there is a change of form. Intervals of arms are of the change from their own base. Small "
        f"dots: seeds. {looks.intervals(plain)} The base's, and those asked in the style, hold bases alone."
        f"{looks.missing(every)}"
    )


def _row(axes: Axes, place: int, spans: Mapping[str, looks.Span], look: style.Look, points: float) -> None:
    for asked, own in spans.items():
        below, face = (0.0, look.color) if asked == PLAIN else (BESIDE, "white")
        looks.mark(axes, place + below, own, look, markersize=points, markerfacecolor=face)


def _found(found: Sequence[Finding], arm: Taught, asked: str) -> Finding | None:
    return find(found, "old_recall", **arm.where, at="end", asked=asked)


def _arms(read: Read, found: Sequence[Finding]) -> list[Taught]:
    """The arms of which something is known."""
    return [arm for arm in looks.arranged(read) if (f := _found(found, arm, PLAIN)) is not None and f.value is not None]


def _name(arm: Taught) -> str:
    return f"{looks.lesson(arm)}: {looks.name(arm.how)}"
