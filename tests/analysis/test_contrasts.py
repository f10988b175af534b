import math

import numpy as np
import pytest
from scipy import stats

from research.analysis.contrasts import base_means, contrast, ratio, without_each
from research.findings import Estimate

WEIGHTS = np.tile([2000.0, 1000.0, 500.0, 1500.0], 3)
BASES = np.array([0, 1, 2])


def reading(value: float | None, low: float | None, high: float | None, note: str = "") -> Estimate:
    return Estimate(value, low, high, 3, "by hand", note)


def test_without_each_is_the_weighted_mean_of_the_others() -> None:
    losses = np.random.default_rng(0).uniform(1, 3, (2, 3, 12))
    found = without_each(losses, WEIGHTS)
    expected = [np.average(np.delete(losses[1, 2], g), weights=np.delete(WEIGHTS, g)) for g in range(12)]
    assert found.shape == losses.shape
    np.testing.assert_allclose(found[1, 2], expected)
    for weights in (WEIGHTS[:3], np.array([1.0, 0.0, 1.0, 1.0])):
        with pytest.raises(ValueError, match="two groups"):
            without_each(losses, weights)


def test_seeds_of_one_base_count_once() -> None:
    values, bases = np.array([1.0, 3.0, 4.0, 6.0, np.nan]), np.array([7, 7, 2, 9, 9])
    np.testing.assert_allclose(base_means(values, bases), [4.0, 2.0, 6.0])
    np.testing.assert_allclose(base_means(np.stack([values, 2 * values], axis=1), bases)[:, 1], [8.0, 4.0, 12.0])
    found, expected = contrast(values, bases), stats.ttest_1samp([4.0, 2.0, 6.0], 0.0).confidence_interval()
    np.testing.assert_allclose([found.value, found.low, found.high], [4.0, expected.low, expected.high])
    assert found.n == 3
    assert "over 3 bases, documents left out" in found.note and "1 of 5 seeds" in found.note
    with pytest.raises(ValueError, match="do not start from"):
        base_means(values, bases[:3])


def test_half_widths_over_bases_and_documents_are_added_in_squares() -> None:
    values, differences = np.array([0.2, 0.3, 0.25]), np.tile([0.1, 0.4, 0.3, 0.2], 3)
    replicates = without_each(differences, WEIGHTS)
    found = contrast(values, BASES, replicates, WEIGHTS)
    over_bases = stats.t.ppf(0.975, 2) * stats.sem(values)
    effective = WEIGHTS.sum() ** 2 / (WEIGHTS**2).sum()
    over_documents = stats.t.ppf(0.975, effective - 1) * np.sqrt(11 / 12 * ((replicates - replicates.mean()) ** 2).sum())
    np.testing.assert_allclose([found.value - found.low, found.high - found.value], np.hypot(over_bases, over_documents))
    assert found.note == f"± {over_bases:.2g} over 3 bases, ± {over_documents:.2g} over 12 groups of documents"


def test_the_jackknife_of_a_mean_of_equal_groups_is_its_standard_error() -> None:
    differences = np.random.default_rng(1).standard_normal(12)
    found = contrast(np.full(3, differences.mean()), BASES, without_each(differences, np.ones(12)))
    expected = stats.ttest_1samp(differences, 0.0).confidence_interval()
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high])


def test_factors_are_contrasts_of_logarithms() -> None:
    logs, replicates = np.log([2.0, 3.0, 4.0]), np.tile(np.log([2.8, 3.0, 2.9, 2.7]), 3)
    plain, found = contrast(logs, BASES, replicates, WEIGHTS), contrast(logs, BASES, replicates, WEIGHTS, factor=True)
    np.testing.assert_allclose(np.log([found.value, found.low, found.high]), plain[:3])
    assert found.note.startswith("x/÷ 2.3") and "over 3 bases, x/÷" in found.note


def test_seeds_of_one_base_stand_in_its_place_and_the_note_leaves_the_base_out() -> None:
    values, replicates = np.array([0.2, 0.3, 0.28]), np.tile([0.2, 0.25, 0.22, 0.24], 3)
    found, expected = contrast(values, np.array([5, 5, 5])), stats.ttest_1samp(values, 0.0).confidence_interval()
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high])
    assert found.n == 3 and "over 3 seeds of one base: the base is left out, documents left out" in found.note
    assert "bases" not in found.method and "seeds of one base" in found.method
    both = contrast(values, np.array([5, 5, 5]), replicates, WEIGHTS)
    assert both.low < found.low and "over 12 groups of documents" in both.note
    lost = contrast(np.array([0.2, 0.3, np.nan]), np.array([5, 5, 1]))
    assert lost.n == 2 and "of one base" in lost.note  # the other base has no value


def test_a_single_seed_has_the_interval_of_documents_alone() -> None:
    replicates = np.tile([0.2, 0.25, 0.22, 0.24], 3)
    found = contrast(np.array([0.25]), np.array([5]), replicates, WEIGHTS)
    assert found.value == pytest.approx(0.25) and found.n == 1
    assert found.low is not None and found.note.startswith("no interval over one base, ± ")
    neither = contrast(np.array([0.25]), np.array([5]))
    assert (neither.low, neither.high, neither.note) == (None, None, "no interval over one base, documents left out")


def test_a_small_text_and_few_groups_carry_no_interval_over_documents() -> None:
    values, replicates = np.array([0.2, 0.3, 0.25]), np.tile([0.2, 0.25, 0.22, 0.24], 3)
    small = contrast(values, BASES, replicates, WEIGHTS * 8_192 / WEIGHTS.sum())
    assert small[:3] == contrast(values, BASES)[:3]
    assert "documents left out (8 KB of held-out text carry no interval over documents)" in small.note
    few = contrast(values, BASES, replicates[:7], np.full(7, 3000.0))
    assert few[:3] == contrast(values, BASES)[:3] and "7 groups count as 7" in few.note
    assert contrast(values, BASES, replicates, WEIGHTS).low < small.low


def test_a_reading_censored_without_some_group_leaves_documents_out() -> None:
    values = np.array([0.2, 0.3, 0.25])
    found = contrast(values, BASES, np.array([0.2, np.nan, *[0.2] * 10]), WEIGHTS)
    assert found[:3] == contrast(values, BASES)[:3]
    assert "documents left out (no value without one of 1 of 12 groups)" in found.note
    alone = contrast(values, BASES, np.array([0.2, 0.3]), np.array([1e6, 1.0]))
    assert alone[:3] == contrast(values, BASES)[:3] and "2 groups count as 1" in alone.note


def test_no_seed_has_no_contrast() -> None:
    found = contrast(np.array([np.nan, np.nan]), np.array([0, 1]), np.full(12, np.nan), WEIGHTS)
    assert (found.value, found.low, found.high, found.n) == (None, None, None, 0)
    assert "2 of 2" in found.note
    with pytest.raises(ValueError, match="do not fit"):
        contrast(np.array([0.1, 0.2]), np.array([0, 1]), np.zeros(3), WEIGHTS)


def test_mover_adds_the_distances_that_move_a_side() -> None:
    found = ratio(reading(6.0, 4.0, 12.0), reading(2.0, 1.5, 5.0))
    assert found.value == pytest.approx(3.0)
    assert found.low == pytest.approx(3 / math.exp(math.hypot(math.log(6 / 4), math.log(5 / 2))))
    assert found.high == pytest.approx(3 * math.exp(math.hypot(math.log(12 / 6), math.log(2 / 1.5))))
    assert found.note == f"[{found.low:.3g}, {found.high:.3g}] over 3 bases, documents left out"
    known = ratio(reading(6.0, 4.0, 12.0), reading(2.0, 2.0, 2.0))
    np.testing.assert_allclose(known[:3], [3.0, 2.0, 6.0])


def test_documents_widen_a_ratio() -> None:
    logs = np.tile(np.log([3.0, 3.2, 2.9, 3.1]), 3)
    alone, found = (ratio(reading(6.0, 5.0, 7.0), reading(2.0, 1.9, 2.1), *by) for by in ((), (logs, WEIGHTS)))
    half = math.log(contrast(np.full(2, math.log(3.0)), BASES[:2], logs, WEIGHTS, factor=True).high / 3.0)
    assert math.log(3 / found.low) == pytest.approx(math.hypot(math.log(3 / alone.low), half))
    assert math.log(found.high / 3) == pytest.approx(math.hypot(math.log(alone.high / 3), half))
    assert f"over 3 bases, x/÷ {math.exp(half):.3g} over 12 groups of documents" in found.note


def test_open_sides_of_a_ratio_stay_open() -> None:
    found = ratio(reading(6.0, 4.0, None, "interval open above the largest rank"), reading(2.0, 1.5, 3.0), np.zeros(12), WEIGHTS)
    assert found.low is not None and found.high is None
    assert "interval open above" in found.note and "numerator: interval open above the largest rank" in found.note
    other = ratio(reading(2.0, 1.5, 3.0), reading(6.0, 4.0, None))
    assert other.low is None and other.high is not None


def test_a_censored_reading_bounds_the_ratio_by_what_is_known() -> None:
    above = reading(None, 32.0, None, "not reached at the largest rank (32)")
    found = ratio(above, reading(2.0, 1.0, 4.0), np.zeros(12), WEIGHTS)
    assert (found.value, found.low, found.high) == (None, pytest.approx(8.0), None)
    assert found.note.startswith("numerator: not reached at the largest rank (32)")
    assert ratio(above, above)[:3] == (None, None, None)


def test_rank_zero_may_be_an_answer_of_a_ratio() -> None:
    none, some = reading(0.0, 0.0, 1.0), reading(4.0, 2.0, 8.0)
    assert ratio(none, some)[:3] == (0.0, 0.0, pytest.approx(0.5))
    found = ratio(some, none)
    assert (found.value, found.low, found.high) == (None, pytest.approx(2.0), None) and found.note.startswith("no ratio to 0")
    assert ratio(reading(1.0, 0.0, 2.0), some).low == 0.0
    with pytest.raises(ValueError, match="not negative"):
        ratio(reading(-1.0, -2.0, 1.0), some)


def test_single_seeds_have_the_interval_of_documents_alone() -> None:
    one = Estimate(6.0, None, None, 1, "by hand", "one seed: no interval"), Estimate(2.0, None, None, 1, "by hand")
    assert ratio(*one)[:3] == (pytest.approx(3.0), None, None)
    found = ratio(*one, np.tile(np.log([3.0, 3.2, 2.9, 3.1]), 3), WEIGHTS)
    assert 0 < found.low < 3 < found.high and found.note.startswith("no interval over one base, x/÷")


def test_a_ratio_of_seeds_of_one_base_says_so() -> None:
    found = ratio(reading(6.0, 4.0, 12.0), reading(2.0, 1.5, 5.0), one_base=True)
    assert "over 3 seeds of one base: the base is left out" in found.note and "bases" not in found.note


def test_of_no_seeds_there_is_no_contrast() -> None:
    nothing = contrast(np.empty(0), np.empty(0, int))
    assert (nothing.value, nothing.low, nothing.n, nothing.note) == (None, None, 0, "no seeds")
