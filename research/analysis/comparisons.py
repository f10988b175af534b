"""Several comparisons at once: what a contrast's two half-widths say as a p value, and p values adjusted for their number.

Holm 1979 (Scand. J. Statist. 6, section 2): the i-th smallest of m p values, times m - i + 1, and never less than one before it. Who
rejects what is adjusted to at most alpha is wrong anywhere with a probability of at most alpha, whatever depends on what.
"""

from collections.abc import Sequence

import numpy as np
from scipy import optimize, special

from research.analysis.contrasts import LEAST_GROUPS, of_one_base, units

_SMALLEST = 1e-12


def holm(values: Sequence[float]) -> np.ndarray:
    """Returns p values (m,) adjusted for their number, in their order, at most 1."""
    own = np.asarray(values, float)
    order = np.argsort(own, kind="stable")
    adjusted = np.maximum.accumulate(own[order] * np.arange(len(own), 0, -1))
    found = np.empty(len(own))
    found[order] = np.minimum(adjusted, 1.0)
    return found


def two_sided(values: np.ndarray, bases: np.ndarray, replicates: np.ndarray, weights: np.ndarray) -> float | None:
    """Returns the p value of a contrast that is 0: 1 less the level of the interval of `contrasts.contrast` that ends there.

    Arguments as there: values and bases (seeds,), replicates and weights (groups,) of documents. None where one base, or too few groups,
    carry no half of the interval, and where all seeds start from one. Bases that read the same have the half of documents alone.
    """
    means = units(np.asarray(values, float), np.asarray(bases))
    weights, groups = np.asarray(weights, float), len(replicates)
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    known = np.isfinite(means).all() and np.isfinite(replicates).all()
    if len(means) < 2 or of_one_base(np.asarray(bases)) or effective < LEAST_GROUPS or not known:
        return None
    errors = means.var(ddof=1) / len(means), (groups - 1) / groups * float(((replicates - replicates.mean()) ** 2).sum())
    freedom = len(means) - 1, effective - 1
    center = float(means.mean())

    def above(p: float) -> float:
        halves = (special.stdtrit(own, 1 - p / 2) ** 2 * error for own, error in zip(freedom, errors, strict=True))
        return sum(halves) - center**2

    if above(1.0) >= 0:  # a difference of 0
        return 1.0
    return _SMALLEST if above(_SMALLEST) <= 0 else float(optimize.brentq(above, _SMALLEST, 1.0))
