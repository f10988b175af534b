"""In how many steps a style is learned, and in how many facts are."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from experiments.style_vs_facts.plots import looks
from experiments.style_vs_facts.ways import FACTS, STYLE, Read, Taught
from research.figures import style

TICKS = (-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0)
TOP = 1.4  # of a share of 1: above it there is room for names
ROOM = 1.6  # how many times the one before it a step is whose name has room
TITLES = {STYLE: "style: sentences written in it", FACTS: "facts: share of their bits learned"}


def learning(read: Read) -> Figure:
    """Returns the style's score and the share of the new facts' bits, 1 for all, against steps (log, but for the untouched base's 0).

    Lines are means over seeds, bands reach from the smallest to the largest.
    """
    ways = {kind: own for kind in TITLES if (own := _ways(read, kind))}
    if not ways:
        return style.sentence("No curves: this figure needs 'style_score' or 'new_bits' of the phase 'recall' at two steps or more.")
    with style.context():
        figure = style.blank(max(3.7 * len(ways), 5.0), 3.9)
        panels = figure.subplots(1, len(ways), squeeze=False, sharey=True).ravel()
        for (kind, own), axes in zip(ways.items(), panels, strict=True):
            for arm, way in own.items():
                _line(axes, read, arm, way)
            _steps(axes, own)
            axes.set_title(f"{TITLES[kind]} (1 = all)", fontsize=9.5)
            named = [(looks.lesson(arm, True), looks.lines(read, kind)[arm.lesson]) for arm in looks.lessons(read, kind)]
            axes.legend(handles=[style.handle(style.Look("#444444", "", line), label) for label, line in named], loc="upper left")
        low = min(0.0, *(float(way.min().min()) for own in ways.values() for way in own.values()))
        for axes in panels:
            for level in (0.0, 1.0):
                axes.axhline(level, color=style.GRAY, linewidth=0.9, zorder=0.9)
            axes.set_ylim(low - 0.05, TOP)
            axes.yaxis.set_major_locator(FixedLocator([tick for tick in TICKS if tick > low - 0.05]))
        drawn = {arm.how for own in ways.values() for arm in own}
        style.legend_below(figure, looks.handles(read, [how for how in looks.hows(read) if how in drawn], linestyle="-"))
        return figure


def caption(read: Read) -> str:
    """Returns what is drawn, what lines and bands are, n, and what is missing."""
    every = [way for kind in TITLES for way in _ways(read, kind).values()]
    n = sorted({len(way) for way in every}) or [0]
    gone, count = sum(int(way.isna().to_numpy().sum()) for way in every), sum(way.size for way in every)
    lost = f" {gone} of {count} readings are not finite, and left out." if gone else ""
    return (
        "What was learned after so many steps of equally many sentences, from the untouched base (step 0) on. Style: the probability that "
        "sentences on entities that nobody was taught are written in it. Facts: bits of the new facts, asked in a paraphrase that was "
        f"taught, over the {looks.BITS_EACH:g} that each entity has; 0 is guessing, below 0 is worse than that. The base's share is read "
        "on the largest world and stands for the smaller ones, too. Each way of training has a learning rate of its own, apart for style "
        "and for facts; black, in different lines: other numbers of entities and of ways to say the facts. Lines: means over seeds (n = "
        f"{' to '.join(str(each) for each in dict.fromkeys((n[0], n[-1])))}); bands: from the smallest to the largest of them, not an "
        f"interval.{lost}"
    )


def _ways(read: Read, kind: str) -> dict[Taught, pd.DataFrame]:
    """By arm what was learned, a row for each seed and a column for each step, the base's at 0 where it was read."""
    metric = "style_score" if kind == STYLE else "new_bits"
    if not (tables := read.ways(metric)):
        return {}
    before, found = read.untouched(metric), {}
    most = max((arm.entities for arm in read.arms if arm.kind == FACTS), default=1)  # as many as the bases are asked about
    for arm in (arm for arm in looks.arranged(read) if arm.kind == kind and arm.word in tables):
        way = tables[arm.word] / (1.0 if kind == STYLE else looks.BITS_EACH * arm.entities)
        if len(before):
            way.insert(0, 0.0, before.reindex(way.index) / (1.0 if kind == STYLE else looks.BITS_EACH * most))
        if way.shape[1] > 1 and way.notna().to_numpy().any():
            found[arm] = way
    return found


def _line(axes: Axes, read: Read, arm: Taught, way: pd.DataFrame) -> None:
    look, line = looks.looks(read)[arm.how], looks.lines(read, arm.kind)[arm.lesson]
    steps = way.columns.to_numpy(float)
    drawn: dict[str, Any] = {"color": look.color, "marker": look.marker, "markersize": looks.size(arm.how, 4), "linewidth": 1.4}
    axes.fill_between(steps, way.min(), way.max(), color=look.color, alpha=0.1, linewidth=0)
    axes.plot(steps, way.mean(), linestyle=line, **drawn)


def _steps(axes: Axes, ways: dict[Taught, pd.DataFrame]) -> None:
    """A log axis that is linear up to the first step, with a tick at each step that has room for its name."""
    steps = sorted({float(step) for way in ways.values() for step in way.columns})
    first = next(step for step in steps if step > 0)
    axes.set_xscale("symlog", linthresh=first, linscale=0.4)
    ticks: list[float] = []
    for step in reversed(steps):
        if not ticks or ticks[-1] >= ROOM * step:
            ticks.append(step)
    axes.set_xticks(ticks)
    style.plain_ticks(axes.xaxis)
    axes.set_xlim(0.0 if steps[0] == 0 else first, 1.1 * steps[-1])
    axes.set_xlabel("training steps (log scale)")
