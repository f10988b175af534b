"""What was learned of the target against what was lost of the source: every strength and budget, and the front of each method."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.forgetting.plots import methods, rows
from research.analysis.pareto import front
from research.figures import style
from research.findings import Finding, find

ROOM = 4.0  # the largest rise on the axis, in third quartiles of those of last budgets; what full training lost is never off it


class Window(NamedTuple):
    """The largest target loss and the largest rise (bits/byte) that lie on the axes."""

    target: float
    rise: float


def pareto(results: pd.DataFrame, found: Sequence[Finding] = ()) -> Figure:
    """Returns the rise of the source's loss against the target's loss (bits/byte): means over seeds, a step line for each method's front.

    found: findings, of which `target_loss` and `source_rise` give the crosses at last budgets.
    """
    points = plane(results)
    if points.empty:
        return style.sentence("No plane: this figure needs 'budget_source' and 'budget_target' of the phases 'reference' and 'result'.")
    base = rows.untouched(results, "budget_target")
    window = _window(points, base)
    with style.context():
        figure = style.blank(6.6, 4.9)
        axes = figure.subplots()
        for method in methods.methods_of(points):
            _method(axes, points[points["method"] == method], window, found)
        axes.axhline(0.0, color=style.GRAY, linewidth=0.9, zorder=0.9)
        if np.isfinite(base):
            axes.plot([base], [0.0], **_STAR, linestyle="none", zorder=6)
        _limits(axes, points, window)
        axes.set_xlabel(f"target loss ({style.BITS}); learned more: to the left")
        axes.set_ylabel(f"rise of the source's loss ({style.BITS})")
        star = Line2D([], [], linestyle="none", label="untouched", **_STAR)
        style.legend_below(figure, [*methods.handles(methods.methods_of(points)), *[star] * bool(np.isfinite(base))])
        return figure


def caption(results: pd.DataFrame, found: Sequence[Finding] = ()) -> str:
    """Returns how to read the plane, n, what crosses are, what is trained by nothing, and what is missing or off the axes."""
    points, readings = plane(results), rows.budgets(results)
    window = _window(points, rows.untouched(results, "budget_target"))
    off = int(_is_off(points, window).sum()) if len(points) else 0
    crosses = sorted({f.method for f in found if f.name in ("source_rise", "target_loss") and f.low is not None})
    bars = f"Crosses at last budgets are as wide as the intervals of the findings: {'; '.join(crosses)}. " if crosses else "No intervals. "
    lines = [methods.NAMES.get(method, method) for method in methods.methods_of(points[points["untrained"]])] if len(points) else []
    between = f" Hollow, with a dotted front: {', '.join(lines)}, along which nothing is trained." if lines else ""
    return (
        "Loss on the target against what the source's loss rose above the same base's, down and left is better. Marks: means over seeds "
        f"(n = {_counted(points)}) of every strength and budget, large ones the last budget; thin lines join a strength's budgets. "
        f"Steps: a method's front, of means that no other one of its own beats in both. {bars}"
        f"A front of noisy means looks better than it is.{between}"
        f"{f' Off the axes, arrows at the edge: {off} of {len(points)} points.' if off else ''}{rows.lost(readings)}"
    )


def plane(results: pd.DataFrame) -> pd.DataFrame:
    """Returns means over seeds (method, strength, step, target, rise, n), whether each is of its `last` step, and `untrained`.

    Methods without budgets, which nothing trains, are read where their KL was.
    """
    own, other = rows.budgets(results), rows.kept(results)
    other = other[~other["method"].isin(own["method"])]
    parts = [rows.over_seeds(part).assign(untrained=untrained) for part, untrained in ((own, False), (other, True)) if len(part)]
    if not parts:
        return pd.DataFrame(columns=[*rows.POINT, "target", "rise", "n", "untrained", "last"])
    points = pd.concat(parts, ignore_index=True)
    last = points.groupby(["method", "strength"], dropna=False)["step"].transform("max")
    return points.assign(last=points["step"] == last)


_STAR: dict[str, Any] = {"color": "#ffd21f", "marker": "*", "markersize": 13, "markeredgecolor": "black", "markeredgewidth": 0.8}


def _window(points: pd.DataFrame, base: float) -> Window:
    if points.empty:
        return Window(np.inf, np.inf)
    targets, rises = points["target"].to_numpy(float), points["rise"].to_numpy(float)
    most = ROOM * float(np.quantile(np.maximum(rises[points["last"].to_numpy(bool)], 0.0), 0.75)) or np.inf
    most = max(most, float(rises[(points["method"] == "full").to_numpy(bool)].max(initial=0.0)))
    top = float(rises[rises <= most].max(initial=0.0))
    edge = base + 0.03 * (base - targets.min()) if np.isfinite(base) and base > targets.min() else targets.max()
    return Window(float(edge), 1.06 * top if rises.max() > most else float(rises.max()))


def _counted(points: pd.DataFrame) -> str:
    n = sorted(set(points["n"]))
    return "0" if not n else f"{n[0]}" if len(n) == 1 else f"{n[0]} to {n[-1]}"


def _is_off(points: pd.DataFrame, window: Window) -> pd.Series:
    return (points["target"] > window.target) | (points["rise"] > window.rise)


def _limits(axes: Axes, points: pd.DataFrame, window: Window) -> None:
    """Room for what the window holds and for its crosses, of which one that is very wide is cut."""
    left, low = min(points["target"].min(), window.target), min(0.0, points["rise"].min())
    width, height = window.target - left or 1.0, window.rise - low or 1.0
    (x, y), (_, top) = axes.dataLim.min, axes.dataLim.max
    axes.set_xlim(max(x, left - 0.3 * width) - 0.03 * width, window.target + 0.04 * width)
    upper = window.rise if (points["rise"] > window.rise).any() else min(top, window.rise + 0.3 * height)
    axes.set_ylim(max(y, low - 0.3 * height) - 0.04 * height, upper + 0.04 * height)


def _method(axes: Axes, own: pd.DataFrame, window: Window, found: Sequence[Finding]) -> None:
    (method,) = methods.methods_of(own)
    look, untrained = methods.looks([method])[method], bool(own["untrained"].all())
    face = "white" if untrained else look.color
    for strength, some in own.groupby("strength", dropna=False):
        axes.plot(some["target"], some["rise"], color=look.color, linewidth=0.6, alpha=0.35)
        _cross(axes, some[some["last"]], find(found, "target_loss", **_where(method, strength)), look.color, across=True)
        _cross(axes, some[some["last"]], find(found, "source_rise", **_where(method, strength)), look.color, across=False)
    for last, some in own.groupby("last"):
        mark: dict[str, Any] = {
            "markersize": methods.size(method, 5.5 if last else 3.0),
            "alpha": 1.0 if last else 0.55,
            "markerfacecolor": face,
        }
        axes.plot(some["target"], some["rise"], color=look.color, marker=look.marker, linestyle="none", zorder=4, **mark)
    for _, row in own[_is_off(own, window)].iterrows():
        _arrow(axes, row["target"], row["rise"], window, look.color)
    best = own.iloc[front(own[["target", "rise"]].to_numpy(float))].sort_values("target")
    line = (0, (1.2, 1.2)) if untrained else "-"
    axes.plot(best["target"], best["rise"], color=look.color, linewidth=1.4, linestyle=line, drawstyle="steps-post", zorder=3)


def _where(method: str, strength: float) -> dict[str, Any]:
    return {"method": method, "strength": None if pd.isna(strength) else strength}


def _cross(axes: Axes, point: pd.DataFrame, f: Finding | None, color: str, across: bool) -> None:
    """One arm of a cross: the distances of a finding from its value, around the point."""
    if f is None or f.value is None or f.low is None or f.high is None or point.empty:
        return
    half = np.array([[f.value - f.low], [f.high - f.value]])
    ends: dict[str, Any] = {"xerr": half} if across else {"yerr": half}
    axes.errorbar(point["target"], point["rise"], **ends, color=color, linestyle="none", elinewidth=0.9, capsize=0, alpha=0.8, zorder=3.5)


def _arrow(axes: Axes, target: float, rise: float, window: Window, color: str) -> None:
    """A small arrow at the edge beyond which a point lies."""
    marker = (3, 0, -45) if target > window.target and rise > window.rise else "^" if rise > window.rise else ">"
    spot = min(target, window.target), min(rise, window.rise)
    axes.plot(*spot, color=color, marker=marker, markersize=4.5, markerfacecolor="white", linestyle="none", zorder=5)
