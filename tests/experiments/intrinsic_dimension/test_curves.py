"""d90 from curves of known d90, by either interval, and what is not read."""

import numpy as np
import pytest

from experiments.intrinsic_dimension.curves import absolute, band, bootstrap, gained, point, relative, shared

DIMENSIONS = np.array([0.0, 16, 32, 64, 128, 256, 512])
TRUTH = 100.0


def curves(draws: int, noise: float = 0.0) -> np.ndarray:
    """Accuracy, a line in log dimension that reaches 0.9 at TRUTH; untouched models are at 0.1."""
    line = 0.9 + 0.05 * np.log2(np.maximum(DIMENSIONS, 1) / TRUTH)
    spread = noise * np.random.default_rng(0).standard_normal((draws, len(DIMENSIONS)))
    return np.where(DIMENSIONS == 0, 0.1, line) + spread


@pytest.mark.parametrize("read", [band, bootstrap])
def test_the_known_dimension_is_read_and_covered(read: object) -> None:
    found = read(DIMENSIONS, curves(5, 0.005), 0.9)
    assert found.value == pytest.approx(TRUTH, rel=0.1)
    assert found.low < TRUTH < found.high and found.n == 5
    assert read(DIMENSIONS, curves(3), 0.9).value == pytest.approx(TRUTH, rel=1e-6)


def test_the_bootstrap_is_the_quantiles_of_resampled_draws() -> None:
    values, order = curves(3, 0.02), np.array([0, 1, 2])
    found = bootstrap(DIMENSIONS, values, 0.9)
    every = [
        bootstrap(DIMENSIONS, np.repeat(values[[a, b, c]].mean(0)[None], 2, 0), 0.9).value for a in order for b in order for c in order
    ]
    assert min(every) <= found.low <= found.value <= found.high <= max(every)
    assert found.low in [pytest.approx(value) for value in every]


@pytest.mark.parametrize("read", [band, bootstrap])
def test_outside_of_the_grid_nothing_is_guessed(read: object) -> None:
    below, above = read(DIMENSIONS, curves(3, 0.001), 0.3), read(DIMENSIONS, curves(3, 0.001), 1.5)
    assert below.value is None and "above 0, at or below the smallest dimension (16)" in below.note
    assert above.value is None and "not reached at the largest dimension (512)" in above.note
    assert below.low == 0 and above.high is None
    below = read(DIMENSIONS[1:], curves(3, 0.001)[:, 1:], 0.3)
    assert below.value is None and below.note.startswith("at or below the smallest dimension (16)") and below.low is None


@pytest.mark.parametrize("read", [band, bootstrap])
def test_untouched_models_may_be_there_already(read: object) -> None:
    found = read(DIMENSIONS, curves(3, 0.001), 0.05)
    assert found.value == 0 and found.low == 0 and not found.note.startswith("at or below")
    assert point(DIMENSIONS, curves(3, 0.001), 0.05).value == 0


def test_diverged_draws_are_left_out() -> None:
    values = curves(4, 0.001)
    values[1, 3] = np.nan
    assert bootstrap(DIMENSIONS, values, 0.9).n == band(DIMENSIONS, values, 0.9).n == 3
    assert bootstrap(DIMENSIONS, values[:0], 0.9).note == "nothing to fit"
    assert "one draw" in bootstrap(DIMENSIONS, values[:1], 0.9).note


def test_a_level_that_the_full_space_does_not_reach_is_said_and_not_divided_by() -> None:
    low = np.array([0.87, 0.88, 0.86])
    found = absolute(DIMENSIONS, curves(3), low, 0.9)
    assert found.value is None and "itself reaches 0.870 on average, not 0.900" in found.note
    chance = relative(DIMENSIONS, curves(3), np.array([0.1, 0.9, 0.9]), 0.1)
    assert chance.value is None and "not above chance" in chance.note
    losses = 5 - curves(3)
    assert "itself reaches 4.200" in shared(DIMENSIONS, losses, np.full(3, 4.2), 3.9).note
    assert shared(DIMENSIONS, losses, np.full(3, 4.2), 4.1).value == pytest.approx(TRUTH)  # a subspace may do better than the full space
    assert "not clearly above 0.1" in gained(DIMENSIONS, losses, np.full(3, 4.2), np.array([4.2, 4.1, 4.3])).note


def test_shares_are_of_each_draws_own_full_training() -> None:
    full = np.array([0.98, 1.0, 1.02])
    own = 0.9 * full[:, None] + 0.05 * np.log2(np.maximum(DIMENSIONS, 1) / TRUTH) * full[:, None]
    assert relative(DIMENSIONS, own, full).value == pytest.approx(TRUTH, rel=1e-6)
    corrected = relative(DIMENSIONS, 0.1 + (own - 0.0) * (full - 0.1)[:, None] / full[:, None], full, 0.1)
    assert corrected.value == pytest.approx(TRUTH, rel=1e-6)
    start = np.array([4.0, 4.1, 4.2])
    losses = start[:, None] - own / full[:, None] * 1.0
    assert gained(DIMENSIONS, losses, start, start - 1.0).value == pytest.approx(TRUTH, rel=1e-6)
    assert shared(DIMENSIONS, 5 - curves(3), np.full(3, 4.0), 4.1).value == pytest.approx(TRUTH, rel=1e-6)
