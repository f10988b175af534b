"""At which depth a task is read: expected layers of cumulative scores, centers of gravity, and how sure an order of tasks is.

Tenney et al. 2019 (arXiv 1905.05950, section 3.2). What its critics found stands beside each number: differences that are negative and
what clipping them would change, a gain too small to be spread over layers, and weights of a mix that undo the norms of its layers.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from research.analysis.contrasts import LEAST_BYTES, LEAST_GROUPS, contrast, units, without_each
from research.findings import Estimate

DRAWS = 20_000


class Depth(NamedTuple):
    """Where a task is read: estimates over bases and documents, and what distorts them.

    expected: sum l D(l) / sum D(l), no value where the gain, sum D(l), is not known to be above 0. clipped: the same of differences that
    are not negative. negative: the share that negative differences have of all differences' absolute sum. values (seeds,) and replicates
    (groups,) are those of the expected layer.
    """

    expected: Estimate
    clipped: Estimate
    gain: Estimate
    negative: float
    values: np.ndarray
    replicates: np.ndarray


class Order(NamedTuple):
    """How sure an order is: (order, probability) from the likeliest, tasks by index and the shallowest first, and for each two tasks.

    earlier: (tasks, tasks), the probability that the task of the row is read before the one of the column.
    """

    orders: tuple[tuple[tuple[int, ...], float], ...]
    earlier: np.ndarray


def by_document(values: np.ndarray, scored: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns means (..., groups) of `values` (..., n) within each of `documents` (n,), and how many examples each has (groups,).

    Only examples that are `scored` (n,) count; a document without one is no group.
    """
    kept = np.asarray(scored) > 0
    names, index = np.unique(np.asarray(documents)[kept], return_inverse=True)
    counts = np.bincount(index, minlength=len(names))
    member = (index[:, None] == np.arange(len(names))).astype(float)
    return np.asarray(values, float)[..., kept] @ member / counts, counts


def expected_layers(scores: np.ndarray, depths: np.ndarray, *, clip: bool = False) -> np.ndarray:
    """Returns sum l D(l) / sum D(l), (...), of cumulative scores (..., layers) at `depths` (layers,); nan where sum D is not positive.

    D(l) is what the score gains at depth l over the depth before it; with `clip`, nothing where it loses. In the unit of the depths.
    """
    gains = np.diff(np.asarray(scores, float), axis=-1)
    gains = np.maximum(gains, 0.0) if clip else gains
    total = gains.sum(-1)
    moments = gains @ np.asarray(depths, float)[1:]
    return np.divide(moments, total, out=np.full(total.shape, np.nan), where=total > 0)


def negative_shares(scores: np.ndarray) -> np.ndarray:
    """Returns the share (...) that losses have of all changes of the scores (..., layers) from depth to depth, 0 where nothing changes."""
    gains = np.diff(np.asarray(scores, float), axis=-1)
    total = np.abs(gains).sum(-1)
    return np.divide(np.maximum(-gains, 0.0).sum(-1), total, out=np.zeros(total.shape), where=total > 0)


def center_of_gravity(mix: np.ndarray, depths: np.ndarray, norms: np.ndarray | None = None) -> np.ndarray:
    """Returns sum l s_l (...) of a mix (..., layers); with `norms` (..., layers), of what each layer brings, s_l times its norm."""
    shares = np.asarray(mix, float) * (1.0 if norms is None else np.asarray(norms, float))
    return shares @ np.asarray(depths, float) / shares.sum(-1)


def depth(scores: np.ndarray, weights: np.ndarray, bases: np.ndarray, depths: np.ndarray) -> Depth:
    """Returns where a task is read, from cumulative scores (seeds, layers, groups) in groups of documents.

    weights: (groups,) examples of each group; bases: (seeds,) that seeds start from; depths: (layers,), the first of them the one that
    gains are counted from. Half-widths over bases and over groups (delete-one jackknife) are added in squares, as in `contrast`.
    """
    weights, bases = np.asarray(weights, float), np.asarray(bases)
    whole, left_out = np.asarray(scores, float) @ weights / weights.sum(), np.moveaxis(without_each(scores, weights), -1, 1)
    relative = LEAST_BYTES * weights / weights.min()  # examples are no bytes, of which a contrast wants so many

    def estimate(values: np.ndarray, replicates: np.ndarray) -> Estimate:
        return contrast(values, bases, _mean(replicates, bases), relative)

    gain = estimate(whole[:, -1] - whole[:, 0], left_out[..., -1] - left_out[..., 0])
    values, replicates = (expected_layers(some, depths) for some in (whole, left_out))
    expected = estimate(values, replicates)
    clipped = estimate(*(expected_layers(some, depths, clip=True) for some in (whole, left_out)))
    if gain.value is None or (gain.low if gain.low is not None else gain.value) <= 0:
        bounds = "" if gain.low is None else f" [{gain.low:.2g}, {gain.high:.2g}]"
        note = "no scores" if gain.value is None else f"no depth: all layers gain {gain.value:.2g}{bounds} over the first"
        expected, clipped = (one._replace(value=None, low=None, high=None, note=note) for one in (expected, clipped))
    return Depth(expected, clipped, gain, float(negative_shares(whole).mean()), values, _mean(replicates, bases))


def order(found: Sequence[Depth], weights: np.ndarray, bases: np.ndarray, draws: int = DRAWS) -> Order:
    """Returns the probability of each order of tasks by expected layer, over bases and documents at once.

    weights and bases are those of `depth`. Means of tasks are drawn anew around those found: one multivariate t with the covariance that
    bases show, and one with the jackknife's over groups, whose degrees of freedom are those of `contrast`. Tasks that share documents and
    seeds so share their luck. A tie is broken evenly. One base says nothing of others.
    Raises ValueError for a task without a depth, and where neither bases nor groups are enough to say anything.
    """
    weights, replicates = np.asarray(weights, float), np.stack([one.replicates for one in found])
    values = units(np.stack([one.values for one in found], axis=-1), np.asarray(bases)).T
    if any(one.expected.value is None for one in found) or not (np.isfinite(values).all() and np.isfinite(replicates).all()):
        raise ValueError("an order of tasks of which one has no depth; leave it out")
    groups, effective = weights.size, weights.sum() ** 2 / (weights**2).sum()
    generator, drawn = np.random.default_rng(0), np.tile(values.mean(-1), (draws, 1))
    if values.shape[-1] > 1:
        spread = (values - values.mean(-1, keepdims=True)) / np.sqrt(values.shape[-1] * (values.shape[-1] - 1))
        drawn += _multivariate_t(generator, spread, values.shape[-1] - 1, draws)
    if effective >= LEAST_GROUPS:
        spread = (replicates - replicates.mean(-1, keepdims=True)) * np.sqrt((groups - 1) / groups)
        drawn += _multivariate_t(generator, spread, effective - 1, draws)
    elif values.shape[-1] == 1:
        raise ValueError(f"one base and {groups} groups of documents, which count as {effective:.2g}, carry no order")
    ranked = np.lexsort((generator.random(drawn.shape), drawn), axis=-1)
    counts = Counter(map(tuple, ranked.tolist())).most_common()
    differences = drawn[:, :, None] - drawn[:, None, :]
    earlier = (differences < 0).mean(0) + (differences == 0).mean(0) / 2
    return Order(tuple((one, count / draws) for one, count in counts), earlier)


def _mean(replicates: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """The mean over units (groups,) of replicates (seeds, groups), as a contrast takes it of the values."""
    return units(replicates, bases).mean(0)


def _multivariate_t(generator: np.random.Generator, spread: np.ndarray, freedom: float, draws: int) -> np.ndarray:
    """Draws (draws, tasks) around 0 whose covariance, before it is spread by `freedom`, is that of `spread` (tasks, columns)."""
    normal = generator.standard_normal((draws, spread.shape[-1])) @ spread.T
    return normal / np.sqrt(generator.chisquare(freedom, (draws, 1)) / freedom)
