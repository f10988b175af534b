"""Where a noisy monotone curve reaches a level, with an interval over seeds and honest censoring.

The point estimate inverts one curve: the isotonic fit of the mean over seeds, interpolated in log x by a monotone cubic. The interval
inverts a band: x is inside where the t interval of the seeds' heights at x, each read off the seed's own isotonic fit, holds the level
(Fieller's construction). Steps and plateaus, which make seed-by-seed inversion lopsided, widen it as they should, and it opens by itself
towards a side on which the data cannot exclude an answer outside the grid. Between grid points the height is not measured; the band is
widened by the difference between the linear and the cubic reading, the usual estimate of an interpolation's error. What all seeds share (a
poor learning rate at one rank, a kink between two ranks) no interval over seeds can cover.
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression

from research.analysis.intervals import join_notes, t_quantile
from research.findings import Estimate

METHOD = "isotonic fit of the mean in log {what}, monotone cubic; t band over seeds inverted ({level:.0%})"
POINTS = 24


class Band(NamedTuple):
    """The fit and the two sides of the band on a grid of x (points,)."""

    x: np.ndarray
    fit: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def isotonic_curve(ranks: np.ndarray, values: np.ndarray, increasing: bool = True) -> np.ndarray:
    """Returns the least-squares monotone fit of `values` (ranks,) at the ascending `ranks`, equally weighted; only their order counts."""
    if (np.diff(np.asarray(ranks, dtype=float)) <= 0).any():
        raise ValueError("ranks must ascend")
    return isotonic_regression(np.asarray(values, dtype=float), increasing=increasing).x


def invert(ranks: np.ndarray, fitted: np.ndarray, level: float, what: str = "rank") -> tuple[float | None, str]:
    """Returns (where the non-decreasing curve `fitted` first reaches `level`, "") by linear interpolation in log rank.

    Outside the grid the answer is (None, "at or below the smallest rank ...") or (None, "not reached ..."), never a guess.
    """
    ranks, fitted = np.asarray(ranks, dtype=float), np.asarray(fitted, dtype=float)
    found = _first(np.log2(ranks), fitted, level)
    if np.isneginf(found):
        return None, f"at or below the smallest {what} ({ranks[0]:.6g})"
    if np.isposinf(found):
        return None, f"not reached at the largest {what} ({ranks[-1]:.6g})"
    return float(np.exp2(found)), ""


def crossing(x: np.ndarray, values: np.ndarray, level: float, *, what: str = "rank", confidence: float = 0.95) -> Estimate:
    """Returns the x at which the mean over seeds of increasing curves reaches `level`; `values` is (seeds, x), x positive.

    A censored answer has value None and a note; a bound is None where the interval is open to that side. x = 0 has no logarithm and is left
    out, and so are seeds with a null. Measured coverage: tests/ground_truth/test_r90.py.
    """
    x, values, note = _usable(np.asarray(x, dtype=float), np.asarray(values, dtype=float))
    n, method = len(values), METHOD.format(what=what, level=confidence)
    if n == 0 or x.size == 0:
        return Estimate(None, None, None, n, method, join_notes(note, "nothing to fit"))
    fits = np.stack([isotonic_curve(x, row) for row in values])
    band = _band(np.log2(x), isotonic_curve(x, values.mean(axis=0)), fits, confidence)
    value, censored = invert(band.x, band.fit, level, what)
    if n == 1:
        return Estimate(value, None, None, 1, method, join_notes(censored, note, "one seed: no interval"))
    low, high = _bounds(band, level, value)
    sides = [f"interval open {side} {what}" for side, end in (("below the smallest", low), ("above the largest", high)) if end is None]
    return Estimate(value, low, high, n, method, join_notes(censored, _tally(fits, level, what), *sides, note))


def _usable(x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    if values.ndim != 2 or values.shape[1] != x.size or np.unique(x).size != x.size:
        raise ValueError(f"curves of shape {values.shape} do not fit {x.size} distinct points")
    order = np.argsort(x)[np.sort(x) > 0]
    whole = np.isfinite(values[:, order]).all(axis=1)
    missing = int((~whole).sum())
    note = f"{missing} of {whole.size} seeds incomplete (diverged), left out" if missing else ""
    return x[order], values[whole][:, order], note


def _band(log_x: np.ndarray, fitted: np.ndarray, fits: np.ndarray, confidence: float) -> Band:
    grid = np.unique(np.concatenate([log_x, *(np.linspace(a, b, POINTS) for a, b in itertools.pairwise(log_x))]))
    linear = np.interp(grid, log_x, fitted)
    cubic = PchipInterpolator(log_x, fitted)(grid) if log_x.size > 1 else linear
    curves = np.stack([np.interp(grid, log_x, fit) for fit in fits])
    straight, n = curves.mean(axis=0), len(curves)
    bent, doubt = straight + cubic - linear, np.abs(cubic - linear)
    if n > 1:
        doubt = doubt + t_quantile(confidence, n - 1) * curves.std(axis=0, ddof=1) / np.sqrt(n)
    return Band(np.exp2(grid), cubic, np.minimum(straight, bent) - doubt, np.maximum(straight, bent) + doubt)


def _bounds(band: Band, level: float, value: float | None) -> tuple[float | None, float | None]:
    """The hull of the value and of where the band holds the level; where it nowhere does, the grid's end that the answer lies beyond."""
    log_x = np.log2(band.x)
    low = _first(log_x, band.upper, level)
    high = -_first(-log_x[::-1], -band.lower[::-1], -level)
    ends = np.exp2(np.clip([low, high], log_x[0], log_x[-1]))
    first, last = (ends[0], ends[1]) if value is None else (min(ends[0], value), max(ends[1], value))
    open_below = np.isneginf(low) or band.fit[0] >= level
    open_above = np.isposinf(high) or band.fit[-1] < level
    return None if open_below else float(first), None if open_above else float(last)


def _first(x: np.ndarray, curve: np.ndarray, level: float) -> float:
    """Where the curve first reaches the level, coming from the left: -inf if it starts there, inf if it never does."""
    reached = curve >= level
    if reached[0]:
        return -np.inf
    if not reached.any():
        return np.inf
    right = int(reached.argmax())
    share = (level - curve[right - 1]) / (curve[right] - curve[right - 1])
    return float(x[right - 1] + share * (x[right] - x[right - 1]))


def _tally(fits: np.ndarray, level: float, what: str) -> str:
    """How many seeds, each read by its own fit, are censored, and on which side."""
    below, above = int((fits[:, 0] >= level).sum()), int((fits[:, -1] < level).sum())
    low = f"{below} of {len(fits)} seeds at or below the smallest {what}" if below else ""
    high = f"{above} of {len(fits)} seeds not reached" if above else ""
    return join_notes(low, high)
