"""The plane in which a run moved most: losses on it, and the run's way."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.loss_landscape.plots import contours
from experiments.loss_landscape.plots.contours import Plane
from experiments.loss_landscape.plots.rows import inits_of, missing, rows_of
from research.figures import layout, style


def trajectories(results: pd.DataFrame) -> Figure:
    """Returns contours of the loss (bits/byte) on each run's plane with its way, one scale of colors and of distances for all."""
    own = _rows(results)
    planes = {init: contours.plane_of(rows_of(own, init=init)) for init in inits_of(rows_of(own, metric="surface"))}
    scale = contours.scale_of(planes.values()) if planes else None
    if scale is None:
        return style.sentence("No plane of a way: this figure needs losses on principal planes, of the phase 'grid'.")
    looks = style.looks(planes)
    with style.context():
        figure, panels = layout.grid(len(planes), 3.6, _height(list(planes.values())), least=5.4, sharex=True, sharey=True)
        for (init, plane), axes in zip(planes.items(), panels, strict=True):
            contours.draw(axes, plane, scale)
            contours.draw_way(axes, plane.way)
            axes.set_aspect("equal")
            axes.set_title(f"{init}\n{_shares(own, init)}", color=looks[init].color, fontsize=9)
        xs, ys = _ground(list(planes.values()))
        panels[0].set(xlim=xs, ylim=ys)
        layout.label_rows(panels, "along the first axis (distance)", "the second axis")
        contours.color_bar(figure, panels, scale)
        contours.legend(figure)
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns how the planes were chosen, what the shares are of, and how many losses are missing."""
    own = _rows(results)
    return (
        "Loss on the fixed batch set on the plane of the two principal axes of a run's weights at its start, along its way and at its "
        "end: of the first run from the first base (n = 1). The title says how much of the variance of these few points each axis holds; "
        "with so few the first axis holds most of it whatever the run. Distances are in the weights' own units, and they and the colors "
        "have one scale in all panels; the ground between the points was not passed: the way lies off the plane by the rest of the "
        f"variance.{missing(rows_of(own, metric='surface'), 'hatched')}"
    )


def _rows(results: pd.DataFrame) -> pd.DataFrame:
    return rows_of(results, phase="grid", plane="principal", trains="full", at="end")


def _shares(own: pd.DataFrame, init: str) -> str:
    values = rows_of(own, init=init, metric="share").sort_values("axis")["value"].dropna()
    return " + ".join(f"{100 * share:.1f} %" for share in values) + " of the way's variance" if len(values) else ""


def _ground(planes: Sequence[Plane]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ends of both axes that hold all planes."""
    xs, ys = (np.concatenate(sides) for sides in zip(*((plane.xs, plane.ys) for plane in planes), strict=True))
    return (xs.min(), xs.max()), (ys.min(), ys.max())


def _height(planes: Sequence[Plane]) -> float:
    """Inches of a panel in which both axes have one scale, with its title and names."""
    xs, ys = _ground(planes)
    return float(np.clip(2.7 * np.ptp(ys) / np.ptp(xs), 0.6, 3.0)) + 1.0
