"""Losses that every run reaches, and where on its way each one does: on ways that are known in closed form."""

import pytest

from experiments.loss_landscape.levels import around, at_crossing, crossing, level, nearest, ways


def way(init: str, *losses: float | None, run: int = 0) -> list[dict]:
    return [{"init": init, "seed": 0, "run": run, "step": step, "metric": "loss", "value": loss} for step, loss in enumerate(losses)]


def test_the_level_is_the_lowest_that_every_run_reaches_from_above() -> None:
    assert level([*way("a", 5.0, 3.0, 1.0), *way("b", 4.0, 2.5, 2.0)]) == 2.0
    assert level([*way("a", 5.0, 3.0, 1.0), *way("a", 5.0, 3.0, run=1), *way("b", 4.0, 2.5, 2.0)]) == 3.0
    assert level([*way("a", 5.0, 1.0, 1.5), *way("b", 4.0, 2.0)]) == 2.0  # the lowest on a way, wherever it lies


def test_a_run_that_begins_below_leaves_no_level() -> None:
    assert level([*way("a", 1.5, 1.0), *way("b", 4.0, 2.0)]) is None
    assert level([*way("a", 2.0, 1.0), *way("b", 4.0, 2.0)]) is None  # nor does one that begins right there
    assert level([*way("a", 5.0), *way("b", 4.0, 2.0)]) is None
    assert level([]) is None


def test_ways_are_in_the_order_of_steps_and_leave_out_nulls_and_other_metrics() -> None:
    rows = [*way("a", 5.0, None, float("nan"), 2.0)[::-1], {**way("a", 9.0)[0], "metric": "trace"}]
    assert ways(rows) == {("a", 0, 0): [(0, 5.0), (3, 2.0)]}
    assert nearest(rows, 2.4)["step"] == 3


def test_a_crossing_is_the_first_one_and_linear_in_the_loss() -> None:
    assert crossing([(0, 4.0), (10, 3.0), (20, 1.0)], 2.0) == (2, 0.5)
    assert crossing([(0, 4.0), (10, 1.0), (20, 3.0), (30, 0.5)], 2.0) == (1, pytest.approx(2 / 3))
    assert crossing([(0, 4.0), (10, 3.0)], 2.0) is None
    assert crossing([(0, 2.0), (10, 1.0)], 2.0) is None  # begins there


def test_both_sides_of_the_shared_loss_are_the_steps_that_it_is_read_between() -> None:
    rows = [*way("a", 5.0, 3.0, 1.5, 1.0), *way("b", 4.0, 2.5, 2.0)]
    assert around(rows) == {("a", 0, 0): (1, 2), ("b", 0, 0): (1, 2)}
    assert around([*way("a", 5.0, 1.0, 0.5), *way("b", 4.0, 2.5, 2.0)])["a", 0, 0] == (0, 1)
    assert around([*way("a", 1.5, 1.0), *way("b", 4.0, 2.0)]) == {}


def test_other_readings_are_read_where_the_loss_crosses() -> None:
    """A curvature that is linear in the loss is found exactly, wherever the readings lie."""
    losses = [5.0, 4.1, 2.2, 1.3]
    curvature = [7 * loss - 3 for loss in losses]
    steps = list(zip((0, 3, 30, 31), losses, strict=True))
    for loss in (4.5, 3.0, 1.3):
        assert at_crossing(steps, curvature, loss) == pytest.approx(7 * loss - 3)
    assert at_crossing(steps, curvature, 1.0) is None
