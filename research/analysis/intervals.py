"""Intervals over seeds: Student's t for means, differences and ratios."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import special

from research.findings import Estimate

Samples: TypeAlias = Sequence[float] | np.ndarray | pd.Series


def join_notes(*notes: str) -> str:
    """Returns the notes that say something, separated by semicolons."""
    return "; ".join(note for note in notes if note)


def t_quantile(level: float, freedom: float) -> float:
    """Returns the factor by which a standard error becomes half of a two-sided Student t interval."""
    return float(special.stdtrit(freedom, 0.5 + level / 2))


def t_interval(samples: Samples, level: float = 0.95) -> Estimate:
    """Returns the mean over seeds with its Student t interval, in the unit of `samples` (seeds,).

    Null samples (diverged runs) are left out and counted in the note. With one sample there is a mean and no bounds; with none, no value.
    """
    kept, note = _finite(samples)
    if kept.size == 0:
        return Estimate(None, None, None, 0, "mean", note)
    if kept.size == 1:
        return Estimate(float(kept[0]), None, None, 1, "one seed", join_notes(note, "one seed: no interval"))
    half = t_quantile(level, kept.size - 1) * kept.std(ddof=1) / np.sqrt(kept.size)
    return _around(kept.mean(), half, kept.size, f"mean, t interval ({level:.0%})", note)


def log_t_interval(samples: Samples, level: float = 0.95) -> Estimate:
    """Returns the geometric mean of positive samples (seeds,) with the t interval of their logarithms; for ratios and ranks.

    Raises ValueError for samples that are not positive.
    """
    kept, note = _finite(samples)
    if (kept <= 0).any():
        raise ValueError(f"a geometric mean needs positive samples, not {kept.min():g}")
    logs = t_interval(np.log(kept), level)
    value, low, high = (None if number is None else float(np.exp(number)) for number in logs[:3])
    method = logs.method.replace("mean, t interval", "geometric mean, t interval of logarithms")
    return Estimate(value, low, high, logs.n, method, logs.note if kept.size == 0 else join_notes(note, logs.note))


def difference_interval(a: Samples, b: Samples, paired: bool | None = None, level: float = 0.95) -> Estimate:
    """Returns mean(a) - mean(b) with its t interval; `method` says whether it is paired or Welch's.

    `paired` None means: Series are matched by their index (the seed) and paired where one's seeds are all among the other's; samples
    without an index cannot be matched and get Welch's interval (Welch 1947, degrees of freedom after Satterthwaite). `paired=True` pairs
    by position. A pair with a null is left out. `n` is the number of pairs, or of the smaller sample.
    """
    if paired is None:
        paired = isinstance(a, pd.Series) and isinstance(b, pd.Series) and _nested(a, b)
    if paired:
        return _paired(a, b, level)
    return _welch(a, b, level)


def _nested(a: pd.Series, b: pd.Series) -> bool:
    shared = a.index.intersection(b.index)
    return shared.is_unique and len(shared) == min(len(a), len(b)) > 0


def _paired(a: Samples, b: Samples, level: float) -> Estimate:
    if isinstance(a, pd.Series) and isinstance(b, pd.Series):
        a, b = a.align(b, join="inner")
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.shape != second.shape:
        raise ValueError(f"pairs by position need samples of one length, not {first.size} and {second.size}")
    found = t_interval(first - second, level)
    method = found.method.replace("mean, t interval", "paired difference, t interval")
    return found._replace(method=method)


def _welch(a: Samples, b: Samples, level: float) -> Estimate:
    (first, note), (second, other) = _finite(a), _finite(b)
    n, note = min(first.size, second.size), join_notes(note, other)
    if n == 0:
        return Estimate(None, None, None, 0, "difference of means", note)
    value = first.mean() - second.mean()
    if n == 1:
        return Estimate(float(value), None, None, 1, "difference of means", join_notes(note, "one seed: no interval"))
    variances = np.array([first.var(ddof=1) / first.size, second.var(ddof=1) / second.size])
    total = variances.sum()
    freedom = total**2 / (variances**2 / [first.size - 1, second.size - 1]).sum() if total > 0 else n - 1
    half = t_quantile(level, freedom) * np.sqrt(total)
    return _around(value, half, n, f"difference of means, Welch t interval ({level:.0%})", note)


def _finite(samples: Samples) -> tuple[np.ndarray, str]:
    values = np.asarray(samples, dtype=float).ravel()
    kept = values[np.isfinite(values)]
    if kept.size == values.size:
        return kept, "" if kept.size else "no samples"
    return kept, f"{values.size - kept.size} of {values.size} without a value (diverged), left out"


def _around(value: float, half: float, n: int, method: str, note: str) -> Estimate:
    return Estimate(float(value), float(value - half), float(value + half), int(n), method, note)
