"""Intruder dimensions of matrices whose singular vectors are known."""

import numpy as np
import pytest

from research.analysis.intruders import Trial, detection, intruders, overlaps, rotated, scaled, strength
from research.analysis.subspaces import random_basis

GENERATOR = np.random.default_rng(0)
SHAPES = [(24, 16), (16, 24), (20, 20)]


def triples(shape: tuple[int, int], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return random_basis(shape[0], values.size, GENERATOR), random_basis(shape[1], values.size, GENERATOR)


def halving(shape: tuple[int, int]) -> np.ndarray:
    """A start of singular values 10, 7, 4.9, ...: none close to another."""
    values = 10 * 0.7 ** np.arange(min(shape))
    left, right = triples(shape, values)
    return (left * values) @ right.T


@pytest.mark.parametrize("shape", SHAPES)
def test_only_the_output_side_decides(shape: tuple[int, int]) -> None:
    """Turned inputs keep the output side and are no intruders; turned outputs are; of (outputs, inputs) it is the other way around."""
    start = halving(shape)
    inputs, outputs = random_basis(shape[0], shape[0], GENERATOR), random_basis(shape[1], shape[1], GENERATOR)
    np.testing.assert_allclose(overlaps(start, inputs @ start, 10), 1)
    assert intruders(start, inputs @ start) == 0 and intruders(start, start @ outputs, 5, 0.8) == 5
    assert intruders(start.T, (inputs @ start).T, 5, 0.8) == 5 and intruders(start.T, (start @ outputs).T) == 0


def test_overlaps_are_the_cosines_with_the_nearest_of_the_starts_vectors() -> None:
    """The start's right vectors are axes, so that a tuned matrix's right vector is read off as it stands."""
    values = np.array([5.0, 4, 3, 2])
    left = random_basis(9, 4, GENERATOR)
    start = np.hstack([left * values, np.zeros((9, 2))])  # outputs 4 and 5 are never written
    vector = np.array([[0.6, -0.8, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0.5, 0, np.sqrt(0.75), 0]])
    tuned = (random_basis(9, 3, GENERATOR) * [3, 2, 1]) @ vector
    np.testing.assert_allclose(overlaps(start, tuned, 3), [0.8, 0, 0.5], atol=1e-12)
    assert [int(intruders(start, tuned, top, eps)) for top, eps in ((1, 0.5), (2, 0.5), (3, 0.51), (3, 0.81))] == [0, 1, 2, 3]


def test_beyond_the_rank_there_is_nothing_to_overlap() -> None:
    """An arbitrary vector of the null space is neither an intruder nor something to compare with, in float32 too."""
    start = halving((24, 16))
    one = np.outer(np.ones(24), start[0]).astype(np.float32)
    found = overlaps(start, one, 10)
    assert np.isfinite(found[0]) and np.isnan(found[1:]).all() and found.shape == (10,)
    assert overlaps(start, start, 99).shape == (16,)
    direction = start[0] / np.linalg.norm(start[0])
    leading = np.linalg.svd(start)[2][:10]
    np.testing.assert_allclose(overlaps(one, start), np.abs(leading @ direction), atol=1e-6)
    assert intruders(np.zeros((24, 16)), start) == 10 and intruders(start, np.zeros((24, 16))) == 0


def test_equal_singular_values_share_a_space_of_which_every_basis_is_as_good() -> None:
    start = random_basis(20, 20, GENERATOR)  # as an orthogonal initialization has it
    assert overlaps(start, start.astype(np.float32)) == pytest.approx(1)
    assert overlaps(start, halving((20, 20))) == pytest.approx(1)
    nearly = start * np.where(np.arange(20) < 10, 1, 1 + 1e-5)  # the last ten axes lead: another space
    assert overlaps(nearly, start @ np.diag(np.arange(20.0, 0, -1)), 20) == pytest.approx(1)
    assert intruders(nearly, np.ones((1, 20)), 1, 0.8) == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stack_is_its_matrices(shape: tuple[int, int]) -> None:
    start = np.stack([halving(shape), halving(shape)])
    delta = GENERATOR.standard_normal(start.shape) / 2
    tuned = start + delta
    for found, single in (
        (overlaps(start, tuned), overlaps(start[1], tuned[1])),
        (scaled(start, tuned, 0.5, eps=0.9), scaled(start[1], tuned[1], 0.5, eps=0.9)),
        (strength(start, delta), strength(start[1], delta[1])),
    ):
        np.testing.assert_allclose(found[1], single)


def test_scaling_acts_on_intruders_and_on_nothing_else() -> None:
    values = 10 * 0.7 ** np.arange(15)
    left, right = random_basis(24, 16, GENERATOR), random_basis(18, 18, GENERATOR)
    start = (left[:, :15] * values) @ right[:, :15].T
    intruder = 6 * np.outer(left[:, 15], right[:, 16])  # third of the tuned matrix, between 7 and 4.9
    tuned = start + intruder
    assert intruders(start, tuned) == 1
    for factor in (0.0, 0.7, 1.0, 2.0):
        np.testing.assert_allclose(scaled(start, tuned, factor), start + factor * intruder, atol=1e-12)
    np.testing.assert_array_equal(scaled(start, tuned, 0.0, top=2), tuned)
    np.testing.assert_array_equal(scaled(start, 1.5 * start, 0.0), 1.5 * start)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_rotated_update_keeps_its_spectrum_and_nothing_else(shape: tuple[int, int]) -> None:
    left, right = triples(shape, np.arange(3.0))
    delta = (left * [3, 2, 1]) @ right.T
    null = rotated(delta, 0, "a")
    np.testing.assert_allclose(np.linalg.svd(null, compute_uv=False), np.linalg.svd(delta, compute_uv=False), atol=1e-12)
    assert not np.allclose(null, rotated(delta, 1, "a")) and not np.allclose(null, rotated(delta, 0, "b"))
    np.testing.assert_allclose(null, rotated(delta @ random_basis(shape[1], shape[1], GENERATOR), 0, "a"), atol=1e-12)


def test_a_rotated_update_points_nowhere_on_the_average() -> None:
    """Every entry has mean 0 and the variance ||dW||_F^2 / (inputs * outputs), first column and row too."""
    delta = np.outer(np.eye(4)[0], 3 * np.eye(3)[0])
    drawn = np.stack([rotated(delta, seed, "a") for seed in range(200)])
    assert np.abs(drawn.mean(axis=0)).max() < 4 * np.sqrt(9 / 12 / 200)
    np.testing.assert_allclose(drawn.var(axis=0), 9 / 12, rtol=0.4)


def test_strength_is_the_updates_norm_over_the_last_of_the_starts_top_values() -> None:
    start = halving((24, 16))
    delta = rotated(np.eye(24, 16), 0, "a") * 3
    assert strength(start, delta, 10) == pytest.approx(3 / (10 * 0.7**9))
    assert strength(start, delta, 99) == pytest.approx(3 / (10 * 0.7**15))
    assert strength(np.outer(np.ones(24), np.ones(16)), delta, 10) == pytest.approx(3 / np.sqrt(24 * 16))
    assert strength(np.zeros((24, 16)), delta) == np.inf


def test_a_trial_is_of_the_norm_and_rank_that_it_says_and_of_its_seed_alone() -> None:
    trial = Trial("power", (128, 96), 2, draws=4)
    rates = detection(trial, [0.0, 0.4, 1.0])
    assert rates.shape == (4, 3)
    assert not rates[:, 0].any()
    np.testing.assert_allclose(rates[:, 2], 0.2)  # both directions, of the ten that are looked at
    np.testing.assert_array_equal(rates, detection(trial, [0.0, 0.4, 1.0]))
    np.testing.assert_array_equal(rates[:2], detection(trial._replace(draws=2), [0.0, 0.4, 1.0]))
    np.testing.assert_array_equal(rates, detection(trial._replace(spectrum=np.arange(1, 97) ** -0.5), [0.0, 0.4, 1.0]))
    assert not np.array_equal(detection(Trial("flat", (32, 24)), [0.5]), detection(Trial("flat", (32, 24), seed=1), [0.5]))


def test_a_spectrum_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'steep'; there are flat and power"):
        detection(Trial("steep", (8, 8)), [0.1])
    with pytest.raises(ValueError, match=r"3 singular values for a matrix of shape \(8, 8\)"):
        detection(Trial([3.0, 2, 1], (8, 8)), [0.1])


def test_other_directions_and_the_updates_part_alone_are_scaled_beside_intruders() -> None:
    rng = np.random.default_rng(3)
    bases = [np.linalg.qr(rng.standard_normal((8, 8)))[0] for _ in range(2)]
    start = bases[0][:, :6] * np.array([8.0, 7, 6, 5, 4, 3]) @ bases[1][:, :6].T
    planted = 9.0 * np.outer(bases[0][:, 6], bases[1][:, 6])  # outside of what the start maps to
    assert intruders(start, start + planted, 3) == 1
    whole, others, update = (scaled(start, start + planted, 0.5, 3, part=part) for part in ("intruders", "others", "update"))
    np.testing.assert_allclose(whole, start + 0.5 * planted, atol=1e-12)
    np.testing.assert_allclose(update, whole, atol=1e-12)  # the start has nothing there
    np.testing.assert_allclose(others, start + planted - 4.0 * np.outer(bases[0][:, 0], bases[1][:, 0]), atol=1e-12)  # its first alone
    along = start + planted + 2.0 * np.outer(bases[0][:, 0], bases[1][:, 6])
    differs = scaled(along, along + 3 * planted, 0.5, 3, 0.999, part="update") - scaled(along, along + 3 * planted, 0.5, 3, 0.999)
    assert np.linalg.norm(differs) > 1  # where the start has something there, its own part stays
    np.testing.assert_array_equal(scaled(start, start, 0.5, 3, part="others"), start)
    with pytest.raises(ValueError, match="intruders, others, update"):
        scaled(start, start, 0.5, part="all")
