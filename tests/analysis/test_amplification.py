"""The amplification factor of updates along known directions, and of random ones."""

import numpy as np
import pytest

from research.analysis.amplification import amplification, random_amplification
from research.analysis.subspaces import random_basis

GENERATOR = np.random.default_rng(0)
LEFT, RIGHT = random_basis(24, 16, GENERATOR), random_basis(16, 16, GENERATOR)
VALUES = np.arange(16, 0, -1.0)
START = (LEFT * VALUES) @ RIGHT.T


def along(first: int, size: float, rank: int = 2) -> np.ndarray:
    """An update of singular values size, 0.9 size, ... along the start's own triples from `first` on."""
    kept = slice(first, first + rank)
    return (LEFT[:, kept] * (size * 0.9 ** np.arange(rank))) @ RIGHT[:, kept].T


def test_an_update_along_the_start_is_measured_against_the_start_there() -> None:
    for first in (0, 7):
        expected = np.hypot(3, 2.7) / np.hypot(*VALUES[first : first + 2])
        assert amplification(START, along(first, 3.0), 2) == pytest.approx(expected)


def test_the_update_is_cut_to_the_rank_and_never_filled_up_beyond_its_own() -> None:
    assert amplification(START, along(4, 3.0), 1) == pytest.approx(3 / VALUES[4])
    in_float32 = along(4, 3.0).astype(np.float32)
    assert amplification(START, in_float32, 9) == pytest.approx(amplification(START, along(4, 3.0), 2), rel=1e-5)
    assert random_amplification(START, in_float32, 9, 3, 0) == pytest.approx(random_amplification(START, along(4, 3.0), 2, 3, 0), rel=1e-5)


def test_inputs_and_outputs_are_not_exchanged() -> None:
    """Leading inputs led to the last outputs: the start does nothing there, though both belong to its own directions."""
    crossed = LEFT[:, :2] @ RIGHT[:, -2:].T
    assert amplification(START, crossed, 2) > 1e10
    assert amplification(np.zeros((24, 16)), crossed, 2) == np.inf


def test_random_directions_have_the_factor_that_the_start_s_norm_gives() -> None:
    """E ||U^T W V||_F^2 = rank^2 ||W||_F^2 / (inputs * outputs) of independent Haar U and V."""
    drawn = random_amplification(START, along(0, 3.0), 2, 4000, 0)
    squares = np.hypot(3, 2.7) ** 2 / drawn**2
    expected = 4 * np.sum(VALUES**2) / (24 * 16)
    assert abs(squares.mean() - expected) < 4 * squares.std() / np.sqrt(drawn.size) < 0.05 * expected


def test_the_null_tells_directions_from_size() -> None:
    """Ten times the update has ten times the factor, and the same place within its null."""
    for first, inside in ((0, False), (14, True)):
        small, large = along(first, 0.1), along(first, 1.0)
        assert amplification(START, large, 2) == pytest.approx(10 * amplification(START, small, 2))
        ranks = [np.mean(random_amplification(START, delta, 2, 200, 0) < amplification(START, delta, 2)) for delta in (small, large)]
        assert ranks[0] == ranks[1] and (ranks[0] > 0.01) == inside


def test_the_null_is_of_its_seed_alone_and_zero_has_no_directions() -> None:
    null = random_amplification(START, along(0, 1.0), 2, 5, 3)
    np.testing.assert_array_equal(null, random_amplification(START, along(0, 1.0), 2, 5, 3))
    assert not np.any(null == random_amplification(START, along(0, 1.0), 2, 5, 4))
    with pytest.raises(ValueError, match="zero"):
        amplification(START, np.zeros((24, 16)), 2)
