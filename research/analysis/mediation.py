"""Whether one quantity carries the effect of every method on another: how much of y a single curve of x explains, whoever made the point.

RL's Razor (arXiv 2509.04259) claims it of the KL divergence and of forgetting: all methods on one curve. The curve is a polynomial of
degree two in log x, fitted to log y by least squares, all rows alike; it knows nothing of methods. A polynomial may turn, where a curve of
more divergence and more forgetting may not: the note says where it does so within the data.

The jackknife is taken of log(1 - R^2), where the two sides of the interval are of one length: with R^2 near 1, of R^2 itself it covers
about a tenth less. It still errs on the narrow side: 95 % intervals over 3 to 6 bases covered 85 to 98 % of draws. Measured coverage,
beside that of rows as units: tests/analysis/test_mediation.py.
"""

import math

import numpy as np

from research.analysis.intervals import join_notes, t_quantile
from research.findings import Estimate

DEGREE = 2
LEAST_UNITS = 3
LEVEL = 0.95
ROUNDING = float(np.finfo(float).eps)
METHOD = "R^2 of log y on {curve} of degree 2 in log x; jackknife of log(1 - R^2) that leaves out {units}, t ({level:.0%})"
CURVES = {False: "one polynomial", True: "a polynomial with a height of its own for each group"}


def explained(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, units: np.ndarray, *, heights: bool = False, what: str = "bases"
) -> Estimate:
    """Returns the share of the variance of log y (rows,) that one curve of log x (rows,) explains, shared by all `groups` (the methods).

    heights: each group has its own height on the curve. Where that explains far more, the groups do not lie on one curve.

    units (rows,): what an interval counts once, the bases or seeds that rows belong to, called `what`; each is left out with all of its
    rows. Fewer than three have no interval. Rows of which x or y is not positive, or not finite (diverged), have no logarithm; they are
    left out and counted in the note. `n` counts units. Raises ValueError where lengths differ.
    """
    x, y, groups, units = np.asarray(x, float), np.asarray(y, float), np.asarray(groups), np.asarray(units)
    if x.ndim != 1 or not x.shape == y.shape == groups.shape == units.shape:
        raise ValueError(f"x, y, groups, units of shapes {x.shape}, {y.shape}, {groups.shape}, {units.shape} are not of the same rows")
    kept = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    lost = int((~kept).sum())
    note = f"{lost} of {x.size} rows not positive in both, or diverged, left out" if lost else ""
    log_x, log_y, groups, units = np.log(x[kept]), np.log(y[kept]), groups[kept], units[kept]
    labels, method = np.unique(units), METHOD.format(curve=CURVES[heights], units=what, level=LEVEL)
    design = np.hstack([_curve(log_x), *([_heights(groups)] if heights else [])])
    missed = _missed(design, log_y)
    if math.isnan(missed):
        why = f"{log_y.size} rows: too few for a curve, or all of one y"
        return Estimate(None, None, None, int(labels.size), method, join_notes(why, note))
    note = join_notes("" if heights else _turn(log_x, log_y), note)
    without = np.log([_missed(design[units != label], log_y[units != label]) for label in labels])
    n, value = int(labels.size), 1 - missed
    if n < LEAST_UNITS or not np.isfinite(without).all():
        why = f"no interval over {n} {what}" + ("" if n < LEAST_UNITS else ": without one of them no curve is left")
        return Estimate(value, None, None, n, method, join_notes(why, note))
    half = t_quantile(LEVEL, n - 1) * math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    told = f"what it leaves x/÷ {math.exp(half):.3g} over {n} {what}"
    return Estimate(value, max(0.0, 1 - missed * math.exp(half)), 1 - missed * math.exp(-half), n, method, join_notes(told, note))


def _curve(log_x: np.ndarray) -> np.ndarray:
    """The powers of log x (rows, degree + 1), which is centered so that they do not resemble each other."""
    return np.vander(log_x - log_x.mean() if log_x.size else log_x, DEGREE + 1, increasing=True)


def _missed(design: np.ndarray, log_y: np.ndarray) -> float:
    """1 - R^2 by least squares, above 0 by rounding at least; nan where there are not more rows than columns, or nothing varies."""
    if log_y.size <= design.shape[1] or np.ptp(log_y) == 0:
        return math.nan
    rest = log_y - design @ np.linalg.lstsq(design, log_y)[0]
    return max(float((rest**2).sum() / ((log_y - log_y.mean()) ** 2).sum()), ROUNDING)


def _heights(groups: np.ndarray) -> np.ndarray:
    """Which of the groups but the first each row belongs to (rows, groups - 1)."""
    return (groups[:, None] == np.unique(groups)[None, 1:]).astype(float)


def _turn(log_x: np.ndarray, log_y: np.ndarray) -> str:
    """Where the curve turns, if it does so within the data."""
    _, slope, bend = np.linalg.lstsq(_curve(log_x), log_y)[0]
    turn = log_x.mean() - slope / (2 * bend) if bend else math.inf
    return f"the curve turns at x = {math.exp(turn):.2g}" if log_x.min() < turn < log_x.max() else ""
