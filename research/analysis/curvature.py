"""Curvature of any `loss(params, batch)` or product: top eigenvalues, trace and density of the spectrum, with intervals."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from research.analysis.densities import Density, density_of
from research.analysis.intervals import t_quantile
from research.analysis.lanczos import ENDS, Ritz, Tridiagonal, nodes_and_weights, ritz, tridiagonal, truncated
from research.analysis.products import Product, hvp, image, product_of, quadratic_form, quadratic_forms, size
from research.errors import UsageError
from research.training import processes
from research.training.mesh import P, jit_step, own_device, shardings
from research.training.spread import spread

WHOLE = 10_000_000  # parameters up to which Lanczos vectors are kept and made orthogonal again


__all__ = [
    "Density",
    "Eigenvalues",
    "Search",
    "Trace",
    "hutchinson",
    "hvp",
    "quadratic_forms",
    "spectral_density",
    "top_eigenvalues",
    "trace",
]


class Search(NamedTuple):
    """How eigenvalues are searched for: end, one of largest | smallest | magnitude; first and most products of one try.

    A try that is not exact to `tolerance` of each value is made again with twice the products, up to `most`.
    """

    end: str = "largest"
    tolerance: float = 1e-4
    first: int = 20
    most: int = 320
    vectors: bool = False


USUAL = Search()


class Eigenvalues(NamedTuple):
    """Eigenvalues (k,) from their end on and the residuals |H u - value u| (k,) to which they are exact, both in the loss's unit.

    products: Hessian-vector products spent. converged: whether all residuals are within tolerance. vectors: a tree of unit vectors along
    a leading axis, on request. Each distinct eigenvalue comes once: fewer than k where the matrix has fewer.
    """

    values: np.ndarray
    residuals: np.ndarray
    products: int
    converged: bool
    vectors: Any = None


class Trace(NamedTuple):
    """A trace with its 95 % interval, its standard error and the number of probes."""

    value: float
    low: float
    high: float
    error: float
    n: int


def top_eigenvalues(loss: Callable[..., Any], params: Any, batch: Any, k: int = 1, *, key: Array, search: Search = USUAL) -> Eigenvalues:
    """Returns the k outermost distinct eigenvalues of a loss's Hessian, or of a product, by Lanczos from a start that `key` fixes.

    An eigenvalue of multiplicity two or more is reported once. Above 10 M parameters nothing is made orthogonal again: copies of an
    eigenvalue within the tolerance count as one, and there are no vectors. Raises UsageError for k above the parameters.
    """
    product = product_of(loss)
    count = size(product, params)
    if not 0 < k <= count:
        raise UsageError(f"{k} eigenvalues of a matrix of {count} parameters: ask for 1 to {count}")
    if search.end not in ENDS:
        raise UsageError(f"search.end = {search.end!r}: choose one of {', '.join(ENDS)}")
    whole, spent, steps = count <= WHOLE, 0, min(max(search.first, k), count)
    if search.vectors and not whole:
        raise UsageError(f"eigenvectors are kept up to {WHOLE:,} parameters, and these are {count:,}; mask some with on_mask")
    layout = shardings(own_device(), P())
    at = processes.place((params, batch), layout)
    while True:
        raw = _lanczos(product, steps, whole, search.vectors)(*at, processes.place(key, layout))
        found = truncated(raw._replace(diagonal=np.asarray(raw.diagonal), beside=np.asarray(raw.beside)))
        spent += steps
        best = ritz(found, search.end, 0.0 if whole else search.tolerance)
        ended = found.diagonal.size < steps or steps == count
        converged = ended or bool(best.values.size >= k and (best.residuals[:k] <= _allowed(best, search.tolerance)[:k]).all())
        if converged or steps >= min(search.most, count):
            break
        steps = min(2 * steps, search.most, count)
    vectors = _in_space(found, best.coordinates[:, :k], params) if search.vectors else None
    return Eigenvalues(best.values[:k], best.residuals[:k], spent, converged, vectors)


def _allowed(found: Ritz, tolerance: float) -> np.ndarray:
    """Residuals that are accepted: the tolerance of each value, but no less than what float32 leaves of the largest."""
    return np.maximum(tolerance * np.abs(found.values), 2e-6 * np.abs(found.values).max())


@functools.lru_cache
def _lanczos(product: Product, steps: int, whole: bool, vectors: bool) -> Callable[..., Tridiagonal]:
    def run(params: Any, batch: Any, key: Array) -> Tridiagonal:
        found = tridiagonal(product, params, batch, key, steps, whole)
        return found if vectors else found._replace(vectors=None)

    return jit_step(run, P(), P(), own_device(), donate=())


def _in_space(found: Tridiagonal, coordinates: np.ndarray, params: Any) -> Any:
    """Ritz vectors as trees along a leading axis."""
    flat = jnp.asarray(coordinates.T.astype(found.vectors.dtype) @ np.asarray(found.vectors))
    _, unravel = jax.flatten_util.ravel_pytree(params)
    return jax.vmap(unravel)(flat)


def trace(loss: Callable[..., Any], params: Any, batch: Any, probes: int = 10, *, key: Array, deflated: int = 0) -> Trace:
    """Returns the trace of a loss's Hessian, or of a product, by Hutchinson's (1990) estimator with Rademacher probes.

    The interval is Student's. Where few eigenvalues carry the spectrum, v'Hv is skewed and it covers less than it says (89 % at 10 probes
    if one is 62 % of the trace): `deflated` directions of a sketch, found and read exactly for two products each, take them out (Hutch++:
    Meyer, Musco, Musco and Woodruff 2021). Raises UsageError for fewer than two probes, more deflated directions than parameters, and
    products that are not finite.
    """
    product = product_of(loss)
    count = size(product, params)
    _check_probes(probes)
    if not 0 <= deflated <= count:
        raise UsageError(f"{deflated} directions of {count} parameters cannot be deflated: ask for 0 to {count}")
    exact, basis = _sketch(product, deflated)(params, batch, key) if deflated else (0.0, None)
    forms = np.asarray(_forms(product)(np.arange(probes), params, batch, key, basis), np.float64)
    return hutchinson(forms + np.float64(exact))


def hutchinson(forms: np.ndarray) -> Trace:
    """Returns the mean of quadratic forms (probes,) with Student's 95 % interval; UsageError for fewer than two, or not finite ones."""
    _check_probes(forms.size)
    if bad := int((~np.isfinite(forms)).sum()):
        raise UsageError(f"{bad} of {forms.size} products of the curvature are not finite: the loss diverges at these parameters")
    error = float(forms.std(ddof=1) / np.sqrt(forms.size))
    value, half = float(forms.mean()), t_quantile(0.95, forms.size - 1) * error
    return Trace(value, value - half, value + half, error, forms.size)


def _check_probes(probes: int) -> None:
    if probes < 2:
        raise UsageError(f"{probes} probes give no interval: at least 2 are needed")


@functools.lru_cache
def _forms(product: Product) -> Callable[..., Any]:
    return spread(functools.partial(quadratic_form, product))


@functools.lru_cache
def _sketch(product: Product, columns: int) -> Callable[..., Any]:
    """Traces inside of, and orthonormal bases (size, columns) of, the image of random vectors."""
    at = own_device()
    compiled = jit_step(functools.partial(image, product, columns), P(), P(), at, donate=())
    return lambda *args: processes.fetch(compiled(*processes.place(args, shardings(at, P()))))


def spectral_density(loss: Callable[..., Any], params: Any, batch: Any, probes: int = 4, steps: int = 30, *, key: Array) -> Density:
    """Returns the spectrum of a loss's Hessian, or of a product, by stochastic Lanczos quadrature (Ubaru, Chen and Saad 2017).

    Normal probes; their spread gives the intervals, so that at least two are needed. Above 10 M parameters nothing is made orthogonal
    again: only the ends of the spectrum are to be read then. Raises UsageError for fewer probes or products that are not finite.
    """
    _check_probes(probes)
    if steps < 1:
        raise UsageError(f"a density of {steps} steps: at least 1 is needed")
    product = product_of(loss)
    count = size(product, params)
    steps = min(steps, count)
    found = _quadratures(product, steps, count <= WHOLE)(np.arange(probes), params, batch, key)
    pairs = [nodes_and_weights(truncated(Tridiagonal(*one))) for one in zip(found.diagonal, found.beside, strict=True)]
    return density_of(pairs, count)


@functools.lru_cache
def _quadratures(product: Product, steps: int, whole: bool) -> Callable[..., Any]:
    def one(index: Array, params: Any, batch: Any, key: Array) -> Tridiagonal:
        return tridiagonal(product, params, batch, jax.random.fold_in(key, index), steps, whole)._replace(vectors=None)

    return spread(one)
