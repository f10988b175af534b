"""Holm's p values are those of the step-down test, level by level; a contrast's p value is where its interval ends at 0."""

import itertools

import numpy as np
import pytest

from research.analysis.comparisons import holm, two_sided
from research.analysis.contrasts import LEAST_BYTES, contrast

GROUPS = 12


def rejected(values: np.ndarray, alpha: float) -> np.ndarray:
    """Returns what Holm's test rejects, as its paper words it: step down while p <= alpha / hypotheses that are left."""
    kept, order = np.zeros(len(values), bool), np.argsort(values, kind="stable")
    for step, place in enumerate(order):
        if values[place] > alpha / (len(values) - step):
            break
        kept[place] = True
    return kept


def closed(values: np.ndarray, alpha: float) -> np.ndarray:
    """Returns what the closed test with Bonferroni's rejects: whatever all sets of hypotheses with it reject, by brute force."""
    places = range(len(values))
    sets = [some for size in range(1, len(values) + 1) for some in itertools.combinations(places, size)]
    return np.array([all(values[list(some)].min() * len(some) <= alpha for some in sets if place in some) for place in places])


def test_known_values() -> None:
    """Four p values whose adjusted ones are simple: 4 x .005, 3 x .01, then both at 2 x .03."""
    np.testing.assert_allclose(holm([0.03, 0.005, 0.04, 0.01]), [0.06, 0.02, 0.06, 0.03])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0] and holm([0.2]).tolist() == [0.2] and holm([]).size == 0


def test_what_is_at_most_alpha_is_what_the_step_down_and_the_closed_test_reject() -> None:
    drawn = np.random.default_rng(0)
    for alpha in (0.01, 0.05, 0.2):
        for _ in range(40):
            values = drawn.random(6) ** 4
            adjusted = holm(values) <= alpha
            assert (adjusted == rejected(values, alpha)).all() and (adjusted == closed(values, alpha)).all()


def test_families_without_effects_are_seldom_rejected_anywhere_and_unadjusted_ones_often() -> None:
    values = np.random.default_rng(1).random((4000, 20))
    adjusted = np.mean([(holm(one) <= 0.05).any() for one in values])
    assert adjusted < 0.06 and (values <= 0.05).any(1).mean() > 0.6


@pytest.mark.parametrize("center", [0.02, -0.3, 1.0])
def test_a_p_value_is_one_less_the_level_whose_interval_ends_at_zero(center: float) -> None:
    drawn = np.random.default_rng(2)
    bases, weights = np.arange(3), drawn.uniform(1, 2, GROUPS)
    values, replicates = center + 0.05 * drawn.standard_normal(3), center + 0.02 * drawn.standard_normal(GROUPS)
    p = two_sided(values, bases, replicates, weights)
    assert p is not None and 0 < p < 1
    relative = LEAST_BYTES * weights / weights.min()
    found = contrast(values, bases, replicates, relative, level=1 - p)
    assert found.low is not None and found.high is not None
    assert (found.low if found.value > 0 else found.high) == pytest.approx(0, abs=1e-6)


def test_what_carries_no_interval_over_bases_and_documents_has_no_p_value() -> None:
    replicates, weights = np.linspace(0.9, 1.1, GROUPS), np.ones(GROUPS)
    assert two_sided(np.ones(1), np.zeros(1), replicates, weights) is None
    assert two_sided(np.array([0.9, 1.1]), np.zeros(2), replicates, weights) is None  # seeds of one base
    assert two_sided(np.array([0.9, 1.1]), np.arange(2), replicates[:4], weights[:4]) is None
    assert two_sided(np.array([-1.0, 1.0]), np.arange(2), replicates - 1, weights) == 1.0
    assert (two_sided(np.full(3, 1.0), np.arange(3), replicates, weights) or 1) < 1e-3
