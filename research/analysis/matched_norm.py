"""Readings of an update while it grows, compared at one norm: after equal steps, a larger rate has gone further."""

from collections.abc import Sequence

import numpy as np

Curve = tuple[Sequence[float], Sequence[float]]  # norms of a cell's update at its budgets, in order, and the reading at each


def at_norm(norms: Sequence[float], readings: Sequence[float], norm: float) -> float | None:
    """Returns the reading where the update first has this norm, linear in the logarithm of the norm; None where it never has.

    norms, readings: (budgets,) of one cell, in order of its steps. Budgets with a norm that is not positive, or anything not finite, are
    left out; nothing is extrapolated.
    """
    logs, values = _finite(norms, readings)
    if not logs.size or norm <= 0:
        return None
    wanted = np.log(norm)
    for i in range(logs.size):
        if np.isclose(logs[i], wanted, rtol=0, atol=1e-12):
            return float(values[i])
        if i + 1 < logs.size and (logs[i] - wanted) * (logs[i + 1] - wanted) < 0:
            share = (wanted - logs[i]) / (logs[i + 1] - logs[i])
            return float((1 - share) * values[i] + share * values[i + 1])
    return None


def common_norm(curves: Sequence[Curve]) -> float | None:
    """Returns the largest norm that the updates of all cells have between their first budget and their last; None where there is none."""
    logs = [_finite(*curve)[0] for curve in curves]
    if not logs or not all(some.size for some in logs):
        return None
    first, last = max(some.min() for some in logs), min(some.max() for some in logs)
    return float(np.exp(last)) if first <= last else None


def _finite(norms: Sequence[float], readings: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the norms and the readings, where both are numbers."""
    sizes, values = np.asarray(norms, float), np.asarray(readings, float)
    kept = np.isfinite(sizes) & np.isfinite(values) & (sizes > 0)
    return np.log(sizes[kept]), values[kept]
