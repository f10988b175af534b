"""The loss against steps, with the loss that all runs reach."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.loss_landscape.plots.rows import inits_of, logarithmic, lowest_shared, rows_of, wide
from research.figures import style
from research.figures.intervals import over_seeds, seeds_sentence, tidy

TRAINED = (("full", "everything trained"), ("lora", "LoRA"))


def losses(results: pd.DataFrame) -> Figure:
    """Returns held-out loss (bits/byte) against steps (log), mean and interval over bases, a panel per what is trained, shared axes."""
    own = _rows(results)
    kinds = [(trains, name) for trains, name in TRAINED if rows_of(own, trains=trains)["value"].notna().any()]
    if not kinds:
        return style.sentence("No losses: this figure needs validation losses of the phase 'result'.")
    inits, starts = inits_of(own), _starts(results)
    with style.context():
        figure = style.blank(max(3.6 * len(kinds), 5.4), 3.6)
        panels = figure.subplots(1, len(kinds), squeeze=False, sharex=True, sharey=True).ravel()
        for (trains, name), axes in zip(kinds, panels, strict=True):
            for init, look in style.looks(inits).items():
                _curve(axes, rows_of(own, trains=trains, init=init), rows_of(starts, trains=trains, init=init), look)
            axes.set_title(name)
            axes.set_xlabel("training steps (log scale; hollow: before the first)")
        logarithmic(panels[0], own["step"], x=True)
        if wide([*own["value"], *starts["value"]]):
            logarithmic(panels[0], [*own["value"], *starts["value"]])
        _shared_level(list(panels), kinds[0][0], shared_level(results))
        panels[0].set_ylabel(f"validation loss ({style.BITS})")
        style.legend_above(figure, inits, solid=False)
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns what is drawn, n, and what the shared level is."""
    shared = shared_level(results)
    line = (
        "No loss was read that every run of everything reaches from above. "
        if shared is None
        else f"Gray line: {shared:.2f}, the lowest loss that every run of everything reaches from above. "
    )
    return (
        "Loss on held-out text at the steps read off each run; learning rates are constant after warm-up and chosen for each "
        "initialization. Hollow marks: before training, on the windows of the fixed batch set. "
        f"{line}{seeds_sentence(tidy(_rows(results)), ['init', 'trains', 'step'])}"
    )


def shared_level(results: pd.DataFrame) -> float | None:
    """Returns the lowest loss (bits/byte) that every run of everything reaches from above, its start among its readings; else None."""
    own = rows_of(_rows(results), trains="full")
    starts = rows_of(_starts(results), trains="full").drop(columns="run", errors="ignore")
    first = own[["init", "seed", "run"]].drop_duplicates().merge(starts[["init", "seed", "value"]], on=["init", "seed"])
    return lowest_shared(pd.concat([own[["init", "seed", "run", "step", "value"]], first.assign(step=0)], ignore_index=True))


def _rows(results: pd.DataFrame) -> pd.DataFrame:
    own = rows_of(results, phase="result", metric="validation_loss")
    return own[own["step"].astype(float) > 0]


def _starts(results: pd.DataFrame) -> pd.DataFrame:
    return rows_of(results, phase="curvature", metric="loss", at="start")


def _curve(axes: Axes, own: pd.DataFrame, starts: pd.DataFrame, look: style.Look) -> None:
    if own.empty:
        return
    table = over_seeds(own, ["step"])
    axes.plot(table["step"], table["mean"], color=look.color, marker=look.marker, linestyle=look.line, markersize=4)
    axes.fill_between(table["step"].astype(float), table["low"], table["high"], color=look.color, alpha=0.18, linewidth=0)
    if len(starts):
        first = float(table["step"].min()) / 2
        axes.plot([first], [starts["value"].mean()], color=look.color, marker=look.marker, markerfacecolor="white", linestyle="none")


def _shared_level(panels: Sequence[Axes], first: str, value: float | None) -> None:
    """Draws the level of everything trained, where that is drawn."""
    if value is None or first != "full" or not np.isfinite(value):
        return
    panels[0].axhline(value, color=style.GRAY, linewidth=1.0, zorder=0.9)
    panels[0].annotate(
        f"shared {value:.2f}", (0.02, value), xycoords=panels[0].get_yaxis_transform(), color=style.GRAY, fontsize=8, va="bottom"
    )
