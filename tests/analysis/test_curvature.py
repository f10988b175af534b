"""Eigenvalues, trace and density of known matrices: 1/2 x'Ax, whose Hessian is A."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis.curvature import quadratic_forms, spectral_density, top_eigenvalues, trace
from research.analysis.products import hessian

SPECTRA = {
    "gap": np.concatenate([[100.0, 40.0], np.linspace(0.1, 1, 38)]),
    "cluster": np.concatenate([[10.0, 10.0 * (1 - 1e-3), 9.0], np.linspace(0, 1, 37)]),
    "negative": np.concatenate([[5.0, 2.0], np.linspace(-1, 1, 37), [-8.0]]),
}


def matrix(values, seed=0):
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((values.size, values.size)))
    return (basis * values) @ basis.T


def quadratic(params, batch):
    x = jnp.concatenate([params["a"].ravel(), params["b"]])
    return 0.5 * jnp.vdot(x, jnp.matmul(batch, x, precision="highest"))


def start(count, key=0):
    x = jax.random.normal(jax.random.key(key), (count,))
    return {"a": x[:6].reshape(2, 3), "b": x[6:]}


@pytest.mark.parametrize("name", SPECTRA)
def test_top_eigenvalues_are_those_of_the_matrix(name):
    values = np.sort(SPECTRA[name])[::-1]
    found = top_eigenvalues(quadratic, start(values.size), jnp.asarray(matrix(values), jnp.float32), 3, key=jax.random.key(1))
    assert found.converged
    np.testing.assert_allclose(found.values, values[:3], rtol=1e-4)


def test_trace_and_density():
    values = SPECTRA["negative"]
    at = start(values.size), jnp.asarray(matrix(values), jnp.float32)
    found = trace(quadratic, *at, 40, key=jax.random.key(0))
    assert found.low < values.sum() < found.high and found.n == 40
    forms = jax.jit(lambda params, batch: quadratic_forms(hessian(quadratic), params, batch, jax.random.key(0), 40))(*at)
    assert found.value == pytest.approx(float(forms.mean()), rel=1e-5)
    density = spectral_density(quadratic, *at, 8, 12, key=jax.random.key(0))
    np.testing.assert_allclose(density.weights.sum(1), 1, rtol=1e-9)
    share = density.negative_share()
    assert share.low < (values < 0).mean() < share.high
