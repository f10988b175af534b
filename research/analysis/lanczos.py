"""Lanczos tridiagonalization of a product (matfree's), cut at breakdown, and what is read off it: eigenvalues, nodes and weights.

`tridiagonal` is traced: it may stand under jit, vmap or shard_map. All else is float64 NumPy on the host.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from matfree import decomp
from scipy.linalg import eigh_tridiagonal

from research.analysis.products import Product, draw
from research.errors import UsageError

BREAKDOWN = 16  # roundings of the type, times |T|, below which the rest of a Krylov space is noise
Order: TypeAlias = Callable[[np.ndarray], np.ndarray]
ENDS: dict[str, Order] = {
    "largest": lambda values: values,
    "smallest": lambda values: -values,
    "magnitude": np.abs,
}


class Tridiagonal(NamedTuple):
    """Of `steps` products from a random start: the diagonal (steps,), beside it (steps,), vectors (steps, size).

    The last number beside the diagonal is the norm of what is left, behind the matrix.
    """

    diagonal: Any
    beside: Any
    vectors: Any = None


def tridiagonal(product: Product, params: Any, batch: Any, key: Array, steps: int, reorthogonalize: bool = True) -> Tridiagonal:
    """Returns what `steps` of Lanczos's (1950) iteration make of the product's matrix, from a standard normal start.

    With full re-orthogonalization memory is 2.2 times the vectors'. Without, none is kept or returned, and eigenvalues that have been found
    are found again, as ghosts. It does not stop at breakdown: `truncated` cuts what comes behind it.
    """
    start, unravel = ravel_pytree(draw(product, params, key, normal=True))

    def times(vector: Array, params: Any, batch: Any) -> Array:
        return ravel_pytree(product(params, batch, unravel(vector)))[0]

    with jax.default_matmul_precision("highest"):  # else an accelerator rounds in making the vectors orthogonal
        if not reorthogonalize:
            return _three_terms(lambda vector: times(vector, params, batch), start, steps)
        # What tridiag_sym calls: its mean of both triangles would hide a breakdown, behind which the upper one is noise that is not small.
        vectors, matrix, left, _ = decomp.hessenberg(steps, reortho="full", custom_vjp=False)(times, start, params, batch)
    return Tridiagonal(jnp.diagonal(matrix), jnp.append(jnp.diagonal(matrix, -1), jnp.linalg.norm(left)), vectors)


def _three_terms(times: Callable[[Array], Array], start: Array, steps: int) -> Tridiagonal:
    """Lanczos's recurrence alone; matfree's calls the product twice a step, which the compiler does not merge where a model has a scan."""

    def step(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
        before, vector, beside = carry
        moved = times(vector) - beside * before
        diagonal = jnp.vdot(vector, moved)
        left = moved - diagonal * vector
        norm = jnp.linalg.norm(left)
        return (vector, left / norm, norm), (diagonal, norm)

    first = jnp.zeros_like(start), start / jnp.linalg.norm(start), jnp.zeros((), start.dtype)
    return Tridiagonal(*jax.lax.scan(step, first, length=steps)[1])


def truncated(found: Tridiagonal) -> Tridiagonal:
    """Returns the part before breakdown in float64: up to the first number beside the diagonal that is rounding to the matrix's norm.

    It is then 0: the Krylov space is invariant, and all eigenvalues of the part are the matrix's. Raises UsageError for products that are
    not finite.
    """
    noise = BREAKDOWN * np.finfo(found.diagonal.dtype).eps
    diagonal, beside = np.asarray(found.diagonal, np.float64), np.asarray(found.beside, np.float64)
    scale = np.maximum.accumulate(np.maximum(np.abs(diagonal), np.append(0, beside[:-1])))
    ends = np.flatnonzero(~(beside > noise * scale))  # also 0 / 0 behind an exact breakdown
    steps = int(ends[0]) + 1 if ends.size else diagonal.size
    if not (np.isfinite(diagonal[:steps]).all() and np.isfinite(scale[:steps]).all()) or np.isinf(beside[:steps]).any():
        raise UsageError("a product of the curvature with a vector is not finite: the loss has diverged, or overflows, at these parameters")
    beside = beside[:steps].copy()
    if ends.size:
        beside[-1] = 0.0
    return Tridiagonal(diagonal[:steps], beside, None if found.vectors is None else found.vectors[:steps])


class Ritz(NamedTuple):
    """Eigenvalues of a tridiagonal matrix (k,), residuals (k,) of their vectors in the whole space, coordinates (steps, k)."""

    values: np.ndarray
    residuals: np.ndarray
    coordinates: np.ndarray


def ritz(found: Tridiagonal, end: str = "largest", alike: float = 0.0) -> Ritz:
    """Returns the eigenvalues of a truncated matrix from one end, one of `ENDS`, on, with |beta_m s_m|, to which they are exact.

    Each distinct one comes once, whatever its multiplicity; values nearer than `alike` times the largest |value| count as one, the copy of
    the smallest residual.
    """
    values, coordinates = eigh_tridiagonal(found.diagonal, found.beside[:-1])
    residuals = np.abs(found.beside[-1] * coordinates[-1])
    kept: list[int] = []
    for index in np.argsort(residuals, kind="stable"):
        if all(abs(values[index] - values[other]) > alike * np.abs(values).max() for other in kept):
            kept.append(int(index))
    order = np.array(sorted(kept, key=lambda index: -ENDS[end](values[index])))
    return Ritz(values[order], residuals[order], coordinates[:, order])


def nodes_and_weights(found: Tridiagonal) -> tuple[np.ndarray, np.ndarray]:
    """Returns Gauss's nodes and weights (steps,) of the start's spectral measure (Golub and Welsch 1969); the weights' sum is 1."""
    values, coordinates = eigh_tridiagonal(found.diagonal, found.beside[:-1])
    return values, coordinates[0] ** 2
