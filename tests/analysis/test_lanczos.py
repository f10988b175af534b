"""Tridiagonal matrices of known ones: invariant spaces end where they do, ghosts are cut, and what is not finite is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis.lanczos import Tridiagonal, nodes_and_weights, ritz, tridiagonal, truncated
from research.analysis.products import hessian
from research.errors import UsageError


def low_rank(params, batch):
    return 0.5 * jnp.sum(jnp.matmul(batch, params, precision="highest") ** 2)


def diagonal(params, batch):
    return 0.5 * jnp.vdot(params, batch * params)


def lanczos(loss, batch, steps, whole=True, key=0):
    run = jax.jit(lambda x, batch, key: tridiagonal(hessian(loss), x, batch, key, steps, whole))
    return jax.device_get(run(jnp.ones(batch.shape[-1]), batch, jax.random.key(key)))


@pytest.mark.parametrize("rank", [1, 3])
def test_an_invariant_space_ends_the_matrix_and_nothing_of_the_noise_behind_it_is_read(rank):
    rows = np.random.default_rng(0).standard_normal((rank, 100_000)).astype(np.float32)
    raw = lanczos(low_rank, rows, rank + 8)
    found = truncated(raw)
    exact = np.linalg.eigvalsh(rows.astype(np.float64) @ rows.T)[::-1]
    assert rank < found.diagonal.size <= rank + 2 and found.beside[-1] == 0
    np.testing.assert_allclose(ritz(found).values[:rank], exact, rtol=1e-5)
    assert (np.abs(ritz(found).values[rank:]) < 1e-5 * exact[0]).all()


def test_each_distinct_eigenvalue_comes_once():
    values = np.repeat([5.0, 3.0, 1.0], [3, 4, 13]).astype(np.float32)
    found = ritz(truncated(lanczos(diagonal, values, 12)))
    np.testing.assert_allclose(found.values, [5, 3, 1], rtol=1e-5)


def test_a_matrix_of_zeros_has_the_eigenvalue_zero():
    found = ritz(truncated(lanczos(diagonal, np.zeros(6, np.float32), 6)))
    np.testing.assert_array_equal(found.values, [0.0])


def test_without_making_vectors_orthogonal_again_the_ends_are_right_and_copies_count_once():
    values = np.concatenate([[-30.0, 50.0, 100.0], np.random.default_rng(0).uniform(0, 1, 197)]).astype(np.float32)
    raw = lanczos(diagonal, values, 60, whole=False)
    assert raw.vectors is None
    found = truncated(raw)
    assert np.isclose(ritz(found).values, 100, rtol=1e-4).sum() > 1  # ghosts
    np.testing.assert_allclose(ritz(found, alike=1e-4).values[:2], [100, 50], rtol=1e-5)
    np.testing.assert_allclose(ritz(found, "smallest", 1e-4).values[0], -30, rtol=1e-5)
    np.testing.assert_allclose(ritz(found, "magnitude", 1e-4).values[:3], [100, 50, -30], rtol=1e-5)
    with_vectors = truncated(lanczos(diagonal, values, 10))
    np.testing.assert_allclose(found.diagonal[:4], with_vectors.diagonal[:4], rtol=1e-4)


def test_residuals_bound_the_error_of_values_and_are_those_of_the_vectors():
    values = np.linspace(0, 10, 100).astype(np.float32)
    found = truncated(lanczos(diagonal, values, 15))
    pairs = ritz(found)
    errors = np.abs(pairs.values[:, None] - values[None]).min(1)
    assert (errors <= pairs.residuals + 1e-5).all() and pairs.residuals.max() > 0.1
    vectors = pairs.coordinates.T @ found.vectors
    left = np.linalg.norm(vectors * values[None] - pairs.values[:, None] * vectors, axis=1)
    np.testing.assert_allclose(left, pairs.residuals, atol=1e-4)


def test_nodes_and_weights_integrate_polynomials_exactly():
    found = truncated(Tridiagonal(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.25, 0.1])))
    nodes, weights = nodes_and_weights(found)
    matrix = np.diag(found.diagonal) + np.diag(found.beside[:-1], 1) + np.diag(found.beside[:-1], -1)
    for power in range(6):
        assert weights @ nodes**power == pytest.approx(np.linalg.matrix_power(matrix, power)[0, 0])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_products_that_are_not_finite_are_named(bad, whole):
    values = np.linspace(1, 2, 10).astype(np.float32)
    values[3] = bad
    with pytest.raises(UsageError, match="not finite"):
        truncated(lanczos(diagonal, values, 5, whole))
