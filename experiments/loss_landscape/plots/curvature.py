"""Curvature against the loss along the way, and what Adam sees of it against the edge at which its steps no longer converge."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.loss_landscape.plots.rows import inits_of, logarithmic, lowest_shared, rows_of, wide
from research.figures import style

POINT = ["init", "seed", "run", "step"]


def along_the_way(results: pd.DataFrame) -> Figure:
    """Returns lambda_max and trace (nats) against the loss (bits/byte), and lambda_max as Adam sees it, in its limit, against steps."""
    table = _table(results)
    draw: dict[str, tuple[str, Callable[[Axes], None]]] = {}
    for metric, name in (("lambda_max", "largest eigenvalue (nats)"), ("trace", "trace (nats)")):
        if metric in table and (table[metric] > 0).any():
            draw[metric] = name, lambda axes, metric=metric: _against_loss(axes, table, metric, shared_level(results))  # type: ignore[misc]
    edge = _edge(table)
    if len(edge):
        draw["edge"] = "largest one that Adam sees / its limit", lambda axes: _against_steps(axes, edge)
    if not draw:
        return style.sentence("No curvature: this figure needs largest eigenvalues above zero, of the phase 'curvature'.")
    with style.context():
        figure = style.blank(max(3.1 * len(draw) + 0.2, 6.5), 3.7)
        for axes, (name, panel) in zip(figure.subplots(1, len(draw), squeeze=False).ravel(), draw.values(), strict=True):
            panel(axes)
            axes.set_title(name, fontsize=9.5)
        style.legend_above(figure, inits_of(table), solid=False)
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns how to read the panels, n, and what has no place on a log axis."""
    table, matched = _table(results), shared_level(results)
    bases = table["seed"].nunique() if len(table) else 0
    line = (
        " No loss was read along every way that all reach from above: nothing is compared at one loss."
        if matched is None
        else f" Gray line: {matched:.2f} bits/byte, the lowest loss that every run reaches from above, at which curvature is compared."
    )
    lost = sum(int((table[metric] <= 0).sum()) for metric in ("lambda_max", "trace") if metric in table)
    left = f" {lost} readings are not above zero and have no place on a log axis." if lost else ""
    edge = (
        " Right: the largest eigenvalue of the Hessian as Adam's second moments scale it, in units of (2 + 2 b1) / ((1 - b1) learning "
        "rate), above which steps along it would grow (first base alone)."
        if len(_edge(table))
        else ""
    )
    bars = " Bars at traces: t intervals over probes." if "trace" in table else ""
    return (
        f"Hessian of everything trained on the fixed batch set, one line per base (n = {bases} from each initialization): hollow before "
        "training, then around the loss that all reach (of the first base, pretrained and random, along the way), and at its end. The loss "
        f"falls to the right.{bars}{line}{edge}{left}"
    )


def shared_level(results: pd.DataFrame) -> float | None:
    """Returns the lowest loss (bits/byte) on the fixed batch set that every way reaches from above; None where there is none."""
    rows = rows_of(results, phase="curvature", trains="full", metric="loss")
    return lowest_shared(rows.assign(run=0))


def _table(results: pd.DataFrame) -> pd.DataFrame:
    """A row per point, a column per metric."""
    rows = rows_of(results, phase="curvature", trains="full")
    if rows.empty:
        return pd.DataFrame(columns=POINT)
    return rows.assign(run=0).pivot_table(index=POINT, columns="metric", values="value", aggfunc="first").reset_index()


def _edge(table: pd.DataFrame) -> pd.DataFrame:
    if not {"preconditioned_lambda_max", "stability_limit"} <= set(table):
        return pd.DataFrame(columns=[*POINT, "edge"])
    own = table.assign(edge=table["preconditioned_lambda_max"] / table["stability_limit"])
    return own[(own["edge"] > 0) & (own["step"] > 0)]


def _against_loss(axes: Axes, table: pd.DataFrame, metric: str, matched: float | None) -> None:
    half = f"{metric}_half_width"
    for init, look in style.looks(inits_of(table)).items():
        for _, own in table[(table["init"] == init) & (table[metric] > 0)].groupby("seed"):
            own = own.sort_values("step")
            axes.plot(own["loss"], own[metric], color=look.color, linestyle=look.line, linewidth=1.0, alpha=0.8)
            for hollow, some in own.groupby(own["step"] == 0):
                face = "white" if hollow else look.color
                spread = _spread(some, metric, half)
                drawn = {"color": look.color, "marker": look.marker, "markerfacecolor": face, "linestyle": "none", "markersize": 4}
                axes.errorbar(some["loss"], some[metric], yerr=spread, elinewidth=0.6, alpha=0.7, capsize=0, **drawn)  # type: ignore[arg-type]
    logarithmic(axes, table[metric])
    if wide(table["loss"]):
        logarithmic(axes, table["loss"], x=True)
    axes.invert_xaxis()
    axes.set_xlabel(f"loss ({style.BITS})")
    if matched is not None:
        axes.axvline(matched, color=style.GRAY, linewidth=1.0, zorder=0.9)


def _spread(some: pd.DataFrame, metric: str, half: str) -> np.ndarray | None:
    """Distances to the ends of an interval; a lower end at or below zero would leave a log axis, and stops just above it."""
    if half not in some:
        return None
    value, width = some[metric].to_numpy(float), some[half].fillna(0.0).to_numpy(float)
    return np.stack([np.minimum(width, 0.98 * value), width])


def _against_steps(axes: Axes, edge: pd.DataFrame) -> None:
    for init, look in style.looks(inits_of(edge)).items():
        own = edge[edge["init"] == init].sort_values("step")
        axes.plot(own["step"], own["edge"], color=look.color, marker=look.marker, linestyle=look.line, markersize=4)
    axes.axhline(1.0, color=style.GRAY, linewidth=1.0, zorder=0.9)
    axes.annotate("limit", (0.02, 1.0), xycoords=axes.get_yaxis_transform(), color=style.GRAY, fontsize=8, va="bottom")
    logarithmic(axes, edge["edge"])
    logarithmic(axes, edge["step"], x=True)
    axes.set_xlabel("training steps (log scale)")
