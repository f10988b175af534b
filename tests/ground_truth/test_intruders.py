"""Intruder dimensions against the theory of spiked matrices, against a calibration made elsewhere, and against decoys.

The spiked model (Benaych-Georges & Nadakuditi 2012): W + theta u v^T with W square, entries of variance 1 / n, u and v unit. The leading
singular value leaves the edge 2 where theta > 1 and is theta + 1 / theta there; its overlaps with u and v are 1 - 1 / theta^2, squared.
"""

import functools
from collections.abc import Callable

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from research.analysis.intruders import Trial, detection, intruders, overlaps
from research.analysis.subspaces import random_basis

EDGE, DRAWS = 250, 8


def unit(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Matrices of Frobenius norm 1 in random directions."""
    drawn = generator.standard_normal(shape)
    return drawn / np.linalg.norm(drawn, axis=(-2, -1), keepdims=True)


def spikes(generator: np.random.Generator, draws: int, edge: int) -> np.ndarray:
    return unit(generator, draws, edge, 1) @ unit(generator, draws, 1, edge)


@functools.cache
def spiked(theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns leading singular values and squared overlaps of their vectors with the planted ones; (draws,)."""
    generator = np.random.default_rng(int(10 * theta))
    noise, planted = generator.standard_normal((DRAWS, EDGE, EDGE)) / np.sqrt(EDGE), spikes(generator, DRAWS, EDGE)
    tuned = noise + theta * planted
    with threadpool_limits(1, "blas"):
        return np.linalg.svd(tuned, compute_uv=False)[:, 0], overlaps(planted, tuned, 1)[:, 0] ** 2


@pytest.mark.parametrize("theta", [0.0, 0.5, 0.8])
def test_below_the_threshold_there_is_neither_an_outlier_nor_an_overlap(theta: float) -> None:
    """Edges fluctuate by n^(-2/3), here 0.025; overlaps are of order 1 / n, and of n^(-1/3) = 0.16 only at the threshold itself."""
    values, squares = spiked(theta)
    np.testing.assert_allclose(values, 2, atol=3 * EDGE ** (-2 / 3))
    assert squares.mean() < 0.05 and squares.max() < 0.16


@pytest.mark.parametrize("theta", [1.5, 2.0, 3.0, 5.0])
def test_above_it_both_are_those_of_the_theory(theta: float) -> None:
    """Within four standard errors over the draws, which are at most 0.03."""
    for found, expected in zip(spiked(theta), (theta + 1 / theta, 1 - 1 / theta**2), strict=True):
        error = found.std(ddof=1) / np.sqrt(DRAWS)
        assert abs(found.mean() - expected) < 4 * error + 1 / EDGE and error < 0.03


def test_the_detector_finds_a_spike_in_noise_above_the_threshold_and_none_below() -> None:
    """||W||_F = sqrt(n), so that a strength of theta / sqrt(n) is a spike of theta."""
    rates = detection(Trial("flat", (EDGE, EDGE), 1, DRAWS), np.array([0.5, 0.8, 1.5, 2.0]) / np.sqrt(EDGE), top=1)
    assert not rates[:, :2].any() and rates[:, 2:].all()


@pytest.mark.parametrize(
    ("spectrum", "rank", "expected"),
    [
        ("flat", None, {0.2: 0.2, 0.5: 5.8}),
        ("flat", 1, {0.05: 0, 0.1: 1}),
        ("flat", 8, {0.2: 4.8}),
        ("power", None, {0.2: 0, 0.5: 0}),
        ("power", 1, {0.1: 0, 0.2: 0.6}),
        ("power", 8, {0.2: 0, 0.5: 5.0}),
    ],
)
def test_flagged_of_ten_are_those_of_the_calibration(spectrum: str, rank: int | None, expected: dict[float, float]) -> None:
    """Counts of other draws, five as here: three standard errors of the difference of two such means, and what was never flagged, never."""
    found = 10 * detection(Trial(spectrum, (256, 256), rank), list(expected))
    errors = 3 * found.std(axis=0, ddof=1) * np.sqrt(2 / len(found))
    for mean, error, count in zip(found.mean(axis=0), errors, expected.values(), strict=True):
        assert mean == count if count in (0, 1) else abs(mean - count) <= max(error, 0.4)
    assert errors.max() < 4


def test_small_matrices_of_a_power_law_are_flagged_where_larger_ones_never_are() -> None:
    """The calibration is of its size: what noise of half the start's norm does to a 64 x 64 matrix, nothing having been learned."""
    small, large = (detection(Trial("power", (edge, edge), draws=20), [0.2, 0.5]).mean(axis=0) for edge in (64, 160))
    assert small[0] == 0 and 0.05 < small[1] < 0.3 and not large.any()


def starts(spectrum: str, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Matrices (draws, 64, 64) of norm 1."""
    if spectrum == "flat":
        return unit(generator, draws, 64, 64)
    values = np.arange(1, 65) ** -0.5
    made = [(random_basis(64, 64, generator) * values) @ random_basis(64, 64, generator).T for _ in range(draws)]
    return np.stack(made) / np.linalg.norm(values)


def separation(null: np.ndarray, planted: np.ndarray) -> float:
    """The area under the ROC curve where a low score means an intruder: the share of pairs that are in order."""
    return float(np.mean(planted[:, None] < null) + np.mean(planted[:, None] == null) / 2)


@pytest.mark.parametrize("spectrum", ["flat", "power"])
def test_the_roc_of_a_growing_spike_in_noise_grows_from_chance(spectrum: str) -> None:
    """The least overlap of the top ten as a score, noise of 0.2 of the start's norm in both classes, theta in units of sigma_10."""
    generator, draws = np.random.default_rng(0), 80
    start = starts(spectrum, draws, generator)
    unspiked = [start + 0.2 * unit(generator, *start.shape) for _ in range(5)]
    tenth = np.linalg.svd(start, compute_uv=False)[:, 9].mean()
    null, *scores = (
        overlaps(start, noisy + theta * tenth * spikes(generator, draws, 64)).min(axis=-1)
        for noisy, theta in zip(unspiked, (0, 0, 0.5, 1, 1.5), strict=True)
    )
    areas = [separation(null, score) for score in scores]
    assert areas[0] == pytest.approx(0.5, abs=3 / np.sqrt(6 * draws))
    assert areas[0] < areas[1] < min(areas[2:]) and 0.57 < areas[1] < 0.85 and min(areas[2:]) > 0.9


def reordered(start: np.ndarray) -> np.ndarray:
    left, values, right = np.linalg.svd(start)
    return (left * values[::-1]) @ right


DECOYS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "itself": (lambda start: start, 0),
    "scaled": (lambda start: -3 * start, 0),
    "inputs turned": (lambda start: random_basis(64, 64, np.random.default_rng(2)) @ start, 0),
    "directions reordered": (reordered, 0),
    "outputs turned": (lambda start: start @ random_basis(64, 64, np.random.default_rng(3)), 10),
}


@pytest.mark.parametrize("decoy", DECOYS)
def test_new_directions_of_the_outputs_are_flagged_every_one_and_nothing_else_is(decoy: str) -> None:
    change, flagged = DECOYS[decoy]
    start = starts("power", 3, np.random.default_rng(0))
    assert [int(intruders(each, change(each))) for each in start] == [flagged] * 3


def test_directions_of_equal_strength_may_change_places() -> None:
    """The same sum of triples in another order is the same matrix but for rounding, which alone decides on its singular vectors."""
    generator = np.random.default_rng(0)
    left, right, values = random_basis(64, 64, generator), random_basis(64, 64, generator), np.maximum(np.arange(1, 65), 20) ** -0.5
    order = np.r_[generator.permutation(20), np.arange(20, 64)]
    start, exchanged = (left * values) @ right.T, (left[:, order] * values[order]) @ right[:, order].T
    vectors = [np.linalg.svd(matrix)[2][:10] for matrix in (start, exchanged)]
    assert np.abs(vectors[0] @ vectors[1].T).max(axis=1).min() < 0.9  # so that single vectors would differ
    np.testing.assert_allclose(overlaps(start, exchanged), 1)
