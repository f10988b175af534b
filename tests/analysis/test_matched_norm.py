"""Readings at one norm: planted curves are read, and nothing beyond what was measured."""

import numpy as np
import pytest

from research.analysis.matched_norm import at_norm, common_norm

STEPS = np.array([30.0, 75.0, 150.0, 300.0])


def grown(rate: float) -> tuple[np.ndarray, np.ndarray]:
    """A cell whose norm grows with its rate, and whose share depends on the norm alone: 0.7 - 0.1 ln(norm)."""
    norms = rate * STEPS**0.6
    return norms, 0.7 - 0.1 * np.log(norms)


def test_cells_that_differ_in_rate_alone_agree_at_one_norm() -> None:
    slow, fast = grown(0.1), grown(0.25)
    assert slow[1][-1] - fast[1][-1] == pytest.approx(0.1 * np.log(2.5))  # after equal steps they seem to differ
    norm = common_norm([slow, fast])
    assert norm == pytest.approx(slow[0][-1])
    for cell in (slow, fast):
        assert at_norm(*cell, norm) == pytest.approx(0.7 - 0.1 * np.log(norm))


def test_cells_that_do_differ_still_do() -> None:
    slow, (norms, shares) = grown(0.1), grown(0.25)
    norm = common_norm([slow, (norms, shares + 0.05)])
    assert at_norm(norms, shares + 0.05, norm) - at_norm(*slow, norm) == pytest.approx(0.05)


def test_a_curve_that_is_not_a_line_is_read_between_its_neighbors() -> None:
    assert at_norm([1.0, 4.0, 16.0], [0.9, 0.5, 0.4], 2.0) == pytest.approx(0.7)
    assert at_norm([1.0, 4.0, 16.0], [0.9, 0.5, 0.4], 4.0) == pytest.approx(0.5)
    assert at_norm([1.0, 4.0, 2.0], [0.9, 0.5, 0.1], 2.0) == pytest.approx(0.7)  # when it first has that norm


def test_nothing_is_extrapolated() -> None:
    norms, shares = grown(0.1)
    assert at_norm(norms, shares, 0.99 * norms[0]) is None and at_norm(norms, shares, 1.01 * norms[-1]) is None
    assert at_norm(norms, shares, norms[-1]) == pytest.approx(shares[-1])
    assert at_norm([], [], 1.0) is None and at_norm(norms, shares, 0.0) is None


def test_without_a_norm_in_common_there_is_none() -> None:
    assert common_norm([grown(0.1), grown(100.0)]) is None
    assert common_norm([]) is None and common_norm([grown(0.1), ([np.nan], [0.5])]) is None


def test_what_is_not_finite_is_left_out() -> None:
    assert at_norm([1.0, np.nan, 2.0, 4.0], [0.9, 0.1, np.inf, 0.5], 2.0) == pytest.approx(0.7)
