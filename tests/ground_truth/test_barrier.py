"""Barriers whose height is known: none above a convex loss, that of a double well, none between a solution and itself."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis.landscape import barrier


def well(params: Any, batch: Any) -> jax.Array:
    """Minima at -1 and 1 in the first weight, depths that differ by `batch`; the wall between them has height 1."""
    x, rest = params["w"][0], params["w"][1:]
    return (x**2 - 1) ** 2 + batch * x + jnp.sum(rest**2)


def at(x: float) -> dict[str, np.ndarray]:
    return {"w": np.float32([x, 0, 0])}


def test_the_wall_of_a_double_well_is_found_where_it_is() -> None:
    found = barrier(well, at(-1), at(1), np.float32(0))
    assert (found.height, found.at) == (pytest.approx(1, abs=1e-6), pytest.approx(0.5))
    np.testing.assert_allclose(found.losses, ((2 * found.xs - 1) ** 2 - 1) ** 2, atol=1e-6)


def test_ends_of_different_losses_are_joined_by_a_slope_and_not_by_their_mean() -> None:
    assert barrier(well, at(-1), at(1), np.float32(0.5)).height == pytest.approx(1, abs=1e-6)


def test_no_convex_loss_has_a_barrier() -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((20, 3)).astype(np.float32), rng.integers(0, 4, 20)

    def logistic(params: Any, batch: Any) -> jax.Array:
        logits = batch[0] @ params
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), batch[1][:, None], axis=1))

    heights = [barrier(logistic, *rng.standard_normal((2, 3, 4)).astype(np.float32), (x, labels)).height for _ in range(20)]
    assert max(heights) < 0


def test_there_is_none_between_a_solution_and_itself() -> None:
    solution = {"w": np.random.default_rng(1).standard_normal(5).astype(np.float32)}
    found = barrier(well, solution, solution, np.float32(0.3))
    assert found.height == pytest.approx(0, abs=1e-6)
    assert np.ptp(found.losses) == 0


def test_a_line_that_leaves_the_numbers_has_no_known_barrier() -> None:
    found = barrier(lambda w, batch: jnp.sqrt(jnp.abs(w) - batch), np.float32(-1), np.float32(1), np.float32(0.5))
    assert np.isnan([found.height, found.at]).all()
    assert np.isnan(found.losses).sum() == 5


def test_the_ends_of_a_line_are_the_solutions_to_the_last_digit() -> None:
    found = barrier(lambda w, batch: w + batch, np.float32(1e8), np.float32(1), np.float32(0))  # where 1e8 + (1 - 1e8) is 0
    assert (found.losses[0], found.losses[-1]) == (1e8, 1)
