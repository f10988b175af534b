"""Curvature in float32 against dense Hessians in float64: quadratics, regression, a network, a block of the decoder."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from research.analysis.curvature import Search, hutchinson, spectral_density, top_eigenvalues, trace
from research.analysis.products import draw, hessian, hvp, image, quadratic_form, quadratic_forms
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder

REPEATS, PROBES, STEPS = 400, 10, 6
SPECTRA = {
    "gap": np.concatenate([[100.0, 40.0], np.linspace(0.1, 1, 38)]),
    "cluster": np.concatenate([[10.0, 10.0 * (1 - 1e-3), 9.0], np.linspace(0, 1, 37)]),
    "negative": np.concatenate([[5.0, 2.0], np.linspace(-1, 1, 37), [-8.0]]),
}
CONFIG = DecoderConfig(vocab_size=7, d_model=6, n_layers=1, n_heads=1, n_kv_heads=1, d_mlp=8, max_length=6, positions="learned")
# One eigenvalue carries most of these matrices: v'Hv is skewed, and Student's interval covers too little until it is deflated.
OUTLIERS = "gap", "cluster"
NAMES = [*SPECTRA, "regression", "network", "decoder"]


class Problem(NamedTuple):
    """A loss of parameters and a batch, both in float32, and its Hessian in float64."""

    loss: Callable[[Any, Any], jax.Array]
    params: Any
    batch: Any
    dense: np.ndarray


def quadratic(params: Any, batch: Any) -> jax.Array:
    """Returns x'Ax / 2, whose Hessian is A."""
    x = ravel_pytree(params)[0]
    return 0.5 * jnp.vdot(x, batch @ x)


def regression(params: Any, batch: Any) -> jax.Array:
    """Returns half the mean square, whose Hessian is X'X / n."""
    return 0.5 * jnp.mean((batch["x"] @ params["weights"] - batch["y"]) ** 2)


def network(params: Any, batch: Any) -> jax.Array:
    """Returns the cross-entropy of a perceptron of one hidden layer."""
    logits = jnp.tanh(batch["x"] @ params["in"] + params["bias"][None, :]) @ params["out"]
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), batch["y"][:, None], 1))


def tokens(params: Any, batch: Any) -> jax.Array:
    """Returns the cross-entropy of the decoder, in the type of its parameters."""
    config = DecoderConfig(**CONFIG.__dict__)
    object.__setattr__(config, "dtype", str(jax.tree.leaves(params)[0].dtype))  # float64 is for nobody else
    logits = decoder(config).apply(params, batch).logits
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), batch["targets"][..., None], -1))


def symmetric(values: np.ndarray) -> np.ndarray:
    basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((values.size, values.size)))
    return (basis * values) @ basis.T


@functools.lru_cache
def problem(name: str) -> Problem:
    rng = np.random.default_rng(1)
    normal = lambda *shape: rng.standard_normal(shape)  # noqa: E731
    if name in SPECTRA:
        matrix = symmetric(SPECTRA[name])
        return Problem(quadratic, single({"a": normal(2, 3), "b": normal(34)}), single(matrix), matrix)
    if name == "regression":
        batch = {"x": normal(64, 20), "y": normal(64)}
        return Problem(regression, single({"weights": normal(20)}), single(batch), batch["x"].T @ batch["x"] / 64)
    if name == "network":
        params = {"in": normal(6, 8), "bias": normal(8), "out": normal(8, 3)}
        return dense(network, params, {"x": normal(40, 6), "y": rng.integers(0, 3, 40)})
    batch = {"inputs": rng.integers(0, 7, (8, 6)), "targets": rng.integers(0, 7, (8, 6))}
    shapes = jax.eval_shape(decoder(CONFIG).init, jax.random.key(0), batch)
    return dense(tokens, jax.tree.map(lambda leaf: 0.5 * normal(*leaf.shape), shapes), batch)


def dense(loss: Callable[[Any, Any], jax.Array], params: Any, batch: Any) -> Problem:
    """Returns the problem with the Hessian that float64 gives at the float32 parameters."""
    with jax.enable_x64(True):
        double = lambda tree: jax.tree.map(lambda x: x.astype(np.float64) if x.dtype == np.float32 else x, tree)  # noqa: E731
        flat, unravel = ravel_pytree(double(single(params)))
        assert flat.dtype == jnp.float64
        at = double(single(batch))
        found = np.asarray(jax.jit(jax.jacrev(jax.grad(lambda x: loss(unravel(x), at))))(flat))
    assert found.dtype == np.float64
    return Problem(loss, single(params), single(batch), found)


def single(tree: Any) -> Any:
    return jax.tree.map(lambda x: np.asarray(x, np.float32 if np.asarray(x).dtype.kind == "f" else np.int32), tree)


@pytest.mark.parametrize("name", NAMES)
def test_products_are_the_dense_ones_and_symmetric(name: str) -> None:
    loss, params, batch, matrix = problem(name)
    _, unravel = ravel_pytree(params)
    u, v = (jax.random.normal(jax.random.key(key), (len(matrix),)) for key in (0, 1))
    times = jax.jit(lambda params, batch, vector: hvp(loss, params, batch, vector))
    hu, hv = (np.asarray(ravel_pytree(times(params, batch, unravel(x)))[0], np.float64) for x in (u, v))
    np.testing.assert_allclose(hv, matrix @ np.asarray(v, np.float64), atol=2e-6 * np.linalg.norm(matrix @ v))
    assert abs(u @ hv - v @ hu) < 2e-6 * np.linalg.norm(u) * np.linalg.norm(hv)


@pytest.mark.parametrize("name", NAMES)
def test_the_top_eigenvalues_are_the_dense_ones(name: str) -> None:
    loss, params, batch, matrix = problem(name)
    values = np.linalg.eigvalsh(matrix)
    found = top_eigenvalues(loss, params, batch, 4, key=jax.random.key(3), search=Search(first=40, vectors=True))
    assert found.converged
    np.testing.assert_allclose(found.values, values[::-1][:4], rtol=1e-4)
    flat = np.stack([ravel_pytree(jax.tree.map(lambda leaf, i=i: leaf[i], found.vectors))[0] for i in range(4)])
    np.testing.assert_allclose(flat @ matrix @ flat.T, np.diag(values[::-1][:4]), atol=1e-4 * np.abs(values).max())


@pytest.mark.parametrize(("end", "expected"), [("smallest", [-8.0, -1.0]), ("magnitude", [-8.0, 5.0])])
def test_eigenvalues_are_read_from_each_end(end: str, expected: list[float]) -> None:
    loss, params, batch, _ = problem("negative")
    found = top_eigenvalues(loss, params, batch, 2, key=jax.random.key(4), search=Search(end=end))
    np.testing.assert_allclose(found.values, expected, rtol=1e-4)


def coverage(forms: np.ndarray, truth: float) -> float:
    found = [hutchinson(row) for row in forms]
    return float(np.mean([one.low <= truth <= one.high for one in found]))


def forms_of(name: str, deflated: int = 0) -> np.ndarray:
    """Returns what a trace is the mean of, in REPEATS repeats (REPEATS, PROBES)."""
    loss, params, batch, _ = problem(name)
    product = hessian(loss)

    def repeat(params: Any, batch: Any, key: jax.Array) -> jax.Array:
        if not deflated:
            return quadratic_forms(product, params, batch, key, PROBES)
        exact, basis = image(product, deflated, params, batch, key)
        return exact + jax.lax.map(lambda index: quadratic_form(product, index, params, batch, key, basis), jnp.arange(PROBES))

    every = jax.jit(jax.vmap(repeat, (None, None, 0)))
    return np.asarray(every(params, batch, jax.random.split(jax.random.key(5), REPEATS)), np.float64)


@pytest.mark.parametrize("name", NAMES)
def test_the_traces_interval_covers_it(name: str) -> None:
    truth = np.trace(problem(name).dense)
    plain = coverage(forms_of(name), truth)
    if name in OUTLIERS:
        assert plain < 0.93 <= coverage(forms_of(name, deflated=6), truth)
    else:
        assert plain >= 0.93


def test_a_trace_with_all_directions_deflated_is_exact() -> None:
    loss, params, batch, matrix = problem("gap")
    plain, exact = (trace(loss, params, batch, PROBES, key=jax.random.key(6), deflated=count) for count in (0, 40))
    assert plain.low < np.trace(matrix) < plain.high
    assert exact.value == pytest.approx(np.trace(matrix), rel=1e-5) and exact.error < 1e-4 * exact.value


@pytest.mark.parametrize("name", NAMES)
def test_moments_of_a_probe_are_exact_and_the_matrixs_lie_in_the_interval(name: str) -> None:
    loss, params, batch, matrix = problem(name)
    found = spectral_density(loss, params, batch, 16, STEPS, key=jax.random.key(7))
    for index in range(2):
        probe = draw(hessian(loss), params, jax.random.fold_in(jax.random.key(7), index), normal=True)
        vector = np.asarray(ravel_pytree(probe)[0], np.float64)
        vector, power = vector / np.linalg.norm(vector), vector / np.linalg.norm(vector)
        for p in range(2 * STEPS):
            size = vector @ np.linalg.matrix_power(matrix, p + p % 2) @ vector  # odd moments may cancel
            scale = size if p % 2 == 0 else np.sqrt(size * (vector @ np.linalg.matrix_power(matrix, p - 1) @ vector))
            assert found.weights[index] @ found.nodes[index] ** p == pytest.approx(vector @ power, abs=1e-3 * scale)
            power = matrix @ power
    for p in (1, 2, 3):
        exact = np.trace(np.linalg.matrix_power(matrix, p)) / len(matrix)
        moment = found.moment(p)
        assert moment.low < exact < moment.high
