import numpy as np
import pytest

from research.analysis.inversion import crossing, invert, isotonic_curve

RANKS = np.array([1.0, 2.0, 4.0, 8.0])


def test_isotonic_curve_is_monotone_and_leaves_monotone_values_alone() -> None:
    np.testing.assert_allclose(isotonic_curve(RANKS, [0.1, 0.4, 0.2, 0.9]), [0.1, 0.3, 0.3, 0.9])
    np.testing.assert_allclose(isotonic_curve(RANKS, [0.9, 0.4, 0.5, 0.1], increasing=False), [0.9, 0.45, 0.45, 0.1])
    with pytest.raises(ValueError, match="ascend"):
        isotonic_curve([2, 1], [0.1, 0.2])


def test_invert_interpolates_in_log_rank() -> None:
    rank, note = invert(RANKS, [0.1, 0.4, 0.8, 1.0], 0.6)
    assert rank == pytest.approx(2 * np.sqrt(2))
    assert note == ""


def test_invert_takes_the_first_rank_of_a_plateau() -> None:
    assert invert(RANKS, [0.1, 0.9, 0.9, 1.0], 0.9)[0] == pytest.approx(2.0)


def test_invert_is_censored_on_both_sides() -> None:
    assert invert(RANKS, [0.1, 0.4, 0.8, 0.85], 0.9) == (None, "not reached at the largest rank (8)")
    assert invert(RANKS, [0.9, 0.95, 1.0, 1.0], 0.9) == (None, "at or below the smallest rank (1)")


def noisy(curve: list[float], spread: float, seeds: int = 4) -> np.ndarray:
    return np.asarray(curve) + spread * np.random.default_rng(0).standard_normal((seeds, len(curve)))


def test_value_lies_in_its_interval_and_the_interval_in_the_cell() -> None:
    found = crossing(RANKS, noisy([0.1, 0.4, 0.8, 1.0], 0.005), 0.6)
    assert 2 < found.low < found.value < found.high < 4
    assert found.value == pytest.approx(2 * np.sqrt(2), rel=0.05)
    assert found.note == ""


def with_zero(first: list[float], curve: list[float], spread: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    return np.append(0, RANKS), np.hstack([np.array(first)[:, None], noisy(curve, spread, len(first))])


def test_order_of_points_and_a_low_rank_zero_do_not_matter() -> None:
    values = noisy([0.1, 0.4, 0.8, 1.0], 0.01)
    shuffled = [2, 0, 3, 1]
    expected = crossing(RANKS, values, 0.6)
    assert crossing(RANKS[shuffled], values[:, shuffled], 0.6) == expected
    assert crossing(*with_zero([0.0] * 4, [0.1, 0.4, 0.8, 1.0]), 0.6) == expected


def test_zero_is_the_answer_of_a_curve_that_starts_at_the_level() -> None:
    surely = crossing(*with_zero([0.93, 0.94, 0.95], [0.95, 0.97, 0.98, 1.0]), 0.9)
    assert surely[:3] == (0.0, 0.0, 0.0) and surely.note == "3 of 3 seeds at rank 0"
    perhaps = crossing(*with_zero([0.85, 0.92, 0.97], [0.95, 0.97, 0.98, 1.0]), 0.9)
    assert perhaps[:3] == (0.0, 0.0, 1.0) and "2 of 3 seeds at rank 0" in perhaps.note
    flat = crossing(*with_zero([0.88, 0.92, 0.96], [0.93, 0.93, 0.93, 0.93], 0.06), 0.9)
    assert (flat.value, flat.low, flat.high) == (0.0, 0.0, None) and "open above" in flat.note


def test_an_answer_between_zero_and_the_smallest_rank_is_censored_from_both_sides() -> None:
    found = crossing(*with_zero([0.1, 0.12, 0.11], [0.95, 0.97, 0.98, 1.0]), 0.9)
    assert found[:3] == (None, 0.0, 1.0) and found.note == "above 0, at or below the smallest rank (1)"
    noisier = crossing(*with_zero([0.1, 0.12, 0.11], [0.94, 0.95, 0.96, 1.0], 0.03), 0.9)
    assert (noisier.value, noisier.low) == (None, 0.0) and 1 < noisier.high < 8
    assert invert(np.append(0, RANKS), [0.1, 0.9, 0.95, 0.97, 1.0], 0.9)[0] == pytest.approx(1.0)


def test_zero_that_the_band_cannot_exclude_is_the_low_bound() -> None:
    x, curves = with_zero([0.2, 0.8, 0.95], [0.7, 0.8, 0.95, 1.0])
    found = crossing(x, curves, 0.9)
    assert 2 < found.value < 4 and found.low == 0.0 and found.high < 4.5
    above = crossing(x, curves - 0.3, 0.9)
    assert (above.value, above.low, above.high) == (None, 8.0, None)
    assert crossing(x, np.zeros((3, 5)), 0.9).note.startswith("not reached at the largest rank (8)")


def test_a_zero_that_lies_higher_than_the_next_rank_is_pooled_with_it() -> None:
    found = crossing(*with_zero([0.5, 0.5, 0.5], [0.3, 0.4, 0.8, 1.0], 0.001), 0.6)
    pooled = crossing(*with_zero([0.4, 0.4, 0.4], [0.4, 0.4, 0.8, 1.0], 0.001), 0.6)
    assert found.value == pytest.approx(pooled.value, rel=0.01)


def test_x_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        crossing([-1.0, 1.0], np.zeros((3, 2)), 0.9)
    assert crossing([0.0], np.ones((3, 1)), 0.9).note == "nothing to fit"


def test_clear_censoring_still_bounds_the_answer() -> None:
    above = crossing(RANKS, noisy([0.1, 0.2, 0.3, 0.4], 0.01), 0.9)
    assert (above.value, above.low, above.high) == (None, 8.0, None)
    assert above.note.startswith("not reached") and "4 of 4 seeds not reached" in above.note
    below = crossing(RANKS, noisy([0.95, 0.97, 0.98, 1.0], 0.001), 0.9)
    assert (below.value, below.low, below.high) == (None, None, 1.0)
    assert below.note.startswith("at or below the smallest rank")


def test_partial_censoring_opens_the_side_and_counts_the_seeds() -> None:
    curves = np.array([[0.1, 0.4, 0.7, 0.95], [0.1, 0.4, 0.7, 0.97], [0.1, 0.4, 0.7, 0.85]])
    found = crossing(RANKS, curves, 0.9)
    assert found.value == pytest.approx(7.5, rel=0.1)
    assert found.low is not None and found.high is None
    assert "1 of 3 seeds not reached" in found.note and "open above" in found.note


def test_diverged_seeds_are_left_out() -> None:
    curves = noisy([0.1, 0.4, 0.8, 1.0], 0.01)
    with_null = np.vstack([curves, [0.1, np.nan, 0.8, 1.0]])
    found = crossing(RANKS, with_null, 0.6)
    assert found[:4] == crossing(RANKS, curves, 0.6)[:4]
    assert "1 of 5 seeds incomplete" in found.note
    assert crossing(RANKS, np.full((2, 4), np.nan), 0.6).value is None


def test_one_seed_and_one_rank_are_answered() -> None:
    one = crossing(RANKS, np.array([[0.1, 0.4, 0.8, 1.0]]), 0.6)
    assert one.value is not None and one.low is None and one.high is None and "no interval" in one.note
    assert crossing([4.0], [[0.5], [0.6]], 0.9).note.startswith("not reached")
    assert crossing([4.0], [[0.95], [0.96]], 0.9).note.startswith("at or below")


def test_misshapen_curves_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        crossing(RANKS, np.zeros((3, 5)), 0.9)
    with pytest.raises(ValueError, match="do not fit"):
        crossing([1.0, 1.0], np.zeros((3, 2)), 0.9)
