"""What is said of a trajectory, against its closed form: noise of a known covariance, and quadratics that diverge just above the limit."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis import trajectories
from research.errors import UsageError


def test_distance_length_and_cosine_of_a_path_with_a_right_angle() -> None:
    path = [{"a": jnp.array([0.0, 0.0]), "b": jnp.float32(1)}, {"a": jnp.array([3.0, 0.0]), "b": jnp.float32(1)}]
    path.append({"a": jnp.array([3.0, 0.0]), "b": jnp.float32(5)})
    steps = [jax.tree.map(jnp.subtract, after, before) for before, after in itertools.pairwise(path)]
    norms = [trajectories.distance(after, before) for before, after in itertools.pairwise(path)]
    far = trajectories.distance(path[2], path[0])
    assert (norms, float(far)) == ([3, 4], 5)
    assert trajectories.path_ratio(jnp.stack(norms), far) == pytest.approx(7 / 5)
    np.testing.assert_allclose(trajectories.path_ratio(np.ones((2, 4)), np.array([4, 2])), [1, 2])
    assert trajectories.cosine(*steps) == 0
    assert trajectories.cosine(steps[0], jax.tree.map(lambda leaf: -2 * leaf, steps[0])) == pytest.approx(-1)
    assert np.isnan(jax.jit(trajectories.cosine)(steps[0], jax.tree.map(jnp.zeros_like, steps[0])))
    assert np.isinf(trajectories.path_ratio(np.ones(2), 0.0))
    assert np.isnan(trajectories.path_ratio(np.zeros(2), 0.0))


def test_short_types_are_measured_in_float32() -> None:
    start = {"w": jnp.full(1000, 0.1, jnp.bfloat16)}
    far = trajectories.distance(jax.tree.map(lambda leaf: leaf + 1, start), start)
    assert far == pytest.approx(np.sqrt(1000) * (1.1015625 - 0.10009765625), rel=1e-5)


def test_the_noise_scale_of_known_gradients_is_estimated_without_bias() -> None:
    rng, deviations, mean = np.random.default_rng(0), np.array([1.0, 2.0, 4.0]), np.array([0.3, 0.0, 0.4])
    noise, signal, repeats, sizes = 21.0, 0.25, 20000, (4, 64)

    def squares(size: int) -> np.ndarray:
        return np.square(mean + rng.standard_normal((repeats, 3)) * deviations / np.sqrt(size)).sum(axis=1)

    small, large = squares(sizes[0]), squares(sizes[1])
    found = trajectories.noise_scale(small, large, sizes)
    assert found.noise == pytest.approx(noise, rel=0.03)
    assert found.signal == pytest.approx(signal, rel=0.05)
    assert found.scale == pytest.approx(noise / signal, rel=0.06)
    singles = [trajectories.noise_scale(small[i : i + 1], large[i : i + 1], sizes) for i in range(2000)]
    for part, truth in (("noise", noise), ("signal", signal)):  # single estimates scatter, and their mean does not
        values = np.array([getattr(single, part) for single in singles])
        assert values.mean() == pytest.approx(truth, abs=4 * values.std(ddof=1) / np.sqrt(values.size))
    assert any(np.isnan(single.scale) for single in singles)


def test_a_noise_scale_without_two_sizes_is_refused() -> None:
    for small, large, sizes in (([1.0], [1.0], (8, 8)), ([1.0], [1.0], (8, 4)), ([], [1.0], (1, 2)), ([1.0], [1.0], (0, 2))):
        with pytest.raises(UsageError, match="batches of two sizes"):
            trajectories.noise_scale(small, large, sizes)


def largest(curvature: np.ndarray, rate: float, b1: float, preconditioner: np.ndarray | None = None) -> float:
    """The largest weight after 2000 steps on w' curvature w / 2, with a preconditioner that is held still."""
    weights, moment = np.ones(len(curvature)), np.zeros(len(curvature))
    scale = np.ones(len(curvature)) if preconditioner is None else preconditioner
    for _ in range(2000):
        moment = b1 * moment + (1 - b1) * curvature @ weights
        weights = weights - rate * moment / scale
    return float(np.abs(weights).max())


CURVATURE = (lambda root: root @ root.T)(np.random.default_rng(1).standard_normal((4, 4)))


@pytest.mark.parametrize(("factor", "diverges"), [(0.98, False), (1.02, True)])
def test_gradient_descent_diverges_just_above_its_limit(factor: float, diverges: bool) -> None:
    rate = 0.3
    limit = trajectories.stability_limit(rate, "gd")
    curvature = CURVATURE * factor * limit / np.linalg.eigvalsh(CURVATURE)[-1]
    assert (largest(curvature, rate, 0.0) > 1e6) == diverges


def as_matrix(product: Any, size: int) -> np.ndarray:
    columns = [product({"w": jnp.zeros(size)}, None, {"w": column})["w"] for column in jnp.eye(size)]
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


@pytest.mark.parametrize(("factor", "diverges"), [(0.98, False), (1.02, True)])
@pytest.mark.parametrize("b1", [0.9, 0.5])
def test_descent_with_the_preconditioner_of_adam_diverges_just_above_its_limit(b1: float, factor: float, diverges: bool) -> None:
    rate, b2, count, eps = 0.1, 0.99, 7, 1e-3
    nu = np.array([1e-4, 1.0, 0.3, 2.0])
    scale = np.sqrt(nu / (1 - b2**count)) + eps

    def product(params: Any, batch: Any, vector: Any) -> Any:
        return {"w": jnp.asarray(CURVATURE, jnp.float32) @ vector["w"]}

    matrix = as_matrix(trajectories.preconditioned(product, {"w": np.float32(nu)}, count, b2, eps), 4)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5 * np.abs(matrix).max())
    sharpness = np.linalg.eigvalsh(matrix)[-1]
    assert sharpness == pytest.approx(np.linalg.eigvals(CURVATURE / scale[:, None]).real.max(), rel=1e-5)
    curvature = CURVATURE * factor * trajectories.stability_limit(rate, "adam", b1) / sharpness
    assert (largest(curvature, rate, b1, scale) > 1e6) == diverges


def test_the_first_steps_of_adam_are_seen_longer_where_b1_is_given() -> None:
    def product(params: Any, batch: Any, vector: Any) -> Any:
        return vector

    plain, corrected = (trajectories.preconditioned(product, {"w": jnp.ones(2)}, 1, 0.0, 0.0, b1=b1) for b1 in (0.0, 0.9))
    np.testing.assert_allclose(as_matrix(plain, 2), np.eye(2), rtol=1e-6)
    np.testing.assert_allclose(as_matrix(corrected, 2), 10 * np.eye(2), rtol=1e-5)


def test_the_known_limits_and_no_other_optimizer() -> None:
    assert trajectories.stability_limit(1e-3, "adam") == pytest.approx(38e3)
    assert trajectories.stability_limit(0.5, "gd") == 4
    with pytest.raises(UsageError, match="'lion'"):
        trajectories.stability_limit(1e-3, "lion")
