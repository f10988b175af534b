"""Means over pairs of runs, with intervals by leaving out runs, or their bases, and never pairs: pairs that share a run share its luck.

A mean of h(i, j) over pairs is a U-statistic of degree two. Five runs have ten pairs, but tell what varies between runs no better than
five numbers do: an interval that counts ten is too narrow. Here each unit is left out with all of its pairs, and the jackknife's variance
has Student's t with one degree of freedom less than there are units (Arvesen 1969, "Jackknifing U-statistics"); it errs on the wide side
where pairs have luck of their own (Efron & Stein 1981). Measured coverage, beside that of pairs as units: tests/analysis/test_pairs.py.
"""

import math
from typing import NamedTuple

import numpy as np

from research.analysis.intervals import join_notes, t_quantile
from research.findings import Estimate


class Pairs(NamedTuple):
    """Values of pairs (pairs,), and the units at both ends of each (pairs, 2), as integers; a unit may be at both ends."""

    values: np.ndarray
    ends: np.ndarray


def pair_mean(pairs: Pairs, units: str = "runs", level: float = 0.95) -> Estimate:
    """Returns the mean over pairs with an interval over units, in the unit of the values.

    A null pair is left out and counted in the note. `n` counts units. There is no interval over one unit, nor where no pair is left
    without one of them. Raises ValueError where values and ends are not of the same pairs.
    """
    return _estimate([pairs], "mean over pairs", units, level)


def pair_difference(first: Pairs, second: Pairs, units: str = "runs", level: float = 0.95) -> Estimate:
    """Returns the difference between two means over pairs, each unit left out of both at once: units of one label belong together.

    Nulls, `n` and errors as in `pair_mean`.
    """
    return _estimate([first, second], "difference of means over pairs", units, level)


def _estimate(sides: list[Pairs], what: str, units: str, level: float) -> Estimate:
    method = f"{what}; jackknife that leaves out {units} with all their pairs, t ({level:.0%})"
    kept, lost = zip(*[_finite(side) for side in sides], strict=True)
    note = f"{sum(lost)} of {sum(len(side.values) for side in sides)} pairs without a value, left out" if sum(lost) else ""
    if any(side.values.size == 0 for side in kept):
        return Estimate(None, None, None, 0, method, note or "no pairs")
    labels = np.unique(np.concatenate([side.ends.ravel() for side in kept]))
    n, value = int(labels.size), _difference([float(side.values.mean()) for side in kept])
    without = np.array([_without(kept, int(label)) for label in labels])
    if n == 1 or not np.isfinite(without).all():
        why = f"1 of the {units}" if n == 1 else f"{n} {units}: without one of them no pair is left"
        return Estimate(value, None, None, n, method, join_notes(note, f"no interval over {why}"))
    half = t_quantile(level, n - 1) * math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    return Estimate(value, value - half, value + half, n, method, join_notes(note, f"± {half:.2g} over {n} {units}"))


def _finite(side: Pairs) -> tuple[Pairs, int]:
    values, ends = np.asarray(side.values, dtype=float), np.asarray(side.ends)
    if ends.shape != (values.size, 2):
        raise ValueError(f"{values.size} values do not fit ends of shape {ends.shape}: two for each pair")
    finite = np.isfinite(values)
    return Pairs(values[finite], ends[finite]), int((~finite).sum())


def _without(sides: tuple[Pairs, ...], label: int) -> float:
    """The difference of means without the pairs that a unit is in; NaN where none is left."""
    left = [side.values[~(side.ends == label).any(axis=1)] for side in sides]
    return math.nan if any(values.size == 0 for values in left) else _difference([float(values.mean()) for values in left])


def _difference(means: list[float]) -> float:
    return means[0] - sum(means[1:])
