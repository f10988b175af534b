"""Losses after each task of a sequence: a panel for the source and for each place at which a target is learned."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.forgetting.paths import Arm, arms
from experiments.forgetting.plots import methods
from experiments.forgetting.readings_of_sequences import matrices
from research.figures import style

ORDINALS = ("first", "second", "third", "fourth", "fifth")


def sequence(results: pd.DataFrame) -> Figure:
    """Returns the loss (bits/byte) on the source, and on the target learned as the first, the second, ..., after so many tasks.

    Lines are means over seeds, each of which learns another target first. A gray strip is the task in which the target of a panel is
    learned.
    """
    read = _read(results)
    if not read:
        return style.sentence("No sequence: this figure needs losses on all texts after each task of the phase 'result'.")
    tasks = next(iter(read.values())).shape[1] - 1
    with style.context():
        figure = style.blank(2.3 * (1 + tasks) + 0.4, 3.6)
        panels = figure.subplots(1, 1 + tasks)
        for text, axes in enumerate(panels):
            for arm, losses in read.items():
                _line(axes, arm, losses[:, :, text])
            axes.set_title("source" if text == 0 else f"target learned {_ordinal(text)}", fontsize=9.5)
            axes.set_xticks(range(1 + tasks), ["untouched" if task == 0 else str(task) for task in range(1 + tasks)], fontsize=8)
            axes.set_xlabel("after so many tasks")
            if text:
                axes.axvspan(text - 1, text, color="#eeeeee", zorder=0)
        panels[0].set_ylabel(f"loss ({style.BITS})")
        looks = methods.looks(arm.method for arm in read)
        names = {arm: methods.words(arm.method, arm.strength) for arm in read}
        style.legend_below(figure, [style.handle(looks[a.method], names[a], markersize=methods.size(a.method, 5)) for a in read])
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns what panels, lines and bands are, and n."""
    n = {len(losses) for losses in _read(results).values()}
    return (
        "Loss on each held-out text, whole, after so many tasks. Each seed learns another target first and goes round, so that a panel is "
        "of a place in the sequence, not of a text; gray: the task in which it is learned. Lines: means over seeds (n = "
        f"{' to '.join(map(str, sorted({min(n), max(n)}))) if n else 0}). Seeds differ in text, so that a band would be mostly texts' "
        "differences: methods are compared seed by seed, in the table."
    )


def _ordinal(place: int) -> str:
    return ORDINALS[place - 1] if place <= len(ORDINALS) else f"as number {place}"


def _read(results: pd.DataFrame) -> dict[Arm, np.ndarray]:
    """Finite losses (seeds, 1 + tasks, 1 + tasks) of each arm that has any."""
    found = matrices(results)
    own = {arm: [r for (word, _), r in found.items() if word == arm.word and np.isfinite(r).all()] for arm in arms(results)}
    return {arm: np.stack(some) for arm, some in own.items() if some}


def _line(axes: Axes, arm: Arm, losses: np.ndarray) -> None:
    look, places = methods.looks([arm.method])[arm.method], np.arange(losses.shape[1])
    size = methods.size(arm.method, 4)
    axes.plot(places, losses.mean(axis=0), color=look.color, marker=look.marker, markersize=size, linestyle=look.line, linewidth=1.3)
