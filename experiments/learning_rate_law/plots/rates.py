"""The best learning rate against the rank, and against the curvature that the adapter meets before its first step."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.learning_rate_law.compared import places_of
from experiments.learning_rate_law.plots import looks
from research.figures import style
from research.findings import Finding, find

CURVATURE = "lambda_max"


def against_rank(found: Sequence[Finding]) -> Figure:
    """Returns best rates against the rank under each rule, a panel a target and start, with intervals; full training's as a line."""
    return _panels(found, "rank", "rank")


def against_curvature(found: Sequence[Finding]) -> Figure:
    """Returns best rates against the inverse of the largest eigenvalue at the start, with a line of the slope that its law has."""
    return _panels(found, CURVATURE, "1 / largest eigenvalue at the start (tokens/nat)")


def rank_caption(found: Sequence[Finding]) -> str:
    """Returns how to read best rates against ranks, and how many are missing."""
    lost = sum(f.name == "best_rate" and f.value is None for f in found)
    gone = f" {lost} best rates are missing: in at least one seed they lie on an edge of the grid." if lost else ""
    return (
        "Best learning rate of LoRA against its rank under each rule by which alpha follows it: geometric means over bases with 95 % "
        f"intervals over bases and documents. Dashed: everything trained.{gone}"
    )


def curvature_caption() -> str:
    """Returns how to read best rates against curvature."""
    return (
        "Best learning rate against the inverse of the largest eigenvalue of the loss's Hessian in the coordinates of A and B, before the "
        "first step: one point for each rule and rank, two that share a setting on one another. Dashed: the slope of a rate that goes as "
        "the inverse, through the points' mean."
    )


def _panels(found: Sequence[Finding], across: str, label: str) -> Figure:
    places, rules = places_of(found), looks.rules(found)
    read = [f for f in found if f.name == "best_rate" and f.value is not None and f.where["rule"]]
    if not read:
        return style.sentence("No best rates: this figure needs findings 'best_rate' with a value.")
    with style.context():
        figure = style.blank(2.7 * len(places) + 0.6, 3.3)
        row = figure.subplots(1, len(places), squeeze=False, sharey=True)[0]
        for axes, place in zip(row, places, strict=True):
            own = [f for f in read if (f.where["target"], f.where["init"]) == place]
            points = [_points(axes, found, [f for f in own if f.where["rule"] == rule], look, across) for rule, look in rules.items()]
            axes.set(xscale="log", yscale="log", title=f"{place[0]}\nfrom {place[1]} weights")
            axes.title.set_fontsize(9)
            if across == "rank":
                _full(axes, found, place)
                ranks = sorted({f.where["rank"] for f in own})
                axes.set_xticks(ranks, [f"{rank}" for rank in ranks])
                axes.minorticks_off()
            else:
                _inverse(axes, np.concatenate(points, axis=1))
        row[len(places) // 2].set_xlabel(label)
        row[0].set_ylabel("best learning rate")
        style.legend_below(
            figure, [style.handle(look, rule, linestyle="-" if across == "rank" else "none") for rule, look in rules.items()]
        )
        return figure


def _points(axes: Axes, found: Sequence[Finding], own: Sequence[Finding], look: style.Look, across: str) -> np.ndarray:
    """Draws the settings of a rule; returns their places, (2, n)."""
    kept = [f for f in own if across == "rank" or _curvature(found, f)]
    beside = [f if across == "rank" else _curvature(found, f) for f in kept]
    xs = [float(f.where["rank"]) if across == "rank" else 1 / looks.ends(f)[0] for f in beside if f is not None]
    values, lows, highs = np.array([looks.ends(f) for f in kept], float).reshape(-1, 3).T
    line: dict[str, Any] = {"linestyle": "-" if across == "rank" else "none", "linewidth": 1.1, "markersize": 4.5, "capsize": 2}
    if across != "rank":
        inverse = np.array([looks.ends(f) for f in beside if f is not None], float).reshape(-1, 3)
        line["xerr"] = np.stack([1 / inverse[:, 0] - 1 / inverse[:, 2], 1 / inverse[:, 1] - 1 / inverse[:, 0]])
    axes.errorbar(xs, values, yerr=np.stack([values - lows, highs - values]), color=look.color, marker=look.marker, **line)
    return np.stack([np.array(xs, float), values])


def _curvature(found: Sequence[Finding], f: Finding) -> Finding | None:
    where = {name: f.where[name] for name in ("target", "init", "rule", "rank")}
    curvature = find(found, CURVATURE, **where)
    return None if curvature is None or not curvature.value else curvature


def _full(axes: Axes, found: Sequence[Finding], place: tuple[str, str]) -> None:
    full = find(found, "best_rate", target=place[0], init=place[1], trains="full")
    if full is not None and full.value is not None:
        axes.axhline(full.value, color="black", linewidth=1.0, linestyle=(0, (5, 2)))


def _inverse(axes: Axes, points: np.ndarray) -> None:
    if points.size:
        logs = np.log(points)
        ends = np.array([logs[0].min(), logs[0].max()])
        line = Line2D(np.exp(ends), np.exp(logs[1].mean() + ends - logs[0].mean()), color=style.GRAY, linestyle=(0, (5, 2)), linewidth=1.0)
        axes.add_line(line)
