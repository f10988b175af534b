"""What is spread over devices is what each point gives alone, whatever their number."""

import jax
import numpy as np
import pytest

from research.training.spread import spread


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("at_once", [1, 2])
def test_every_point_gives_what_it_gives_alone(count: int, at_once: int) -> None:
    points = {"x": np.arange(count * 3, dtype=np.float32).reshape(count, 3)}
    shared = np.float32([1, -2, 0.5])
    traced = []

    def function(point: dict[str, jax.Array], weights: jax.Array) -> jax.Array:
        traced.append(None)
        return (point["x"] * weights).sum()

    call = spread(function, at_once=at_once)
    np.testing.assert_allclose(call(points, shared), points["x"] @ shared, rtol=1e-6)
    first = len(traced)
    call(points, 2 * shared)
    assert len(traced) == first  # another call of these shapes compiles nothing
