"""Losses on planes of two random directions around starts and ends: contours and reliefs, one scale for all initializations."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

from experiments.loss_landscape.plots import contours
from experiments.loss_landscape.plots.contours import COLORS, Plane, Scale
from experiments.loss_landscape.plots.rows import inits_of, missing, rows_of
from research.figures import style

POINTS = (("start", "full", "before training"), ("end", "full", "after training"), ("end", "lora", "after training, LoRA's weights"))
NONE = "No surfaces: this figure needs losses on a plane of random directions, of the phase 'grid'."


class Places(NamedTuple):
    """Which planes there are: a column for each initialization, a row for each point; by place, in the order of reading."""

    inits: list[str]
    rows: list[str]
    planes: dict[tuple[str, str], Plane]


def surfaces(results: pd.DataFrame) -> Figure:
    """Returns contours of the loss (bits/byte), with the way's shadow: a column per initialization, a row per point, one scale."""
    places = _places(results)
    scale = contours.scale_of(places.planes.values()) if places.planes else None
    if scale is None:
        return style.sentence(NONE)
    with style.context():
        # High enough: where height is what limits square panels, the layout cuts off their titles.
        figure = style.blank(2.0 * len(places.inits) + 1.4, 2.55 * len(places.rows) + 0.9)
        grid = figure.subplots(len(places.rows), len(places.inits), squeeze=False, sharex=True, sharey=True)
        for (row, init), axes in _taken(places, grid):
            plane = places.planes[row, init]
            contours.draw(axes, plane, scale)
            contours.draw_way(axes, plane.way)
            axes.set_xlim(plane.xs[0], plane.xs[-1])
            axes.set_ylim(plane.ys[0], plane.ys[-1])
            axes.set_xticks([plane.xs[0], 0.0, plane.xs[-1]])
            axes.set_yticks([plane.ys[0], 0.0, plane.ys[-1]])
            axes.set_aspect("equal")
            _title(axes, init, row, places)
        for axes in grid[-1]:
            axes.set_xlabel("first direction")
        for axes in grid[:, 0]:
            axes.set_ylabel("second direction")
        contours.color_bar(figure, grid.ravel().tolist(), scale)
        contours.legend(figure, places.planes.values())
        return figure


def reliefs(results: pd.DataFrame) -> Figure:
    """Returns the same planes in three dimensions, the loss (bits/byte) as height, with one range of heights and colors."""
    places = _places(results)
    scale = contours.scale_of(places.planes.values()) if places.planes else None
    if scale is None:
        return style.sentence(NONE)
    with style.context():
        figure = style.blank(2.4 * len(places.inits) + 1.1, 2.6 * len(places.rows) + 0.5)
        grid = figure.subplots(len(places.rows), len(places.inits), squeeze=False, subplot_kw={"projection": "3d"})
        for (row, init), axes in _taken(places, grid):
            _relief(axes, places.planes[row, init], scale)
            _title(axes, init, row, places)
        contours.color_bar(figure, grid.ravel().tolist(), scale)
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns how to read the contours, how long the way's shadow is, and how many losses are missing."""
    own = _rows(results)
    return (
        "Loss on the fixed batch set around the weights, moved along two Gaussian directions, each filter (column of a kernel, row of an "
        "embedding) in the norm of the weights' own: at 1 a direction is as long as the weights. Norms and biases stay. One base, one "
        f"plane per panel (n = 1); colors and levels are the same in all panels.{_scale(results)}"
        f"{_extent(results)}{missing(rows_of(own, metric='surface'), 'hatched')}"
    )


def relief_caption(results: pd.DataFrame) -> str:
    """Returns what is drawn, and how many losses are missing."""
    lost = missing(rows_of(_rows(results), metric="surface"), "left out")
    return f"The planes of the contours in three dimensions; heights and colors have one range in all panels.{_scale(results)}{lost}"


def _rows(results: pd.DataFrame) -> pd.DataFrame:
    return rows_of(results, phase="grid", plane="random")


def _places(results: pd.DataFrame) -> Places:
    own, planes = _rows(results), {}
    for at, trains, name in POINTS:
        some = rows_of(own, at=at, trains=trains)
        for init in inits_of(rows_of(some, metric="surface")):
            planes[name, init] = contours.plane_of(rows_of(some, init=init))
    rows = list(dict.fromkeys(name for name, _ in planes))
    return Places([init for init in inits_of(own) if any(init == one for _, one in planes)], rows, planes)


def _taken(places: Places, grid: np.ndarray) -> Iterator[tuple[tuple[str, str], Any]]:
    """Yields each place of a grid of axes for which there is a plane; the others are hidden."""
    for row, line in zip(places.rows, grid, strict=True):
        for init, axes in zip(places.inits, line, strict=True):
            axes.set_visible((row, init) in places.planes)
            if (row, init) in places.planes:
                yield (row, init), axes


def _title(axes: Any, init: str, row: str, places: Places) -> None:
    plane = places.planes[row, init]
    center = plane.losses[np.abs(plane.ys).argmin(), np.abs(plane.xs).argmin()]
    known = f"\n{center:.2f} at the center" if np.isfinite(center) else "\nnot finite at the center"
    axes.set_title(f"{init}\n{row}{known}", color=style.looks(places.inits)[init].color, fontsize=8.5)


def _relief(axes: Axes3D, plane: Plane, scale: Scale) -> None:
    """A surface; where levels are a factor apart heights are logarithms, named by their losses: mplot3d has no such axis."""
    logarithmic = scale.logarithmic
    heights = np.log(plane.losses) if logarithmic else plane.losses
    low, high = np.log(scale.levels[[0, -1]]) if logarithmic else scale.levels[[0, -1]]
    means = sum(plane.losses[i : len(plane.ys) - 1 + i, j : len(plane.xs) - 1 + j] for i in (0, 1) for j in (0, 1)) / 4  # of each cell
    colors = COLORS(scale.norm(np.ma.masked_invalid(means)))
    x, y = np.meshgrid(plane.xs, plane.ys)
    axes.plot_surface(x, y, heights, facecolors=colors, rstride=1, cstride=1, shade=False, linewidth=0.2, edgecolor="#ffffff66")
    axes.set_zlim(low, high)
    axes.view_init(elev=35, azim=-55)
    axes.tick_params(labelsize=7, pad=-2)
    axes.set_xlabel("first direction", fontsize=7, labelpad=-8)
    axes.set_ylabel("second direction", fontsize=7, labelpad=-8)
    axes.set_xticks([plane.xs[0], 0.0, plane.xs[-1]])
    axes.set_yticks([plane.ys[0], 0.0, plane.ys[-1]])
    if logarithmic:
        ticks = np.geomspace(scale.levels[0], scale.levels[-1], 5)
        axes.set_zticks(np.log(ticks), [style.compact(float(tick)) for tick in ticks])
    axes.set_box_aspect(None, zoom=1.05)


def _scale(results: pd.DataFrame) -> str:
    planes = _places(results).planes
    scale = contours.scale_of(planes.values()) if planes else None
    return " Levels are a factor apart, not a difference." if scale is not None and scale.logarithmic else ""


def _extent(results: pd.DataFrame) -> str:
    reach = [np.abs(plane.way).max() for plane in _places(results).planes.values() if len(plane.way)]
    if not reach:
        return ""
    farthest = float(max(reach))
    small = ": two random directions hold next to nothing of a way, and what is drawn is not what a run passes" if farthest < 0.1 else ""
    return f" The run's way is drawn by its shadow, which reaches {style.compact(farthest)} from the center at most{small}."
