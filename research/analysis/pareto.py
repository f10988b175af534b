"""Learning against forgetting in a plane of two losses, both better the smaller: fronts, their area, and readings at equal learning."""

from collections.abc import Sequence

import numpy as np


def front(points: np.ndarray) -> np.ndarray:
    """Returns the indices, ascending, of the points (n, 2) that no other dominates: at most as large in both, and smaller in one.

    Equal points do not dominate one another. Points that are not finite (diverged runs) are never on the front. Raises ValueError for
    another shape.
    """
    points = _plane(points)
    found = np.flatnonzero(np.isfinite(points).all(axis=1))
    kept = points[found]
    beaten = np.all(kept[None] <= kept[:, None], axis=-1) & np.any(kept[None] < kept[:, None], axis=-1)  # (beaten, beats)
    return found[~np.any(beaten, axis=1)]


def hypervolume(points: np.ndarray, reference: Sequence[float] | np.ndarray) -> float:
    """Returns the area that points (n, 2) dominate, up to the reference point (2,), in the product of both units: the larger the better.

    Points that are not better than the reference in both add nothing, nor do those that are not finite; without any it is 0. Raises
    ValueError for other shapes and for a reference that is not finite.
    """
    points, corner = _plane(points), np.asarray(reference, dtype=float)
    if corner.shape != (2,) or not np.isfinite(corner).all():
        raise ValueError(f"the reference {reference} is not a point of two finite coordinates")
    inside = points[(points < corner).all(axis=1)]
    steps = inside[front(inside)]
    steps = steps[np.argsort(steps[:, 0], kind="stable")]  # to the right and down
    widths = np.diff(np.append(steps[:, 0], corner[0]))
    return float((widths * (corner[1] - steps[:, 1])).sum())


def at_level(xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray, level: float) -> float:
    """Returns y where a path first falls to x <= level, linear between the two readings around it; xs, ys are (readings,), step by step.

    nan where the path never falls to the level, or begins at or below it: nothing was read before. Readings of which x or y is not finite
    (diverged runs) are left out. Raises ValueError for a level that is not finite, and for paths of different lengths.
    """
    x, y = np.asarray(xs, dtype=float), np.asarray(ys, dtype=float)
    if not np.isfinite(level):
        raise ValueError(f"a path cannot be read at the level {level}: it has to be finite")
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"xs of shape {x.shape} and ys of shape {y.shape} are not the readings of one path")
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    reached = x <= level
    if not reached.any() or reached[0]:
        return float("nan")
    right = int(reached.argmax())
    share = (x[right - 1] - level) / (x[right - 1] - x[right])
    return float(y[right - 1] + share * (y[right] - y[right - 1]))


def _plane(points: np.ndarray) -> np.ndarray:
    found = np.asarray(points, dtype=float)
    if found.ndim != 2 or found.shape[1] != 2:
        raise ValueError(f"points of shape {found.shape} do not lie in a plane: (n, 2) is needed")
    return found
