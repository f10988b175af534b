"""Effective data: how much of a target a model trained from scratch would need to have the loss of one that was fine-tuned on less.

Hernandez et al. 2021 (arXiv 2102.01293, section 1.2). D_E, of a model fine-tuned on D_F, is the amount of data on which the same model
trained from scratch has the same loss; D_T = D_E - D_F was transferred. Each seed's scratch curve is made monotone, interpolated by a
monotone cubic in log data and read at that seed's fine-tuned losses. It is never extrapolated: beyond its ends a point is censored.
Intervals are over bases and over groups of documents, half-widths added in squares, as in `contrasts`.
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from research.analysis.contrasts import base_means, contrast, units, without_each
from research.analysis.inversion import crossing, isotonic_curve
from research.errors import UsageError
from research.findings import Estimate

# What a point is called; the first it deserves of ABOVE, BELOW, OSSIFIED, BEYOND, and FITTED or UNSURE.
FITTED, BEYOND, LOST = "fitted", "beyond the low-data regime", "not run or diverged"
ABOVE, BELOW = "better than scratch on all of its data", "worse than scratch on its least data"
OSSIFIED, UNSURE = "nothing transferred", "not told apart from nothing transferred"
METHOD = "effective data over bases"
CONVERGED = 0.99  # the loss on data without end over that on D(N)
BETWEEN = 24  # points of the grid from one amount of data to the next
REACH = np.log(4.0)  # how far on either side of D_E a slope is taken: a nearer one is noise


class Losses(NamedTuple):
    """What one target costs from scratch and fine-tuned, bits/byte; a run that is missing or diverged is null.

    sizes: (sizes,) parameters without embeddings. data, amounts: bytes of the target, ascending, on which models are trained from scratch
    (data,) and fine-tuned (amounts,). scratch: (seeds, sizes, data, groups); tuned: (seeds, sizes, amounts, groups), by groups of
    documents. weights: (groups,) bytes of the groups; one group carries no interval over documents. bases: (seeds,) that seeds start from.
    """

    sizes: np.ndarray
    data: np.ndarray
    amounts: np.ndarray
    scratch: np.ndarray
    tuned: np.ndarray
    weights: np.ndarray
    bases: np.ndarray

    def over(self, values: np.ndarray, factor: bool = False, level: float = 0.95) -> Estimate:
        """Returns `contrast` of what was read of each seed, whole and without each group of documents: (seeds, 1 + groups)."""
        replicates = base_means(values[:, 1:], self.bases).mean(axis=0) if values.shape[1] > 1 else None
        return contrast(values[:, 0], self.bases, replicates, self.weights, factor=factor, level=level)

    def unknown(self, why: str) -> Estimate:
        """Returns an estimate without a number, and why."""
        return Estimate(None, None, None, len(np.unique(self.bases)), METHOD, why)


class Point(NamedTuple):
    """One model size and amount of fine-tuning data: its word of this module and D_E, bytes, of which a censored one has bounds alone.

    logs: ln D_E (seeds, 1 + groups), whole and without each group of documents, infinite beyond the curve. slope: by how much the mean
    scratch curve changes there with ln D, bits/byte, null where it is censored.
    """

    size: float
    amount: float
    word: str
    effective: Estimate
    logs: np.ndarray
    slope: float

    @property
    def transferred(self) -> Estimate:
        """D_T = D_E - D_F, bytes."""
        value, low, high = (None if end is None else end - self.amount for end in self.effective[:3])
        return self.effective._replace(value=value, low=low, high=high)


class _Curves(NamedTuple):
    """Scratch curves of one size, on a grid (n,) of ln D: of each seed (seeds, n, 1 + groups), and their mean over seeds (n,)."""

    grid: np.ndarray
    each: np.ndarray
    mean: np.ndarray

    def at(self, tuned: np.ndarray) -> np.ndarray:
        """ln D_E, of the shape of the losses `tuned` (seeds, amounts, 1 + groups), infinite beyond the curve, null for a null."""
        found = np.empty(tuned.shape)
        for seed, group in itertools.product(range(tuned.shape[0]), range(tuned.shape[2])):
            falling = -self.each[seed, :, group]
            found[seed, :, group] = np.interp(-tuned[seed, :, group], falling, self.grid, left=-np.inf, right=np.inf)
        return found

    def slope(self, log: float) -> float:
        ends = np.clip([log - REACH, log + REACH], self.grid[0], self.grid[-1])
        first, last = np.interp(ends, self.grid, self.mean)
        return float((last - first) / (ends[1] - ends[0]))

    @property
    def needed(self) -> float:
        return float(np.exp(np.interp(-self.mean[-1] / CONVERGED, -self.mean, self.grid)))


def needed(losses: Losses) -> np.ndarray:
    """Returns D(N), bytes (sizes,): where the mean scratch curve has 1 / 0.99 of the loss at its end, which stands for data without end.

    Section 3.1 of the paper. Of a curve that still falls at its end D(N) is larger: the regime is then drawn too narrow, never too wide.
    Null where no curve could be drawn.
    """
    curves = [_curves(losses, n) for n in range(len(losses.sizes))]
    return np.array([np.nan if one is None else one.needed for one in curves])


def effective_data(losses: Losses, allowed: float = 0.1) -> list[Point]:
    """Returns every size and amount of fine-tuning data, sizes first, with D_E and with the word that says whether a law may be fitted.

    A point is FITTED that is read between the curve's ends for every seed, whichever group of documents is left out, whose D_F is at most
    the share `allowed` of D(N), and whose D_T is told apart from 0. OSSIFIED is one whose interval of D_E lies below D_F. Between the ends
    D_E is a geometric mean; else it is what `crossing` says of the mean curve, over bases alone. Raises UsageError where arrays do not fit.
    """
    _check(losses, allowed)
    tuned = _whole_and_without(losses.tuned, losses.weights)
    found = []
    for n, size in enumerate(losses.sizes):
        curves = _curves(losses, n)
        logs = np.full(tuned[:, n].shape, np.nan) if curves is None else curves.at(tuned[:, n])
        limit = np.nan if curves is None else allowed * curves.needed
        for f, amount in enumerate(losses.amounts):
            here = logs[:, f]
            effective = _effective(losses, (n, f), here)
            slope = curves.slope(here[:, 0].mean()) if curves and np.isfinite(here).all() else np.nan
            word = _word(here, effective, (amount, losses.data[0], limit))
            found.append(Point(float(size), float(amount), word, effective, here, slope))
    return found


def _effective(losses: Losses, place: tuple[int, int], logs: np.ndarray) -> Estimate:
    n, f = place
    if np.isnan(logs).any():
        return losses.unknown(LOST)
    if np.isfinite(logs).all():
        return losses.over(logs, factor=True)
    known, shares = _known(losses, n), losses.weights / losses.weights.sum()
    above = losses.tuned[:, n, f, None] @ shares - losses.scratch[:, n][:, known] @ shares
    return crossing(losses.data[known], units(above, losses.bases), 0.0, what="amount of data")


def _word(logs: np.ndarray, effective: Estimate, amounts: tuple[float, float, float]) -> str:
    """The word of a point, from its D_F, the least data from scratch and the largest D_F that is allowed."""
    amount, least, limit = amounts
    if np.isnan(logs).any():
        return LOST
    if np.isposinf(logs).any():
        return ABOVE
    if np.isneginf(logs).any() and amount < least:
        return BELOW
    single = effective.low is None and effective.high is None
    top = effective.value if single else effective.high
    if (top is None and single) or (top is not None and top <= amount):
        return OSSIFIED
    if amount > limit:
        return BEYOND
    return FITTED if effective.low is not None and effective.low > amount and (logs > np.log(amount)).all() else UNSURE


def _curves(losses: Losses, n: int) -> _Curves | None:
    """The scratch curves of a size through the amounts that all seeds were read at, None for fewer than two."""
    known = _known(losses, n)
    if known.sum() < 2:
        return None
    axis = np.log(losses.data[known])
    scratch = _whole_and_without(losses.scratch[:, n][:, known], losses.weights)
    fits = np.apply_along_axis(lambda curve: isotonic_curve(axis, curve, increasing=False), 1, scratch)
    grid = np.interp(np.linspace(0, axis.size - 1, BETWEEN * (axis.size - 1) + 1), np.arange(axis.size), axis)
    each = PchipInterpolator(axis, fits, axis=1)(grid)
    return _Curves(grid, each, each[..., 0].mean(axis=0))


def _known(losses: Losses, n: int) -> np.ndarray:
    known: np.ndarray = np.isfinite(losses.scratch[:, n]).all(axis=(0, 2))
    return known


def _whole_and_without(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means over groups and over all groups but each, (..., 1 + groups); of one group it alone."""
    whole = (values @ weights / weights.sum())[..., None]
    return whole if weights.size < 2 else np.concatenate([whole, without_each(values, weights)], axis=-1)


def _check(losses: Losses, allowed: float) -> None:
    seeds, sizes, groups = len(losses.bases), len(losses.sizes), len(losses.weights)
    for name, values, amounts in (("scratch", losses.scratch, losses.data), ("tuned", losses.tuned, losses.amounts)):
        if values.shape != (seeds, sizes, len(amounts), groups):
            told = f"{seeds} seeds, {sizes} sizes, {len(amounts)} amounts of data and {groups} groups of documents"
            raise UsageError(f"losses {name} of shape {values.shape} are not of {told}: give one of each, null where nothing ran")
        if not ((np.asarray(amounts) > 0).all() and (np.diff(amounts) > 0).all()):
            raise UsageError(f"amounts of data {list(map(float, amounts))} do not ascend from above 0: sort them, and their losses")
    if not allowed > 0:
        raise UsageError(f"a share of {allowed:g} of the data that scratch needs leaves no point: allow more than 0, as 0.1")
