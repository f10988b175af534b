"""How panels are laid out: which there are, how they are titled, and what is named once for all."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research.figures import style


class Panel(NamedTuple):
    """One small plot of a figure: the target, the arm and the initialization it shows, "" for what all have in common, and its axes."""

    target: str
    arm: str
    init: str
    axes: Axes


def panels(keys: Sequence[tuple[str, str, str]], height: float = 2.7, **shared: Any) -> tuple[Figure, list[Panel]]:
    """Returns a figure with one panel for each (target, arm, initialization), in this order, in rows of at most 4.

    A title names the initialization, in whose color it is, then what else is told apart.
    """
    inits = dict.fromkeys(init for _, _, init in keys)
    columns = min(len(keys), {1: 3, 2: 2 if len(keys) <= 4 else 4, 3: 3}.get(len(inits), 4))
    figure = style.blank(max(2.5 * columns + 0.2, 5.0), (height + 0.1) * math.ceil(len(keys) / columns) + 0.6)
    grid = figure.subplots(math.ceil(len(keys) / columns), columns, squeeze=False, **shared).ravel()
    look, words = style.looks(inits), titles([key[:2] for key in keys])
    for (target, arm, init), axes in zip(keys, grid, strict=False):
        lines = [init, *filter(None, [words[target, arm]])]
        axes.set_title("\n".join(textwrap.fill(line, 30) for line in lines), color=look[init].color, fontsize=9)
    for axes in grid[len(keys) :]:
        axes.set_visible(False)
    return figure, [Panel(*key, axes) for key, axes in zip(keys, grid, strict=False)]


def grid(count: int, width: float, height: float, least: float = 0.0, **shared: Any) -> tuple[Figure, list[Axes]]:
    """Returns a figure with so many panels of this size in inches, two a row; `least` is the width of one that is alone."""
    columns = min(count, 2)
    rows = math.ceil(count / columns)
    figure = style.blank(max(width * columns, least), height * rows + 0.3)
    panels = list(figure.subplots(rows, columns, squeeze=False, **shared).ravel())
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def subtitled(axes: Axes, title: str, below: str) -> None:
    """Puts a title left above a panel, and a smaller line below it."""
    axes.set_title(title, loc="left", pad=16 if below else 6)
    axes.annotate(below, (0, 1), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points", color=style.GRAY, fontsize=8.5)


def titles(places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Returns what tells each (target, arm) from the others: the target, the arm, both, or nothing."""
    apart = [len({place[i] for place in places}) > 1 for i in (1, 0)]
    return {place: " · ".join(word for word, told in zip(place[::-1], apart, strict=True) if told and word) for place in places}


def align(cells: Sequence[Panel]) -> None:
    """Gives the panels of each target one y range, so that they can be compared."""
    for target in {cell.target for cell in cells}:
        own = [cell.axes for cell in cells if cell.target == target]
        lows, tops = zip(*(axes.get_ylim() for axes in own), strict=True)
        for axes in own:
            axes.set_ylim(min(lows), max(tops))


def label_outer(cells: Sequence[Panel], x: str, y: str) -> None:
    """Names the axes: x below the lowest panel of each column, y left of the first panel of each row."""
    for i, cell in enumerate(cells):
        place = cell.axes.get_subplotspec()
        if place is None or place.is_first_col():
            cell.axes.set_ylabel(y)
        columns = place.get_gridspec().ncols if place else 1
        if i + columns >= len(cells):
            cell.axes.set_xlabel(x)


def last_of_rows(cells: Sequence[Panel]) -> list[Panel]:
    """Returns the panels of the last column, beside which there is room, and the very last one where its target has none of these."""
    places = [cell.axes.get_subplotspec() for cell in cells]
    last = [cell for cell, place in zip(cells, places, strict=True) if place is not None and place.is_last_col()]
    return last if cells[-1].target in {cell.target for cell in last} else [*last, cells[-1]]


def label_rows(grid: Sequence[Axes], x: str, y: str) -> None:
    """Names the axes of a grid: x below the lowest panel of each column, y left of the first panel of each row."""
    label_outer([Panel("", "", "", axes) for axes in grid], x, y)
