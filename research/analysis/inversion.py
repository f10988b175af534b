"""Where a noisy monotone curve reaches a level, with an interval over seeds and honest censoring.

The point estimate inverts one curve: the isotonic fit of the mean over seeds, interpolated in log x by a monotone cubic. The interval
inverts a band (Fieller's construction): the t interval of the raw values at each x, its two sides made monotone once. Isotonic regression
keeps order, so sides that bound a monotone truth at every x still do; a fit of each seed would draw the two ends of a flat stretch apart
by an amount that more seeds do not shrink. Steps and plateaus widen the interval as they should, and it opens by itself towards a side on
which the data cannot exclude an answer outside the grid. Between grid points the height is not measured: it is read off the raw values
linearly, and the band is widened by the difference between the linear and the cubic reading, the usual estimate of an interpolation's
error. What all seeds share (a poor learning rate at one rank, a kink between two ranks) no interval over seeds can cover.

x = 0 may be an answer, of a curve that starts at the level. Between 0 and the smallest positive x there is no logarithm to interpolate in:
an answer there is censored from both sides.
"""

import functools
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
    """The fit and the two sides of the band on a grid of x (points,), which may begin with 0."""

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
    axis = _axis(ranks)
    found = _first(axis, fitted, level)
    if np.isposinf(found):
        return None, f"not reached at the largest {what} ({ranks[-1]:.6g})"
    if np.isneginf(found):
        return (0.0, "") if ranks[0] == 0 else (None, f"at or below the smallest {what} ({ranks[0]:.6g})")
    if ranks[0] == 0 and found < axis[1]:
        return None, f"above 0, at or below the smallest {what} ({ranks[1]:.6g})"
    return float(np.exp2(found)), ""


def crossing(x: np.ndarray, values: np.ndarray, level: float, *, what: str = "rank", confidence: float = 0.95) -> Estimate:
    """Returns the x at which the mean over seeds of increasing curves reaches `level`; `values` is (seeds, x), x not negative.

    A censored answer has value None and a note; a bound is None where the interval is open to that side. With x = 0 the answer may be 0.0,
    and the low bound is 0.0 where the band cannot exclude it. Seeds with a null are left out. Coverage: tests/ground_truth/test_r90.py.
    """
    x, values, note = _usable(np.asarray(x, dtype=float), np.asarray(values, dtype=float))
    n, method = len(values), METHOD.format(what=what, level=confidence)
    if n == 0 or not x.any():
        return Estimate(None, None, None, n, method, join_notes(note, "nothing to fit"))
    band = _band(x, values, confidence)
    value, censored = invert(band.x, band.fit, level, what)
    if n == 1:
        return Estimate(value, None, None, 1, method, join_notes(censored, note, "one seed: no interval"))
    low, high = _bounds(band, level, value)
    sides = [f"interval open {side} {what}" for side, end in (("below the smallest", low), ("above the largest", high)) if end is None]
    return Estimate(value, low, high, n, method, join_notes(censored, _tally(x, values, level, what), *sides, note))


def _axis(x: np.ndarray) -> np.ndarray:
    """The binary logarithm of ascending x; 0, which has none, is placed before the others."""
    positive = np.log2(x[x > 0])
    return positive if x[0] > 0 else np.append(positive[0] - 1, positive)


def _usable(x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    if values.ndim != 2 or values.shape[1] != x.size or np.unique(x).size != x.size or (x < 0).any():
        raise ValueError(f"curves of shape {values.shape} do not fit {x.size} distinct points that are not negative")
    order = np.argsort(x)
    whole = np.isfinite(values[:, order]).all(axis=1)
    missing = int((~whole).sum())
    note = f"{missing} of {whole.size} seeds incomplete (diverged), left out" if missing else ""
    return x[order], values[whole][:, order], note


def _band(x: np.ndarray, values: np.ndarray, confidence: float) -> Band:
    at_x, mean = _half_width(values, confidence), values.mean(axis=0)
    lower, fit, upper = (isotonic_curve(x, side) for side in (mean - at_x, mean, mean + at_x))
    zero, log_x = x == 0, np.log2(x[x > 0])
    grid, reading = _linear(tuple(log_x))
    linear, below, above, width = np.stack([fit, lower, upper, at_x])[:, ~zero] @ reading
    bend = PchipInterpolator(log_x, fit[~zero])(grid) - linear if log_x.size > 1 else np.zeros(1)
    # What is read between two points averages their noise: the half-width there is that of the raw values read between them.
    doubt = np.abs(bend) - (width - _half_width(values[:, ~zero] @ reading, confidence))
    inner = np.exp2(grid), linear + bend, below + np.minimum(bend, 0) - doubt, above + np.maximum(bend, 0) + doubt
    return Band(*(np.append(side[zero], rest) for side, rest in zip((x, fit, lower, upper), inner, strict=True)))


@functools.cache
def _linear(log_x: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A grid (points,) through log_x, and the weights (log_x, points) with which a product reads it linearly."""
    grid = np.unique(np.concatenate([log_x, *(np.linspace(a, b, POINTS) for a, b in itertools.pairwise(log_x))]))
    return grid, np.stack([np.interp(grid, log_x, unit) for unit in np.eye(len(log_x))])


def _half_width(values: np.ndarray, confidence: float) -> np.ndarray:
    n = len(values)
    return t_quantile(confidence, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(values.shape[1])


def _bounds(band: Band, level: float, value: float | None) -> tuple[float | None, float | None]:
    """The hull of the value and of where the band holds the level; where it nowhere does, the grid's end that the answer lies beyond."""
    axis, from_zero = _axis(band.x), bool(band.x[0] == 0)
    low = _first(axis, band.upper, level)
    high = -_first(-axis[::-1], -band.lower[::-1], -level)
    open_below = not from_zero and (np.isneginf(low) or band.fit[0] >= level)
    open_above = np.isposinf(high) or band.fit[-1] < level
    ends = np.exp2(np.clip([low, high], axis[0], axis[-1]))
    if from_zero:  # nothing is interpolated between 0 and the smallest positive x
        ends = np.array([ends[0] if low >= axis[1] else 0.0, max(ends[1], band.x[1]) if high > axis[0] else 0.0])
    first, last = (ends[0], ends[1]) if value is None else (min(ends[0], value), max(ends[1], value))
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


def _tally(x: np.ndarray, values: np.ndarray, level: float, what: str) -> str:
    """How many seeds, each read by its own isotonic fit, are censored or at 0: a fit begins with its least mean of first values."""
    count = np.arange(1, x.size + 1)
    first = (values.cumsum(axis=1) / count).min(axis=1)
    last = (values[:, ::-1].cumsum(axis=1) / count).max(axis=1)
    below, above = int((first >= level).sum()), int((last < level).sum())
    place = f"at {what} 0" if x[0] == 0 else f"at or below the smallest {what}"
    return join_notes(
        f"{below} of {len(values)} seeds {place}" if below else "", f"{above} of {len(values)} seeds not reached" if above else ""
    )
