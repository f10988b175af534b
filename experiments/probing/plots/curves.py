"""What is readable at each depth: a panel a task, a line an initialization."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.probing.plots import looks
from experiments.probing.readings_scores import LAYERS
from research.analysis.wording import interval_sentence
from research.figures import style
from research.figures.intervals import around
from research.findings import Finding, find, shown

TICKS = 7  # at most
LABELS = {"probe_accuracy": "accuracy", "compression": "compression", "selectivity": "selectivity"}


def readable(found: Sequence[Finding]) -> Figure:
    """Returns accuracy and, below it, compression against depth, with chance and what characters say."""
    return _drawn(found, ("probe_accuracy", "compression"))


def selective(found: Sequence[Finding]) -> Figure:
    """Returns selectivity against depth, with what characters have."""
    return _drawn(found, ("selectivity",))


def caption(found: Sequence[Finding]) -> str:
    """Returns how to read `readable`, and how far probes are from their optimum."""
    worst = find(found, "gradient")
    ended = f" The largest derivative of any probe's mean loss where it ended: {shown(worst, '.1g')} nats." if worst else ""
    return (
        "Above: accuracy of probes of one depth, on documents on which they were not trained. Below: how many times fewer bits the labels "
        "cost by an online code than log2 of the classes. Depth 0 is the embedding. Dotted: a probe on a constant; dashed: on the last "
        f"two bytes and the position, without a network.{ended} {interval_sentence(_own(found, 'probe_accuracy'))}"
    )


def selectivity_caption(found: Sequence[Finding]) -> str:
    """Returns how to read `selective`."""
    return (
        "Accuracy less what the same probe reaches on random labels, one for each word type. "
        "Below 0 a probe remembers words better than it reads the task. Dashed: a probe on the last two bytes and the position, without a "
        f"network. {interval_sentence(_own(found, 'selectivity'))}"
    )


def _own(found: Sequence[Finding], name: str) -> list[Finding]:
    return [f for f in found if f.name == name and f.where["depth"] != LAYERS]


def _drawn(found: Sequence[Finding], names: Sequence[str]) -> Figure:
    tasks, made = looks.tasks(found), looks.looks(_own(found, names[0]))
    if not tasks or not made:
        return style.sentence(f"Nothing to draw: this figure needs the findings {' and '.join(names)}.")
    with style.context():
        figure = style.blank(max(1.95 * len(tasks) + 0.6, 5.0), 2.2 * len(names) + 0.8)
        grid = figure.subplots(len(names), len(tasks), squeeze=False, sharex=True, sharey=names[0] == "selectivity")
        for row, name in zip(grid, names, strict=True):
            for axes, task in zip(row, tasks, strict=True):
                _panel(axes, found, name, task)
            row[0].set_ylabel(LABELS[name])
        for axes, task in zip(grid[0], tasks, strict=True):
            axes.set_title(task, fontsize=9.5)
        for axes in grid[-1]:
            axes.set_xlabel("depth")
        style.legend_below(figure, [*(style.handle(look, word, linestyle="-") for word, look in made.items()), *looks.FURTHER])
        return figure


def _panel(axes: Axes, found: Sequence[Finding], name: str, task: str) -> None:
    own, made = [f for f in _own(found, name) if f.where["task"] == task], looks.looks(_own(found, name))
    for place, (init, look) in enumerate(made.items()):
        some = [f for f in own if f.where["init"] == init]
        shift = 0.05 * (place - (len(made) - 1) / 2)  # intervals side by side
        places, values, ends = around(some, [f.where["depth"] for f in some if f.value is not None])
        line: dict[str, Any] = {
            "color": look.color,
            "marker": look.marker,
            "markersize": 3.5,
            "linewidth": 1.2,
            "elinewidth": 0.7,
            "alpha": 0.9,
        }
        axes.errorbar(places + shift, values, yerr=np.abs(ends), **line)
    depths = sorted({f.where["depth"] for f in own})
    axes.set_xticks(depths[:: -(-len(depths) // TICKS)])
    for word, dashes in looks.PLAIN_LINES.items():
        known = find(own, name, init=word)
        looks.horizontal(axes, None if known is None else known.value, dashes)
    looks.horizontal(axes, 0.0 if name == "selectivity" else None, "-")
