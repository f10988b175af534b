"""Losses on a plane: one scale of color for all planes of a figure, missing ones hatched, a run's way drawn in."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from experiments.loss_landscape.plots.rows import rows_of, wide
from research.figures import style

LEVELS = 16
COLORS = matplotlib.colormaps["viridis"]
START: dict[str, Any] = {"marker": "o", "markerfacecolor": "white", "markersize": 6}
END: dict[str, Any] = {"marker": "o", "markerfacecolor": "black", "markersize": 3.5}


class Plane(NamedTuple):
    """Losses (ys, xs) on a grid, NaN where not finite, and a way's shadow (points, 2) on it, which may be empty."""

    xs: np.ndarray
    ys: np.ndarray
    losses: np.ndarray
    way: np.ndarray


class Scale(NamedTuple):
    """The levels between which a color stays, evenly or, where losses lie far apart, geometrically spaced, and the map to colors."""

    levels: np.ndarray
    norm: BoundaryNorm

    @property
    def logarithmic(self) -> bool:
        """Returns whether levels are a factor apart, not a difference."""
        return wide(self.levels)


def plane_of(own: pd.DataFrame) -> Plane:
    """Returns the plane in rows of one initialization, point and kind of plane."""
    table = rows_of(own, metric="surface").pivot_table(index="y", columns="x", values="value", dropna=False, aggfunc="first")
    shadow = rows_of(own, metric="shadow")
    way = np.empty((0, 2))
    if len(shadow):
        way = shadow.pivot_table(index="order", columns="axis", values="value", aggfunc="first")[["x", "y"]].to_numpy(float)
    return Plane(table.columns.to_numpy(float), table.index.to_numpy(float), table.to_numpy(float), way)


def scale_of(planes: Iterable[Plane]) -> Scale | None:
    """Returns one scale for all losses of these planes; None where none is finite."""
    losses = np.concatenate([plane.losses.ravel() for plane in planes])
    losses = losses[np.isfinite(losses)]
    if not losses.size:
        return None
    low, high = float(losses.min()), float(losses.max())
    if wide((low, high)):
        levels = np.geomspace(low, high, LEVELS)
        levels[[0, -1]] = low * (1 - 1e-9), high * (1 + 1e-9)  # rounding leaves out neither end
    else:
        levels = np.asarray(MaxNLocator(LEVELS).tick_values(low, high if high > low else low + 1e-3))
    return Scale(levels, BoundaryNorm(levels, COLORS.N))


def draw(axes: Axes, plane: Plane, scale: Scale) -> None:
    """Draws losses as filled contours with thin lines between them; where one is missing the hatched ground shows."""
    corner = float(plane.xs[0]), float(plane.ys[0])
    extent = float(np.ptp(plane.xs)), float(np.ptp(plane.ys))
    axes.add_patch(Rectangle(corner, *extent, facecolor="#dddddd", edgecolor="#888888", hatch="///", linewidth=0.5, zorder=0.5))
    if np.isfinite(plane.losses).sum() > 1:
        shown = np.ma.masked_invalid(plane.losses)
        axes.contourf(plane.xs, plane.ys, shown, levels=scale.levels, norm=scale.norm, cmap=COLORS, zorder=1)
        if np.ptp(shown.compressed()) > 0:
            axes.contour(plane.xs, plane.ys, shown, levels=scale.levels, colors="white", linewidths=0.4, alpha=0.6, zorder=1.1)
    axes.grid(False)


def draw_way(axes: Axes, way: np.ndarray) -> None:
    """Draws a way, its start hollow and its end full."""
    if len(way):
        axes.plot(*way.T, color="white", linewidth=3.0, zorder=3)
        axes.plot(*way.T, color="black", linewidth=1.2, marker=".", markersize=4, zorder=3.1)
        for place, mark in ((way[:1], START), (way[-1:], END)):
            axes.plot(*place.T, color="black", linestyle="none", zorder=3.2, **mark)


def color_bar(figure: Figure, panels: Sequence[Any], scale: Scale) -> None:
    """Puts the scale of all panels beside them, with every second level named."""
    bar = figure.colorbar(ScalarMappable(scale.norm, COLORS), ax=list(panels), shrink=0.8, aspect=30, pad=0.02)
    named: list[float] = scale.levels[:: 2 if len(scale.levels) > 9 else 1].tolist()
    bar.set_ticks(named, labels=[style.compact(tick) for tick in named])
    bar.set_label(f"loss ({style.BITS}{', levels a factor apart' if scale.logarithmic else ''})")


def legend(figure: Figure) -> None:
    """Names the marks of a way, below the panels."""
    names = (("start of the run", START), ("its end", END))
    own = [Line2D([], [], color="black", linestyle="none", label=name, **mark) for name, mark in names]
    style.legend_below(figure, [Line2D([], [], color="black", marker=".", linewidth=1.2, label="the run's way"), *own])
