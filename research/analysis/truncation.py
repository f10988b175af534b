"""An update cut to few directions: to its best ones, and to random ones of the same norm.

Which comparison decides: `truncated` against `randomly_truncated`. Both have the same rank, the same norm matrix by matrix, and lie within
the same update; only the choice of directions differs. What the best directions gain short of the whole update may still be for want of
norm: `with_norms_of(truncated(deltas, k), deltas)` answers that. Random directions must be stretched to reach the norm, by sqrt(n / k) at
a flat spectrum, which may overshoot: `projected` leaves them as they are.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from research.analysis.spectra import as_matrix, generator_of

Deltas = Mapping[str, np.ndarray]
SCANNED = "/layers/"  # in the path of parameters that are stacked, a layer each along the first axis


def truncated(deltas: Deltas, rank: int) -> dict[str, np.ndarray]:
    """Returns the best approximation of this rank to each matrix's update, in the parameter's shape and type.

    deltas: kernels and embeddings by path, scanned layers stacked and cut layer by layer. No matrix of this rank is nearer in Frobenius
    norm (Eckart & Young 1936): what is lost are the squares of the singular values that follow. A rank above a matrix's own changes
    nothing. Raises ValueError for a vector.
    """

    def best(_: str, matrix: np.ndarray) -> np.ndarray:
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        return (left[:, :rank] * values[:rank]) @ right[:rank]

    return by_matrix(deltas, best)


def projected(deltas: Deltas, rank: int, seed: int) -> dict[str, np.ndarray]:
    """Returns each matrix's update projected on `rank` random orthonormal directions of its smaller side, of n: k / n of its squared norm.

    That share is the mean over draws, whatever the update. A pure function of (deltas, rank, seed); shapes and errors as `truncated`.
    """

    def on_random(name: str, matrix: np.ndarray) -> np.ndarray:
        n = min(matrix.shape)
        drawn = generator_of(seed, name).standard_normal((n, min(rank, n)))
        basis = np.linalg.qr(drawn)[0]
        return basis @ (basis.T @ matrix) if matrix.shape[0] == n else (matrix @ basis) @ basis.T

    return by_matrix(deltas, on_random)


def randomly_truncated(deltas: Deltas, rank: int, seed: int) -> dict[str, np.ndarray]:
    """Returns `projected`, each matrix stretched to the norm that its best approximation of this rank has."""
    return with_norms_of(projected(deltas, rank, seed), truncated(deltas, rank))


def with_norms_of(deltas: Deltas, others: Deltas) -> dict[str, np.ndarray]:
    """Returns `deltas` with each matrix scaled to the Frobenius norm of the one in `others`; zero stays zero."""
    with threadpool_limits(1, "blas"):
        norms = {name: float(np.linalg.norm(matrix)) for name, matrix in matrices(others)}

    def scaled(name: str, matrix: np.ndarray) -> np.ndarray:
        norm = np.linalg.norm(matrix)
        return matrix * (norms[name] / norm) if norm else matrix

    return by_matrix(deltas, scaled)


def matrices(deltas: Deltas) -> list[tuple[str, np.ndarray]]:
    """Returns every matrix (inputs, outputs), in float64, with its name: its path, a scanned layer's that of the layer unrolled."""
    layers = [(path, i, layer) for path, delta in deltas.items() for i, layer in enumerate(_layers(path, delta))]
    return [(path.replace(SCANNED, f"/layers_{i}/"), as_matrix(path, layer)) for path, i, layer in layers]


def _layers(path: str, delta: np.ndarray) -> list[np.ndarray]:
    return list(delta) if SCANNED in path else [delta]


def by_matrix(deltas: Deltas, change: Callable[[str, np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    """Returns each matrix as `change` (name, matrix in float64) makes it, a thread for each; in the shape and type in which it came."""
    named = matrices(deltas)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor() as pool:
        changed = iter(list(pool.map(lambda each: change(*each), named)))
    result = {}
    for path, delta in deltas.items():
        rows = [next(changed) for _ in _layers(path, delta)]
        result[path] = np.concatenate([row.ravel() for row in rows]).reshape(delta.shape).astype(delta.dtype)
    return result
