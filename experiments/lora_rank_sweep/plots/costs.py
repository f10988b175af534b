"""Figure (e): what each arm costs."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from research.figures import style
from research.figures.intervals import arms_of, select, tidy

FORMULA, COMPILED = "#0072B2", "#E69F00"
BARS = {"lora": "#0072B2", "matched": style.MATCHED.color, "full": "#222222"}
ORDER = {"lora": 0, "matched": 1, "full": 2}
COUNTED = "flops_per_token_compiled"


class Bars(NamedTuple):
    """One set of bars in a panel: what it counts, and how it is colored (None: by what is trained)."""

    metric: str
    color: str | None


PANELS = {
    "trainable\nparameters": (Bars("trainable_parameters", None),),
    "optimizer state\n(bytes)": (Bars("optimizer_bytes", None),),
    "training step\n(FLOPs/token)": (Bars("flops_per_token_formula", FORMULA), Bars(COUNTED, COMPILED)),
}


def cost_per_arm(results: pd.DataFrame) -> Figure:
    """Returns bars per arm and rank: trainable parameters (log), optimizer bytes (log), FLOPs/token by formula and as compiled.

    Without the latter where no program was counted: XLA counts the body of a scan once.
    """
    frame = _arms_only(results)
    if frame.empty:
        return style.sentence("No costs yet: this figure needs records of the phase 'cost'.")
    rows, counted = _rows(frame), set(frame["metric"])
    with style.context():
        figure = style.blank(7.2, 0.27 * len(rows) + 1.5)
        for axes, (title, sets) in zip(figure.subplots(1, 3, sharey=True), PANELS.items(), strict=True):
            _panel(axes, frame, rows, tuple(bars for bars in sets if bars.metric in counted))
            axes.set_xlabel(title)
        figure.axes[0].set_yticks(range(len(rows)), [name for name, _ in rows])
        figure.axes[0].set_ylim(len(rows) - 0.4, -0.6)
        if COUNTED in counted:
            patches = [Patch(color=FORMULA, label="by formula"), Patch(color=COMPILED, label="in the compiled program")]
            figure.legend(handles=patches, loc="outside lower right", ncols=2)
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns what the figure shows; costs are counts of one compiled program, so there is no interval."""
    frame = _arms_only(results)
    missing, compiled = frame["value"].isna().sum(), " and as counted in the compiled program" * (COUNTED in set(frame["metric"]))
    gap = f" {int(missing)} values could not be had from the compiler." if missing else ""
    return (
        "Cost per arm: trainable parameters, the optimizer's state, and floating point operations per token of a training step, by "
        f"formula{compiled}. Counts, not measurements: no seeds, no interval; they say nothing of time or "
        f"peak memory.{gap}"
    )


def _arms_only(results: pd.DataFrame) -> pd.DataFrame:
    """Returns the costs without pretraining's: per token and in parameters it is the training of everything."""
    frame = select(tidy(results), phase="cost")
    return frame[frame["trains"] != "pretraining"]


def _rows(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Returns (name, records) of every bar position: arm by arm by rank, then the arm's matrices, at the end everything."""
    arms = arms_of(frame)
    keyed = []
    for (arm, trains, rank), own in frame.groupby(["arm", "trains", "rank"], dropna=False):
        kind = f"rank {int(rank)}" if np.isfinite(rank) and trains == "lora" else style.TRAINS_NAMES.get(trains, trains)
        name = kind if len(arms) == 1 or not arm else f"{arm} · {kind}"
        place = (trains == "full", arms.index(arm) if arm else -1, ORDER.get(trains, 3), rank if np.isfinite(rank) else 0)
        keyed.append((place, name, own))
    return [(name, own) for _, name, own in sorted(keyed, key=lambda entry: entry[0])]


def _panel(axes: Axes, frame: pd.DataFrame, rows: list[tuple[str, pd.DataFrame]], sets: tuple[Bars, ...]) -> None:
    """Draws one cost's bars with their values beside them."""
    thick = 0.72 / max(1, len(sets))
    values = frame.loc[frame["metric"].isin([bars.metric for bars in sets]) & (frame["value"] > 0), "value"]
    logarithmic = len(values) > 0 and all(bars.color is None for bars in sets)
    for i, bars in enumerate(sets):
        for place, (_, own) in enumerate(rows):
            value = select(own, metric=bars.metric)["value"].mean()
            color = bars.color or BARS.get(str(own["trains"].iloc[0]), style.GRAY)
            y = place + (i - (len(sets) - 1) / 2) * thick
            if np.isfinite(value):
                axes.barh(y, value, height=thick, color=color)
            text = style.compact(value) if np.isfinite(value) else "–"
            start = value if np.isfinite(value) else (values.min() / 3 if logarithmic else 0)
            axes.annotate(text, (start, y), xytext=(2, 0), textcoords="offset points", va="center", fontsize=7.5 if len(sets) == 1 else 6.5)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(values.min() / 3, values.max() * (values.max() / values.min()) ** 0.25 * 4)
    elif len(values):
        axes.set_xlim(0, 1.25 * values.max())
    style.plain_ticks(axes.xaxis)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
