"""How many bits a label costs less from pretrained layers than from everything that they are compared with."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments.probing.judged import compared, other_of
from experiments.probing.readings_contrasts import EMBEDDING
from experiments.probing.readings_scores import BAG, CHARACTERS, CONSTANT, LONGER
from research.analysis.wording import interval_sentence
from research.figures import style
from research.figures.intervals import around
from research.figures.style import Look
from research.findings import Finding

OWN = {
    CONSTANT: Look(style.GRAY, "+", "-"),
    CHARACTERS: Look(style.GRAY, "d", "-"),
    LONGER: Look(style.GRAY, "p", "-"),
    BAG: Look("#000000", "x", "-"),
    EMBEDDING: Look("#000000", "*", "-"),
}


def less_than(found: Sequence[Finding]) -> Figure:
    """Returns the differences in bits a label, mean over layers, a row a task and a mark for each thing compared with."""
    own = compared(found)
    others, tasks = list(dict.fromkeys(other_of(f) for f in own)), list(dict.fromkeys(f.where["task"] for f in own))
    if not own:
        return style.sentence("Nothing was compared: this figure needs contrasts of codelengths.")
    made = {**style.looks(other for other in others if other not in OWN), **OWN}
    with style.context():
        figure = style.blank(7.0, 0.2 * len(own) + 1.5)
        axes = figure.subplots()
        for step, other in enumerate(others):
            some = [f for f in own if other_of(f) == other and f.value is not None]
            shift = 0.8 * ((step + 0.5) / len(others) - 0.5)
            places, values, ends = around(some, [tasks.index(f.where["task"]) + shift for f in some])
            look = made[other]
            axes.errorbar(
                values, places, xerr=np.abs(ends), color=look.color, marker=look.marker, markersize=4.5, linestyle="none", elinewidth=1.0
            )
        axes.axvline(0.0, color=style.GRAY, linewidth=1.0, zorder=0.9)
        axes.set_yticks(range(len(tasks)), tasks)
        axes.set_ylim(len(tasks) - 0.5, -0.5)
        axes.set_xlabel("bits a label from pretrained layers, less those from ... (left of 0: pretrained layers say more)")
        style.legend_below(figure, [style.handle(made[other], other, linestyle="none") for other in others])
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns how to read it."""
    return (
        "Codelength of an online code in bits a label, mean over layers (not the embedding, and no depth chosen), less that from layers of "
        f"other weights, from bytes without a network, and from the embedding below. {interval_sentence(compared(found))}"
    )
