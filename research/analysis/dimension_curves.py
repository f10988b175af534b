"""d90: the dimension at which training within random subspaces reaches a share of what training in the full space does.

The reading is that of r90 (`research/analysis/inversion.py`): the isotonic fit of the mean over draws, inverted in log dimension, with a t
band. A percentile bootstrap over draws stands beside it, as published values have one; with 3 draws it covers about 75 % of the time.
"""

from typing import NamedTuple

import numpy as np

from research.analysis.intervals import join_notes
from research.analysis.inversion import crossing, invert, isotonic_curve
from research.analysis.rank_curves import guard, headroom
from research.findings import Estimate

SHARE = 0.9
RESAMPLES = 1000


class Reading(NamedTuple):
    """A dimension with the t band's interval, and with the bootstrap's."""

    band: Estimate
    bootstrap: Estimate


def read(dimensions: np.ndarray, values: np.ndarray, level: float, confidence: float = 0.95) -> Reading:
    """Returns where the mean over draws of increasing curves reaches `level`; `values` is (draws, dimensions).

    d = 0 has no logarithm and is left out; where the curve starts above the level, the note says "at or below the smallest dimension".
    """
    band = crossing(dimensions, values, level, what="dimension", confidence=confidence)
    return Reading(band, band._replace(**_resampled(np.asarray(dimensions, float), np.asarray(values, float), level, confidence)))


def _resampled(dimensions: np.ndarray, values: np.ndarray, level: float, confidence: float) -> dict[str, object]:
    method = f"isotonic fit of the mean in log dimension; percentile bootstrap over draws ({confidence:.0%})"
    order = np.argsort(dimensions)[np.sort(dimensions) > 0]
    x, rows = dimensions[order], values[np.isfinite(values).all(axis=1)][:, order]
    if len(rows) < 2 or not x.size:
        return {"low": None, "high": None, "method": method}
    drawn = np.random.default_rng(0).integers(0, len(rows), (RESAMPLES, len(rows)))
    found = [_inverted(x, rows[index].mean(axis=0), level) for index in drawn]
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2], method="nearest")
    ends = {"low": float(low) if low > 0 else None, "high": float(high) if np.isfinite(high) else None}
    return {**ends, "method": method, "value": invert(x, isotonic_curve(x, rows.mean(axis=0)), level, "dimension")[0]}


def _inverted(x: np.ndarray, mean: np.ndarray, level: float) -> float:
    value, note = invert(x, isotonic_curve(x, mean), level, "dimension")
    return value if value is not None else (0.0 if note.startswith("at or below") else np.inf)


def absolute(dimensions: np.ndarray, accuracy: np.ndarray, full: np.ndarray, level: float) -> Reading:
    """Returns the dimension at which accuracy (draws, dimensions) reaches `level`; null where the full space itself, (draws,), does not."""
    return _unless_out_of_reach(read(dimensions, accuracy, level), full, level)


def relative(dimensions: np.ndarray, accuracy: np.ndarray, full: np.ndarray, chance: float = 0.0) -> Reading:
    """Returns the dimension at which (accuracy - chance) reaches 0.9 of what the full space does above chance, draw by draw."""
    full = np.asarray(full, float)
    if not (full > chance).all():
        note = f"full-space training reaches {full.min():.3f} in its worst draw, not above chance ({chance:.3f}): no share of it is read"
        return _nothing(len(full), note)
    return read(dimensions, (accuracy - chance) / (full - chance)[:, None], SHARE)


def recovered(dimensions: np.ndarray, losses: np.ndarray, start: np.ndarray, full: np.ndarray) -> Reading:
    """Returns the dimension that recovers 0.9 of the full space's gain from `start` (draws,) to `full` (draws,), losses in bits.

    Undefined where that gain is not clearly above 0.1 bits; `start` is the untouched loss, at most the unigram entropy.
    """
    gain = headroom(start, full)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (start[:, None] - losses) / (start - full)[:, None]
    return Reading(*(guard(estimate, gain) for estimate in read(dimensions, shares, SHARE)))


def shared(dimensions: np.ndarray, losses: np.ndarray, full: np.ndarray, target: float) -> Reading:
    """Returns the dimension at which losses (draws, dimensions) fall to a target that is the same for all; null where `full` does not."""
    return _unless_out_of_reach(read(dimensions, -losses, -target), -np.asarray(full, float), -target)


def _unless_out_of_reach(reading: Reading, full: np.ndarray, level: float) -> Reading:
    """Where full-space training stays below the level on average, nothing is read from subspaces."""
    mean = float(np.mean(full))
    if mean >= level:
        return reading
    return _nothing(len(full), f"full-space training itself reaches {abs(mean):.3f} on average, not {abs(level):.3f}")


def _nothing(n: int, note: str) -> Reading:
    nothing = Estimate(None, None, None, n, "not read", join_notes(note))
    return Reading(nothing, nothing)
