"""How often products are spent, what is compiled once, what densities add up to, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis import curvature
from research.analysis.curvature import Search, hutchinson, spectral_density, top_eigenvalues, trace
from research.analysis.intervals import t_interval
from research.analysis.products import hessian, quadratic_forms
from research.errors import UsageError

KEY = jax.random.key(0)
X = np.ones(200, np.float32)
CALLS = []


def quadratic(params, batch):
    CALLS.append(1)
    return 0.5 * jnp.vdot(params, batch * params)


def test_more_products_are_spent_until_the_residual_is_small_and_no_more():
    easy = np.concatenate([[100.0], np.linspace(0, 1, 199)]).astype(np.float32)
    hard = np.linspace(0, 1, 200).astype(np.float32)
    found = top_eigenvalues(quadratic, X, easy, key=KEY)
    assert (found.products, found.converged) == (20, True) and found.values == pytest.approx([100])
    found = top_eigenvalues(quadratic, X, hard, key=KEY, search=Search(first=10))
    assert found.converged and found.products in (10 + 20 + 40, 10 + 20 + 40 + 80) and found.values == pytest.approx([1], rel=1e-4)
    found = top_eigenvalues(quadratic, X, hard, key=KEY, search=Search(first=10, most=10))
    assert (found.products, found.converged) == (10, False)
    assert abs(found.values[0] - 1) <= found.residuals[0]


def test_a_second_call_compiles_nothing_and_says_the_same():
    batch = np.linspace(0, 3, 200).astype(np.float32)

    def readings(batch):
        yield top_eigenvalues(quadratic, X, batch, key=KEY, search=Search(first=10, most=10)).values
        yield trace(quadratic, X, batch, 3, key=KEY).value
        yield spectral_density(quadratic, X, batch, 3, 5, key=KEY).nodes

    first, traced = list(readings(batch)), len(CALLS)
    for a, b in zip(first, readings(batch), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(first, readings(2 * batch), strict=True):
        np.testing.assert_allclose(2 * np.asarray(a), b, rtol=1e-4, atol=1e-5)
    assert len(CALLS) == traced


def test_a_trace_is_the_mean_of_the_traced_quadratic_forms():
    batch = np.random.default_rng(0).standard_normal((30, 30)).astype(np.float32)

    def full(params, batch):
        return 0.5 * jnp.vdot(params, batch @ params)

    forms = np.asarray(jax.jit(lambda params, batch: quadratic_forms(hessian(full), params, batch, KEY, 5))(X[:30], batch))
    found, exact = trace(full, X[:30], batch, 5, key=KEY), t_interval(np.asarray(forms, np.float64))
    assert (found.value, found.low, found.high) == pytest.approx((exact.value, exact.low, exact.high), rel=1e-5)
    assert found.n == 5 and found.error == pytest.approx(forms.std(ddof=1) / np.sqrt(5), rel=1e-4)


def test_a_density_integrates_to_one_and_knows_its_share_below_zero():
    values = np.concatenate([np.full(50, -2.0), np.linspace(1, 3, 150)]).astype(np.float32)
    found = spectral_density(quadratic, X, values, 6, 12, key=KEY)
    grid = np.linspace(-4, 5, 2001)
    mean, low, high = found.on(grid, 0.1)
    assert np.trapezoid(mean, grid) == pytest.approx(1, abs=1e-4) and (low <= mean).all() and (mean <= high).all()
    assert grid[mean.argmax()] == pytest.approx(-2, abs=0.01)
    share = found.negative_share()
    assert share.low < 0.25 < share.high and share.n == 6
    assert found.moment(0).value == pytest.approx(1) and found.size == 200


def test_probes_that_end_early_are_filled_up():
    values = np.repeat([1.0, 4.0], 100).astype(np.float32)
    found = spectral_density(quadratic, X, values, 2, 9, key=KEY)
    assert found.nodes.shape[1] < 9 and (found.weights[:, 2:] < 1e-6).all()
    np.testing.assert_allclose(found.nodes[:, :2], [[1, 4]] * 2, rtol=1e-5)


def test_an_eigenvalue_of_every_parameter_comes_once():
    found = top_eigenvalues(quadratic, X, np.full(200, 7.0, np.float32), 3, key=KEY)
    assert found.values == pytest.approx([7]) and found.converged


def test_above_the_limit_nothing_is_made_orthogonal_again_and_the_ends_are_right(monkeypatch):
    monkeypatch.setattr(curvature, "WHOLE", 199)
    values = np.concatenate([[100.0, 50.0], np.linspace(0, 1, 198)]).astype(np.float32)
    found = top_eigenvalues(quadratic, X, values, 3, key=KEY, search=Search(first=30))
    assert found.values == pytest.approx([100, 50, 1], rel=1e-4) and found.converged
    with pytest.raises(UsageError, match="eigenvectors are kept up to 199 parameters, and these are 200"):
        top_eigenvalues(quadratic, X, values, key=KEY, search=Search(vectors=True))
    density = spectral_density(quadratic, X, values, 2, 20, key=KEY)
    assert density.nodes.max() == pytest.approx(100, rel=1e-4)


@pytest.mark.parametrize("k", [0, 201])
def test_more_eigenvalues_than_parameters_are_refused(k):
    with pytest.raises(UsageError, match=f"{k} eigenvalues of a matrix of 200 parameters: ask for 1 to 200"):
        top_eigenvalues(quadratic, X, X, k, key=KEY)


def test_too_few_probes_for_an_interval_are_refused():
    for call in (lambda: trace(quadratic, X, X, 1, key=KEY), lambda: spectral_density(quadratic, X, X, 1, key=KEY)):
        with pytest.raises(UsageError, match="1 probes give no interval: at least 2"):
            call()
    with pytest.raises(UsageError, match="0 probes"):
        hutchinson(np.zeros(0))
    with pytest.raises(UsageError, match="0 steps"):
        spectral_density(quadratic, X, X, 2, 0, key=KEY)
    with pytest.raises(UsageError, match="201 directions of 200"):
        trace(quadratic, X, X, 2, key=KEY, deflated=201)
    with pytest.raises(UsageError, match="choose one of largest, smallest, magnitude"):
        top_eigenvalues(quadratic, X, X, key=KEY, search=Search(end="top"))


def test_products_that_are_not_finite_are_counted_or_named():
    batch = np.full(200, np.nan, np.float32)
    with pytest.raises(UsageError, match="3 of 3 products of the curvature are not finite"):
        trace(quadratic, X, batch, 3, key=KEY)
    for call in (lambda: top_eigenvalues(quadratic, X, batch, key=KEY), lambda: spectral_density(quadratic, X, batch, key=KEY)):
        with pytest.raises(UsageError, match="not finite"):
            call()
