"""d90: the dimension at which training within random subspaces reaches a share of what training in the full space does.

The reading is that of r90 (`research/analysis/inversion.py`): the isotonic fit of the mean over draws, inverted in log dimension, with a t
band. A percentile bootstrap over draws can stand beside it, as published values have one; with 3 draws it covers about 75 % of the time.
"""

from collections.abc import Callable

import numpy as np

from research.analysis.inversion import crossing, invert, isotonic_curve
from research.analysis.recovery import guard, headroom, recovered
from research.findings import Estimate

SHARE = 0.9
RESAMPLES = 1000
ROUNDING = 1e-6  # of a mean, taken in another order
CONFIDENCE = 0.95
WHAT = "dimension"

Reader = Callable[[np.ndarray, np.ndarray, float], Estimate]


def band(dimensions: np.ndarray, values: np.ndarray, level: float) -> Estimate:
    """Returns where the mean over draws of increasing curves reaches `level`; `values` is (draws, dimensions).

    0 is an answer where the untouched models, at d = 0, reach it already.
    """
    return crossing(dimensions, values, level, what=WHAT, confidence=CONFIDENCE)


def point(dimensions: np.ndarray, values: np.ndarray, level: float) -> Estimate:
    """Returns the value of `band` without its interval: where the mean over draws reaches `level`."""
    return band(dimensions, values.mean(axis=0, keepdims=True) if len(values) else values, level)


def bootstrap(dimensions: np.ndarray, values: np.ndarray, level: float) -> Estimate:
    """Returns the same with the percentile interval of whole draws resampled; a bound is None where it lies outside the dimensions."""
    order = np.argsort(dimensions)
    x, rows = np.asarray(dimensions, float)[order], values[np.isfinite(values).all(axis=1)][:, order]
    method = f"isotonic fit of the mean in log {WHAT}; percentile bootstrap over draws ({CONFIDENCE:.0%})"
    if not rows.size:
        return Estimate(None, None, None, 0, method, "nothing to fit")
    value, note = invert(x, isotonic_curve(x, rows.mean(axis=0)), level, WHAT)
    if len(rows) == 1:
        return Estimate(value, None, None, 1, method, note or "one draw: no interval")
    drawn = np.random.default_rng(0).integers(0, len(rows), (RESAMPLES, len(rows)))
    found = [_inverted(x, rows[index].mean(axis=0), level) for index in drawn]
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="nearest")
    inside = [float(end) if np.isfinite(end) else None for end in (low, high)]
    return Estimate(value, inside[0], inside[1], len(rows), method, note)


def _inverted(x: np.ndarray, mean: np.ndarray, level: float) -> float:
    """Where the mean reaches the level: inf beyond the largest dimension; at or below the smallest positive one 0, if 0 was tried."""
    value, note = invert(x, isotonic_curve(x, mean), level, WHAT)
    if value is not None:
        return value
    return np.inf if note.startswith("not reached") else 0.0 if x[0] == 0 else -np.inf


def absolute(dimensions: np.ndarray, accuracy: np.ndarray, full: np.ndarray, level: float, read: Reader = band) -> Estimate:
    """Returns the dimension at which accuracy (draws, dimensions) reaches `level`; null where the full space itself, (draws,), does not."""
    return _beyond(full, level) or read(dimensions, accuracy, level)


def relative(dimensions: np.ndarray, accuracy: np.ndarray, full: np.ndarray, chance: float = 0.0, read: Reader = band) -> Estimate:
    """Returns the dimension at which accuracy above chance reaches 0.9 of what the full space does above it, draw by draw."""
    if len(full) and not (full > chance).all():
        note = f"full-space training reaches {full.min():.3f} in its worst draw, not above chance ({chance:.3f}): no share of it is read"
        return Estimate(None, None, None, len(full), "not read", note)
    return read(dimensions, (accuracy - chance) / (full - chance)[:, None], SHARE)


def gained(dimensions: np.ndarray, losses: np.ndarray, start: np.ndarray, full: np.ndarray, read: Reader = band) -> Estimate:
    """Returns the dimension that recovers 0.9 of the full space's gain from `start` (draws,) to `full` (draws,), losses in bits/byte.

    Null where that gain is not clearly above 0.1 bits. `start` is the untouched loss, at most the unigram entropy (`start_loss`).
    """
    return guard(read(dimensions, recovered(start[:, None], losses, full[:, None]), SHARE), headroom(start, full))


def shared(dimensions: np.ndarray, losses: np.ndarray, full: np.ndarray, target: float, read: Reader = band) -> Estimate:
    """Returns the dimension at which losses (draws, dimensions) fall to a target that all share.

    Null where neither the full space nor any subspace does, on average.
    """
    best = min([np.mean(full), *losses.mean(axis=0)]) if len(full) else target
    return (_beyond(-full, -target) if best > target + ROUNDING else None) or read(dimensions, -losses, -target)


def _beyond(full: np.ndarray, level: float) -> Estimate | None:
    """Where full-space training stays below the level on average, nothing is read from subspaces."""
    mean = float(np.mean(full)) if len(full) else level
    note = f"full-space training itself reaches {abs(mean):.3f} on average, not {abs(level):.3f}"
    return Estimate(None, None, None, len(full), "not read", note) if mean < level else None
