import numpy as np
import pandas as pd
import pytest
from scipy import stats

from research.analysis.intervals import difference_interval, log_t_interval, t_interval


def test_t_interval_agrees_with_scipy() -> None:
    samples = np.array([2.35, 2.41, 2.38, 2.36])
    expected = stats.ttest_1samp(samples, 0.0).confidence_interval(0.9)
    found = t_interval(samples, level=0.9)
    np.testing.assert_allclose([found.value, found.low, found.high], [samples.mean(), expected.low, expected.high])
    assert found.n == 4


def test_one_seed_has_a_value_and_no_interval() -> None:
    found = t_interval([2.5])
    assert (found.value, found.low, found.high, found.n) == (2.5, None, None, 1)
    assert "no interval" in found.note


def test_diverged_seeds_are_left_out_and_counted() -> None:
    found = t_interval([1.0, None, 2.0, 3.0])
    assert found.value == pytest.approx(2.0)
    assert found.n == 3
    assert "1 of 4" in found.note
    assert t_interval([None, np.nan]).value is None
    assert "diverged" in t_interval([None]).note


def test_equal_samples_have_an_interval_of_no_width() -> None:
    assert t_interval([1.5, 1.5, 1.5])[:3] == (1.5, 1.5, 1.5)


def test_log_interval_is_that_of_the_logarithms() -> None:
    samples = np.array([4.0, 5.0, 9.0])
    logs, found = t_interval(np.log(samples)), log_t_interval(samples)
    np.testing.assert_allclose(np.log([found.value, found.low, found.high]), [logs.value, logs.low, logs.high])
    assert found.value == pytest.approx(stats.gmean(samples))
    with pytest.raises(ValueError, match="positive"):
        log_t_interval([1.0, 0.0])


def test_shared_seeds_are_paired_whatever_their_order() -> None:
    a = pd.Series({0: 2.0, 1: 3.0, 2: 4.1})
    b = pd.Series({2: 3.0, 0: 1.0, 1: 2.0})
    found = difference_interval(a, b)
    expected = stats.ttest_rel([2.0, 3.0, 4.1], [1.0, 2.0, 3.0]).confidence_interval()
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high])
    assert "paired" in found.method
    assert found.high - found.low < 0.5 < difference_interval(a.to_numpy(), b.to_numpy()).high


def test_a_pair_with_a_diverged_half_is_left_out() -> None:
    found = difference_interval(pd.Series({0: 2.0, 1: np.nan, 2: 4.0}), pd.Series({0: 1.0, 1: 1.0, 2: 3.0}))
    assert (found.value, found.n) == (1.0, 2)


def test_other_seeds_get_welch() -> None:
    first, second = np.array([2.0, 3.0, 4.1]), np.array([1.0, 1.2, 1.1, 1.3])
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    for a, b in ((first, second), (pd.Series(first, [7, 8, 9]), pd.Series(second, [0, 1, 2, 3]))):
        found = difference_interval(a, b)
        np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high])
        assert "Welch" in found.method
        assert found.n == 3


def test_unequal_lengths_cannot_be_paired_by_position() -> None:
    with pytest.raises(ValueError, match="one length"):
        difference_interval([1.0, 2.0], [1.0], paired=True)
