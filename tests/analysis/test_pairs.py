"""Means over pairs cover what they promise where runs have luck of their own, and counting pairs as if they were runs does not."""

import itertools

import numpy as np
import pytest

from research.analysis.intervals import t_interval
from research.analysis.pairs import Pairs, pair_difference, pair_mean

MEAN = 0.3


def drawn(rng: np.random.Generator, runs: int, own: float = 0.2) -> Pairs:
    """Pairs whose values are what their two runs bring, a product of both, and a little of their own, around MEAN."""
    ends = np.array(list(itertools.combinations(range(runs), 2)))
    luck = rng.normal(size=runs)
    values = MEAN + luck[ends].sum(axis=1) + 0.5 * luck[ends].prod(axis=1) + own * rng.normal(size=len(ends))
    return Pairs(values, ends)


def coverage(found: list, truth: float = MEAN) -> float:
    return float(np.mean([one.low <= truth <= one.high for one in found]))


@pytest.mark.parametrize("runs", [3, 5])
def test_intervals_over_runs_cover_and_those_over_pairs_do_not(runs: int) -> None:
    rng = np.random.default_rng(runs)
    repeats = [drawn(rng, runs) for _ in range(600)]
    assert coverage([pair_mean(pairs) for pairs in repeats]) >= 0.93
    alone = [pairs._replace(ends=np.repeat(np.arange(len(pairs.values))[:, None], 2, axis=1)) for pairs in repeats]
    assert coverage([pair_mean(pairs) for pairs in alone]) < 0.85  # each pair a unit of its own
    resampled = [bootstrap(rng, pairs.values) for pairs in repeats[:200]]
    assert np.mean([low <= MEAN <= high for low, high in resampled]) < 0.8


def bootstrap(rng: np.random.Generator, values: np.ndarray) -> tuple[float, float]:
    means = rng.choice(values, (400, values.size)).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def test_bases_are_left_out_with_all_their_runs() -> None:
    """Three bases of two runs: pairs within a base, and between those of two; units are bases."""
    rng = np.random.default_rng(0)
    within, between = [], []
    for _ in range(600):
        bases, runs = rng.normal(size=3), 0.5 * rng.normal(size=(3, 2))
        luck = bases[:, None] + runs
        own = np.arange(3)
        within.append(pair_mean(Pairs(MEAN + luck.sum(axis=1), np.stack([own, own], axis=1)), "bases"))
        ends = [(a, b, run) for a, b in itertools.combinations(range(3), 2) for run in range(2)]
        values = np.array([MEAN + luck[a, run] + luck[b, run] for a, b, run in ends])
        between.append(pair_mean(Pairs(values, np.array(ends)[:, :2]), "bases"))
    assert coverage(within) >= 0.93 and coverage(between) >= 0.93
    assert within[0].n == 3 and "bases" in within[0].method


def test_a_difference_leaves_a_unit_out_of_both_sides() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(600):
        first = drawn(rng, 5, own=0.0)
        second = drawn(rng, 5)
        shared = rng.normal(size=5)[first.ends].sum(axis=1)
        found.append(pair_difference(first._replace(values=first.values + shared + 1), second._replace(values=second.values + shared)))
    assert coverage(found, 1.0) >= 0.93
    pairs = drawn(rng, 5)
    shifted = pair_difference(pairs._replace(values=pairs.values + 2), pairs)
    assert shifted.value == pytest.approx(2) and shifted.high - shifted.low < 1e-6  # what they share is gone from the interval


def test_units_at_both_ends_give_the_t_interval_of_their_values() -> None:
    values, own = np.array([0.1, 0.5, 0.2, 0.9]), np.arange(4)
    assert pair_mean(Pairs(values, np.stack([own, own], axis=1)))[:4] == pytest.approx(t_interval(values)[:4])


def test_nulls_are_counted_and_too_few_units_have_no_interval() -> None:
    ends = np.array([(0, 1), (0, 2), (1, 2)])
    lost = pair_mean(Pairs(np.array([1.0, np.nan, 3.0]), ends))
    assert lost.value == 2 and "1 of 3 pairs without a value" in lost.note
    two = pair_mean(Pairs(np.array([1.0]), ends[:1]), "bases")
    assert (two.value, two.low, two.n) == (1.0, None, 2) and "no interval over 2 bases: without one of them no pair is left" in two.note
    one = pair_mean(Pairs(np.array([1.0]), np.array([(4, 4)])), "bases")
    assert (one.low, one.n) == (None, 1) and "no interval over 1 of the bases" in one.note
    none = pair_mean(Pairs(np.array([np.nan]), ends[:1]))
    assert none.value is None and none.n == 0
    with pytest.raises(ValueError, match="two for each pair"):
        pair_mean(Pairs(np.array([1.0]), ends))
