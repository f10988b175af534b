"""Overlaps of subspaces: known angles, and the null of random ones."""

import numpy as np
import pytest

from research.analysis.subspaces import leading, overlap, permuted_overlap, random_basis, random_overlap


def basis(n: int, k: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, k)))[0]


def test_a_subspace_overlaps_itself_whatever_its_basis_and_its_complement_not_at_all() -> None:
    whole = basis(9, 9, 0)
    turned = whole[:, :3] @ basis(3, 3, 1)
    assert overlap(whole[:, :3], turned) == pytest.approx(1.0)
    assert overlap(whole[:, :3], whole[:, :5]) == pytest.approx(1.0)
    assert overlap(whole[:, :3], whole[:, 3:]) == pytest.approx(0.0, abs=1e-12)


def test_a_known_angle() -> None:
    angle = 0.3
    tilted = np.array([[np.cos(angle)], [np.sin(angle)]])
    assert overlap(np.eye(2)[:, :1], tilted) == pytest.approx(np.cos(angle) ** 2)


@pytest.mark.parametrize(("i", "j"), [(1, 1), (2, 5), (6, 3)])
def test_random_subspaces_overlap_by_the_larger_over_n(i: int, j: int) -> None:
    drawn = [overlap(basis(20, i, seed), basis(20, j, 1000 + seed)) for seed in range(300)]
    assert np.mean(drawn) == pytest.approx(random_overlap(20, i, j), abs=4 * np.std(drawn) / np.sqrt(300))
    assert random_overlap(20, i, j) > 0.04


def test_leading_subspaces_of_a_product_are_those_of_its_factors() -> None:
    left, right = basis(8, 2, 0), basis(6, 2, 1)
    found = leading(left @ np.diag([3.0, 1.0]) @ right.T, 2)
    assert overlap(found[0], left) == pytest.approx(1.0) and overlap(found[1], right) == pytest.approx(1.0)


def test_a_basis_that_is_not_orthonormal_is_refused() -> None:
    with pytest.raises(ValueError, match="orthonormal"):
        overlap(2 * np.eye(3), np.eye(3))


def test_permuted_coordinates_overlap_by_what_the_columns_means_and_spreads_give() -> None:
    """E (u . P v)^2 = (sum u)^2 (sum v)^2 / n^2 + |u - mean u|^2 |v - mean v|^2 / (n - 1) of a random permutation P, for every two columns.

    The first column of one basis, and of both, has one sign: its permutations agree far more often than random directions do.
    """
    n, generator = 20, np.random.default_rng(0)
    signed, level = basis(n, 3, 0), np.linalg.qr(np.c_[1 + 0.3 * generator.standard_normal(n), generator.standard_normal((n, 1))])[0]
    for first, second in ((signed, basis(n, 2, 1)), (level, basis(n, 2, 1)), (level, np.roll(level, 3, axis=0))):
        sums = np.outer(first.sum(axis=0) ** 2, second.sum(axis=0) ** 2) / n**2
        spreads = np.outer(n * first.var(axis=0), n * second.var(axis=0)) / (n - 1)
        drawn = permuted_overlap(first, second, 2000, 0)
        expected = (sums + spreads).sum() / min(first.shape[1], second.shape[1])
        assert abs(drawn.mean() - expected) < 4 * drawn.std() / np.sqrt(drawn.size) < 0.2 * expected
    assert expected > 3 * random_overlap(n, 2, 2)
    assert drawn.shape == (2000,)


def test_a_shared_subspace_stands_out_of_its_permutations_and_an_unrelated_one_does_not() -> None:
    first, other = basis(40, 4, 0), basis(40, 4, 1)
    turned = first @ basis(4, 4, 2)
    assert permuted_overlap(first, turned, 200, 0).max() < 0.5 < overlap(first, turned)
    assert 0.01 < np.mean(permuted_overlap(first, other, 200, 0) > overlap(first, other)) < 0.99
    np.testing.assert_array_equal(permuted_overlap(first, other, 5, 3), permuted_overlap(first, other, 5, 3))
    assert not np.array_equal(permuted_overlap(first, other, 5, 3), permuted_overlap(first, other, 5, 4))


def test_a_random_basis_is_orthonormal_and_prefers_no_sign() -> None:
    """QR alone leaves the first entry of the first column with one sign."""
    drawn = np.stack([random_basis(3, 2, np.random.default_rng(seed)) for seed in range(500)])
    np.testing.assert_allclose(drawn.mT @ drawn, np.broadcast_to(np.eye(2), (500, 2, 2)), atol=1e-12)
    assert np.abs(drawn.mean(axis=0)).max() < 4 * np.sqrt(1 / 3 / 500)
