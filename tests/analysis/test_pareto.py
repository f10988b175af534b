"""Fronts and their area against counting and drawing points, and paths read at a level."""

import numpy as np
import pytest

from research.analysis.pareto import at_level, front, hypervolume

POINTS = np.array([[3.0, 1.0], [1.0, 3.0], [2.0, 2.0], [2.0, 2.5], [3.0, 3.0], [2.0, 2.0]])


def test_the_front_is_what_nobody_dominates() -> None:
    np.testing.assert_array_equal(front(POINTS), [0, 1, 2, 5])  # equal points stay beside each other
    np.testing.assert_array_equal(front(np.array([[1.0, 2.0], [1.0, 3.0], [0.5, 3.0]])), [0, 2])  # equal in one coordinate only
    assert front(np.empty((0, 2))).size == 0


def test_the_front_of_many_points_is_that_of_their_definition() -> None:
    points = np.random.default_rng(0).integers(0, 12, (60, 2)).astype(float)
    expected = [i for i, (a, b) in enumerate(points) if not any(c <= a and d <= b and (c < a or d < b) for c, d in points)]
    np.testing.assert_array_equal(front(points), expected)
    assert 1 < len(expected) < len(points)


def test_diverged_runs_are_not_on_the_front() -> None:
    points = np.array([[np.nan, 0.0], [1.0, 1.0], [0.0, np.inf], [-np.inf, 2.0]])
    np.testing.assert_array_equal(front(points), [1])
    assert hypervolume(points, (2.0, 3.0)) == 2.0


def test_the_area_of_a_staircase_is_that_of_its_rectangles() -> None:
    assert hypervolume(POINTS, (4.0, 4.0)) == 1 * 1 + 1 * 2 + 1 * 3  # from x = 1, 2 and 3 on, up to the next
    assert hypervolume(POINTS[:1], (4.0, 5.0)) == 1 * 4
    assert hypervolume(POINTS[::-1], (4.0, 4.0)) == hypervolume(POINTS, (4.0, 4.0))


def test_the_area_is_that_of_a_fine_grid() -> None:
    points, side = np.random.default_rng(1).random((20, 2)), 1000
    middle = (np.arange(side) + 0.5) / side * 1.2
    grid = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1)
    covered = np.zeros((side, side), bool)
    for point in points:
        covered |= (grid >= point).all(axis=-1)
    assert hypervolume(points, (1.2, 1.2)) == pytest.approx(covered.mean() * 1.44, abs=5e-3)


def test_points_that_are_not_better_than_the_reference_add_nothing() -> None:
    beyond = np.array([[0.0, 4.0], [4.0, 0.0], [-1.0, 9.0], [9.0, 9.0]])
    assert hypervolume(np.concatenate([POINTS, beyond]), (4.0, 4.0)) == hypervolume(POINTS, (4.0, 4.0))
    assert hypervolume(beyond, (4.0, 4.0)) == hypervolume(np.empty((0, 2)), (4.0, 4.0)) == 0.0


def test_a_path_is_read_where_it_first_falls_to_the_level() -> None:
    xs, ys = [3.0, 2.0, 1.0, 2.5, 0.5], [0.0, 1.0, 5.0, 7.0, 9.0]
    assert at_level(xs, ys, 1.75) == 1.0 + 0.25 * 4.0
    assert at_level(xs, ys, 2.0) == 1.0
    assert at_level(xs, ys, 0.5) == 9.0
    assert at_level(xs, ys, 0.75) == 7.0 + 1.75 / 2.0 * 2.0


def test_a_path_that_never_falls_there_or_begins_there_has_no_reading() -> None:
    assert np.isnan(at_level([3.0, 2.0], [0.0, 1.0], 1.9))
    assert np.isnan(at_level([3.0, 4.0, 2.0], [0.0, 1.0, 2.0], 3.0))
    assert np.isnan(at_level([], [], 1.0))


def test_readings_of_a_diverged_run_are_left_out() -> None:
    assert at_level([3.0, np.nan, 1.0], [0.0, 100.0, 4.0], 2.0) == 2.0
    assert at_level([3.0, 2.0, 1.0], [0.0, np.nan, 4.0], 1.5) == 3.0
    assert np.isnan(at_level([3.0, np.nan], [0.0, np.nan], 2.0))


@pytest.mark.parametrize("level", [np.nan, np.inf, -np.inf])
def test_a_level_has_to_be_finite(level: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        at_level([3.0, 1.0], [0.0, 1.0], level)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="not the readings of one path"):
        at_level([3.0, 1.0], [0.0], 2.0)
    for points in (np.ones(2), np.ones((2, 3))):
        with pytest.raises(ValueError, match="plane"):
            front(points)
        with pytest.raises(ValueError, match="plane"):
            hypervolume(points, (1.0, 1.0))
    for reference in ((1.0,), (np.nan, 1.0), (np.inf, 1.0)):
        with pytest.raises(ValueError, match="reference"):
            hypervolume(POINTS, reference)
