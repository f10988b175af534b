"""What all figures of the landscape ask of its records: rows by their coordinates, initializations in order, what is missing."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.loss_landscape.levels import level
from research.figures import style
from research.figures.intervals import INITS, ordered

TICKS = 128.0  # the largest over the smallest value up to which powers of two are few enough to be ticks
LEAST_READINGS = 3
RANGE = 4.0  # the largest over the smallest loss from which on their axis is logarithmic


def rows_of(results: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """Returns the rows whose columns equal `where`, their `value` float and NaN for null; none where a column is absent."""
    names = [*where, "value"]
    if any(name not in results for name in names):
        return pd.DataFrame(columns=[*dict.fromkeys([*results.columns, *names, "init", "seed", "run", "step"])])
    keep = pd.Series(True, results.index)
    for name, value in where.items():
        keep &= results[name] == value
    found = results[keep]
    values = pd.to_numeric(found["value"]).astype(float)
    return found.assign(value=values.where(np.isfinite(values)))


def inits_of(frame: pd.DataFrame) -> list[str]:
    """Returns the initializations of rows, in the order of every figure."""
    return ordered(frame["init"].dropna().astype(str), INITS)


def wide(values: Any) -> bool:
    """Returns whether values, NaN aside, are positive and so far apart that a linear axis would hide the smaller ones."""
    own = np.asarray(values, float)
    own = own[np.isfinite(own)]
    return bool(own.size and own.min() > 0 and own.max() > RANGE * own.min())


def logarithmic(axes: Axes, values: Any, x: bool = False) -> None:
    """Makes the vertical axis, or the horizontal one, logarithmic, with enough ticks for these values, NaN aside."""
    own = np.asarray(values, float)
    own = own[np.isfinite(own) & (own > 0)]
    base = 2 if own.size and own.max() <= TICKS * own.min() else 10
    (axes.set_xscale if x else axes.set_yscale)("log", base=base)
    style.plain_ticks(axes.xaxis if x else axes.yaxis)


def lowest_shared(frame: pd.DataFrame) -> float | None:
    """Returns the lowest loss (bits/byte) that every run in rows (init, seed, run, step, value) reaches from above.

    None where a run begins below it, and where a run has not two readings beside its first: nothing is said of what lies between them.
    """
    own = frame.assign(metric="loss")[["init", "seed", "run", "step", "value", "metric"]]
    readings = own[own["value"].notna()].groupby(["init", "seed", "run"])["step"].nunique()
    return level(own.to_dict("records")) if len(readings) and readings.min() >= LEAST_READINGS else None


def missing(frame: pd.DataFrame, drawn: str) -> str:
    """Returns a sentence on losses that are not finite, or nothing: how many there are of how many, and how they are drawn."""
    lost = int(frame["value"].isna().sum())
    return f" {lost} of {len(frame)} losses are not finite: {drawn}." if lost else ""
