"""What all figures ask of the records: a row per reading, its rise above what the same base lost before, means over seeds, axes."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, LogLocator

from research.figures import style

READING = ["method", "strength", "base", "seed", "step"]
POINT = ["method", "strength", "step"]
WIDE = 20.0  # the largest over the median size from which on a linear axis hides most of what is on it
BUDGETS = {"source": "budget_source", "target": "budget_target"}
KEPT = {**BUDGETS, "kl_source": "kl_source", "kl_target": "kl_target"}


def budgets(results: pd.DataFrame) -> pd.DataFrame:
    """Returns a row per budget of every run: READING, source, target and rise (bits/byte, NaN where not finite)."""
    return _readings(results, "result", BUDGETS)


def kept(results: pd.DataFrame) -> pd.DataFrame:
    """Returns a row per model whose KL was read: READING, source, target, rise, kl_source, kl_target (bits/byte, NaN where not finite)."""
    return _readings(results, "kept", KEPT)


def untouched(results: pd.DataFrame, metric: str) -> float:
    """Returns the mean over bases of a metric of the phase 'reference', NaN where there is none."""
    return float(_reference(results, metric).mean())


def over_seeds(readings: pd.DataFrame) -> pd.DataFrame:
    """Returns a row per method, strength and step: means of target and rise over the finite seeds, n; those without any are left out."""
    finite = readings[readings["target"].notna() & readings["rise"].notna()]
    groups = finite.groupby(POINT, dropna=False, sort=True)
    return groups.agg(target=("target", "mean"), rise=("rise", "mean"), n=("rise", "size")).reset_index()


def lost(readings: pd.DataFrame) -> str:
    """Returns a sentence on readings that are not finite, or nothing."""
    gone = int((readings["target"].isna() | readings["rise"].isna()).sum())
    return f" {gone} of {len(readings)} readings are not finite, and left out." if gone else ""


def seeds(readings: pd.DataFrame) -> str:
    """Returns how many seeds there are of each member, for a caption: '3', or '2 to 3'; '0' where there is no reading."""
    n = readings.groupby(["method", "strength"], dropna=False)["seed"].nunique()
    return "0" if n.empty else str(n.min()) if n.min() == n.max() else f"{n.min()} to {n.max()}"


def ticks(axis: Axis, values: Any) -> None:
    """Names the ticks of a log axis: powers of ten, and three times these where positive values span less than three decades."""
    own = np.asarray(values, float)
    own = own[np.isfinite(own) & (own > 0)]
    near = own.size and own.max() < 1e3 * own.min()
    axis.set_major_locator(LogLocator(subs=(1.0, 3.0) if near else (1.0,)))
    style.plain_ticks(axis)


def vertical(axes: Axes, values: Any, logarithmic: bool = False) -> str:
    """Makes the vertical axis logarithmic, linear around 0 where values are negative too, and returns the words that say so.

    Values that lie close together are left on a linear axis, for which there are no words, unless it has to be `logarithmic`.
    """
    own = np.asarray(values, float)
    own = own[np.isfinite(own)]
    size = np.abs(own[own != 0])
    if not size.size or not (logarithmic or size.max() > WIDE * np.median(size)):
        return ""
    said = ", log scale"
    if own.min() > 0:
        axes.set_yscale("log")
        ticks(axes.yaxis, own)
    else:
        least = max(float(-own.min()), float(np.quantile(size, 0.1)))
        threshold = float(10 ** np.ceil(np.log10(least)))
        axes.set_yscale("symlog", linthresh=threshold, linscale=0.6)
        tens = 10.0 ** np.arange(np.log10(threshold), np.log10(size.max()) + 1)
        axes.yaxis.set_major_locator(FixedLocator([-threshold, -threshold / 2, 0.0, threshold / 2, *tens, *(3 * tens)]))
        style.plain_ticks(axes.yaxis)
        said = f", log scale above {threshold:g}"
    axes.autoscale(axis="y")
    return said


def _values(results: pd.DataFrame, phase: str) -> pd.DataFrame:
    """The rows of a phase, `value` float and NaN where not finite, with every column that tells readings apart."""
    if not {"phase", "metric", "value"} <= set(results):
        return pd.DataFrame(columns=[*READING, "metric", "value"])
    rows = results[results["phase"] == phase]
    own = {name: rows[name] if name in rows else pd.Series(np.nan, rows.index, dtype=object) for name in [*READING, "metric"]}
    values = pd.to_numeric(rows["value"]).astype(float)
    frame = pd.DataFrame({**own, "value": values.where(np.isfinite(values))})
    return frame.assign(strength=pd.to_numeric(frame["strength"]).astype(float), base=frame["base"].fillna(frame["seed"]))


def _reference(results: pd.DataFrame, metric: str) -> pd.Series:
    """A metric of the untouched bases, by base."""
    rows = _values(results, "reference")
    return rows[rows["metric"] == metric].groupby("base")["value"].mean()


def _readings(results: pd.DataFrame, phase: str, metrics: dict[str, str]) -> pd.DataFrame:
    rows = _values(results, phase)
    rows = rows[rows["metric"].isin(metrics.values()) & rows["method"].notna()]
    if rows.empty:
        return pd.DataFrame(columns=[*READING, *metrics, "rise"])
    groups = rows.groupby([*READING, "metric"], dropna=False, sort=True)["value"]
    table = groups.mean().unstack("metric").reindex(columns=list(metrics.values()))
    table = table.set_axis(list(metrics), axis="columns").reset_index()
    before = _reference(results, metrics["source"])
    return table.assign(rise=table["source"] - table["base"].map(before).astype(float))
