"""Li's toy problem: 1,000 parameters, ten constraints on the sums of ten blocks. Its intrinsic dimension is exactly 10."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.adapters.projections import KINDS
from research.adapters.subspace import Subspace, displaced, initialize

SIZE, CONSTRAINTS, ENOUGH = 1000, 10, 0.9
PARAMS = {"toy": {"theta": jnp.asarray(np.random.default_rng(0).standard_normal(SIZE), jnp.float32)}}


def performance(kind: str, dimension: int, seed: int) -> float:
    """Returns exp(-loss) at the best point of a random subspace, where loss is the sum of squares of what the constraints miss."""
    spec = Subspace(dimension, kind)
    start = initialize(jax.random.key(seed), PARAMS, spec)

    def missed(v: jax.Array) -> jax.Array:
        theta = displaced({"params": PARAMS, "adapter": {"subspace": {"v": v}}, "constants": start["constants"]}, spec)["params"]
        return theta["toy"]["theta"].reshape(CONSTRAINTS, -1).sum(1) - jnp.arange(1.0, CONSTRAINTS + 1)

    at_start, slope = (np.asarray(jax.jit(f)(jnp.zeros(dimension)), np.float64) for f in (missed, jax.jacfwd(missed)))
    best = np.linalg.lstsq(slope, -at_start, rcond=None)[0]
    return float(np.exp(-((at_start + slope @ best) ** 2).sum()))


@pytest.mark.parametrize("kind", KINDS)
def test_ten_dimensions_are_needed_and_enough(kind: str) -> None:
    dimensions = (1, 4, 8, 9, 10, 11, 13)
    assert [performance(kind, dimension, seed=dimension) >= ENOUGH for dimension in dimensions] == [d >= CONSTRAINTS for d in dimensions]
