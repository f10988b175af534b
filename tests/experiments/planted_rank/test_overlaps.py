"""Learned updates that are the planted ones, up to a change of basis of A and B, and some that are not."""

import numpy as np
import pytest

from experiments.planted_rank.overlaps import subspace_records
from experiments.planted_rank.updates import Planted

PATH, RANK = "params/mlp/up/kernel", 2


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


PLANTED = {PATH: Planted(normal(0, 10, RANK), np.array([2.0, 1.0]), normal(1, 8, RANK))}


def overlaps(a: np.ndarray, b: np.ndarray) -> dict[tuple[str, str], float]:
    cells = [({"phase": "result", "seed": 0}, {"adapter/mlp/up/A": a, "adapter/mlp/up/B": b}, PLANTED)]
    return {(row["side"], row["null"]): row["value"] for row in subspace_records("planted_rank", cells)}


def test_the_planted_update_in_any_basis_overlaps_fully_and_its_null_is_not_zero() -> None:
    basis = normal(2, RANK, RANK)
    update = PLANTED[PATH]
    found = overlaps(update.left @ basis, np.linalg.inv(basis) @ np.diag(update.values) @ update.right.T)
    assert found["inputs", "none"] == pytest.approx(1.0, abs=1e-6) and found["outputs", "none"] == pytest.approx(1.0, abs=1e-6)
    assert found["inputs", "random"] == pytest.approx(0.2) and found["outputs", "random"] == pytest.approx(0.25)


def test_another_update_overlaps_less_and_a_diverged_one_has_no_record() -> None:
    assert overlaps(normal(3, 10, RANK), normal(4, RANK, 8))["inputs", "none"] < 0.8
    assert overlaps(np.full((10, RANK), np.nan), normal(4, RANK, 8)) == {}
