"""Overlaps of subspaces: known angles, and the null of random ones."""

import numpy as np
import pytest

from research.analysis.subspaces import leading, overlap, random_overlap


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
