"""How initializations and tasks are drawn in every figure."""

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes

from experiments.probing.readings_scores import BAG, CHARACTERS, CONSTANT, LEADER, PLAIN
from research.figures import style
from research.figures.style import Look
from research.findings import Finding

DASHED = (0, (5, 2))


def looks(found: Iterable[Finding]) -> dict[str, Look]:
    """Returns the look of each initialization with layers, the pretrained one first."""
    words = dict.fromkeys(f.where["init"] for f in found if f.where.get("init") not in (None, *PLAIN))
    made = style.looks(words)
    return {word: made[word] for word in sorted(words, key=lambda word: (word != LEADER, list(words).index(word)))}


def tasks(found: Iterable[Finding]) -> list[str]:
    """Returns the tasks, in the order of the records."""
    return list(dict.fromkeys(f.where["task"] for f in found if f.name == "classes"))


def horizontal(axes: Axes, value: float | None, dashes: Any) -> None:
    """Draws a gray line at a value across the panel, nothing where there is none."""
    if value is not None:
        axes.axhline(value, color=style.GRAY, linewidth=1.0, linestyle=dashes, zorder=0.9)


PLAIN_LINES = {CONSTANT: ":", CHARACTERS: DASHED, BAG: (0, (6, 2, 1, 2))}
FURTHER = [style.handle(Look(style.GRAY, "", line), f"{word}, no network") for word, line in PLAIN_LINES.items()]
