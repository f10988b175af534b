"""Problems of known dimension, each solved exactly within random subspaces: the ruler of intrinsic dimension.

toy        1,000 parameters of which the sums of ten blocks are prescribed (Li et al. 2018, arXiv 1804.08838, section 2): exactly 10.
quadratic  1/2 x^T H x from a random point at distance R of the minimum. The least loss within d random directions concentrates at
           R^2 kappa d / (2 D), where sum_i l_i / (l_i + kappa) = d over the eigenvalues l_i of H: the deterministic equivalent of a
           random projection. The dimension that a loss takes follows, and lies below Larsen et al.'s bound (2022, arXiv 2107.05802).
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq
from threadpoolctl import threadpool_limits

from research.adapters.projections import draw, project
from research.analysis.inversion import crossing
from research.findings import Estimate
from research.training.mesh import P, jit_step, own_device

TOY_SIZE, CONSTRAINTS, ENOUGH = 1000, 10, 0.9
TOY_DIMENSIONS = (1, 4, 8, 9, 10, 11, 13)
SIZE, RADIUS = 200, 1.0
SPECTRA = {
    "flat": np.ones(SIZE),
    "power law": np.arange(1, SIZE + 1) ** -1.0,
    "cliff": np.where(np.arange(SIZE) < SIZE // 4, 1.0, 1e-3),
}
TARGETS = {"flat": 0.1, "power law": 2e-3, "cliff": 1e-2}
DIMENSIONS = (16, 32, 48, 64, 96, 128, 144, 160, 176, 192)

# Small matrices on several threads of BLAS, beside a busy compiler, take up to 50 times as long.
one_thread = threadpool_limits.wrap(limits=1, user_api="blas")


class Columns:
    """The columns of P of one kind, size and width, for any dimension and seed, by one compiled function; each is made once."""

    def __init__(self, kind: str, size: int, width: int) -> None:
        def every(seed: jax.Array, dimension: jax.Array) -> jax.Array:
            constants = draw(kind, jax.random.key(seed), size, width, dimension)
            return jax.lax.map(lambda v: project(kind, constants, v, size), jnp.eye(width))

        compiled = jit_step(every, P(), P(), own_device(), donate=())
        self._made = functools.cache(lambda dimension, seed: np.asarray(compiled(seed, dimension), np.float64).T[:, :dimension])

    def __call__(self, dimension: int, seed: int) -> np.ndarray:
        """Returns the first `dimension` columns as float64 (size, dimension); the others are zero."""
        return self._made(dimension, seed)


def toy_performance(columns: Columns, dimension: int, seed: int) -> float:
    """Returns exp(-loss) at the best point of a random subspace, where loss is the sum of squares of what the constraints miss."""
    theta = np.random.default_rng(seed).standard_normal(TOY_SIZE)
    slope = columns(dimension, seed).reshape(CONSTRAINTS, -1, dimension).sum(1)
    missed = theta.reshape(CONSTRAINTS, -1).sum(1) - np.arange(1, CONSTRAINTS + 1)
    best = np.linalg.lstsq(slope, -missed, rcond=None)[0]
    return float(np.exp(-((missed + slope @ best) ** 2).sum()))


@one_thread
def toy_dimension(kind: str, draws: int) -> Estimate:
    """Returns the smallest dimension at which every draw of P performs as well as the threshold asks; None if none does."""
    columns = Columns(kind, TOY_SIZE, max(TOY_DIMENSIONS))
    worst = {d: min(toy_performance(columns, d, seed) for seed in seeds(d, draws)) for d in TOY_DIMENSIONS}
    enough = [d for d, value in worst.items() if value >= ENOUGH]
    return Estimate(min(enough, default=None), None, None, draws, "smallest dimension at which every draw succeeds")


def seeds(dimension: int, draws: int) -> range:
    """Returns the seeds of the draws at a dimension, other ones at every dimension."""
    return range(1000 * dimension, 1000 * dimension + draws)


@functools.cache
def drawn_point(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns a direction (SIZE,) of length 1 in the eigenvectors of H, and a rotation (SIZE, SIZE) from P's coordinates to those."""
    generator = np.random.default_rng([seed, 1])
    x0 = generator.standard_normal(SIZE)
    return x0 / np.linalg.norm(x0), np.linalg.qr(generator.standard_normal((SIZE, SIZE)))[0]


def least_loss(eigenvalues: np.ndarray, radius: float, p: np.ndarray, seed: int) -> float:
    """Returns the least 1/2 x^T H x in x0 + span(P), with x0 at distance `radius` and the eigenvectors of H drawn."""
    root, (x0, rotation) = np.sqrt(eigenvalues), drawn_point(seed)
    start, slope = radius * root * x0, root[:, None] * (rotation @ p)
    best = np.linalg.solve(slope.T @ slope, -slope.T @ start)
    return float(0.5 * ((start + slope @ best) ** 2).sum())


def threshold(eigenvalues: np.ndarray, radius: float, loss: float) -> float:
    """Returns the dimension of a random subspace whose least loss is `loss`: R^2 kappa d / (2 D) = loss, d = sum_i l_i / (l_i + kappa)."""

    def excess(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        return radius**2 * kappa * (eigenvalues / (eigenvalues + kappa)).sum() / (2 * eigenvalues.size) - loss

    start = 0.5 * radius**2 * eigenvalues.mean()
    if not 0 < loss < start:
        raise ValueError(f"a loss of {loss:g} is not between 0 and where training starts, {start:g}")
    kappa = np.exp(brentq(excess, -60.0, 60.0))
    return float((eigenvalues / (eigenvalues + kappa)).sum())


def larsen_bound(eigenvalues: np.ndarray, radius: float, loss: float) -> float:
    """Returns D - sum_i r_i^2 / (R^2 + r_i^2), r_i^2 = 2 loss / l_i: an upper bound of the threshold dimension of a quadratic well."""
    squares = 2 * loss / eigenvalues
    return float(eigenvalues.size - (squares / (radius**2 + squares)).sum())


@one_thread
def measured_threshold(columns: Columns, spectrum: str, draws: int) -> Estimate:
    """Returns the threshold of a spectrum as d90 is read: the least loss of every draw and dimension, inverted at the target."""
    losses = [[least_loss(SPECTRA[spectrum], RADIUS, columns(d, seed), seed) for seed in seeds(d, draws)] for d in DIMENSIONS]
    return crossing(np.array(DIMENSIONS), -np.log(losses).T, -np.log(TARGETS[spectrum]), what="dimension")


def known_records(experiment: str, kinds: Sequence[str], draws: int) -> Iterator[dict[str, Any]]:
    """Yields the dimension that is measured of each problem by each projection, with its interval, and the one that is known."""
    for kind in kinds:
        columns = Columns(kind, SIZE, DIMENSIONS[-1])
        for problem in ("toy", *SPECTRA):
            measured = toy_dimension(kind, draws) if problem == "toy" else measured_threshold(columns, problem, draws)
            values = {"measured": measured.value, "low": measured.low, "high": measured.high, "exact": float(CONSTRAINTS)}
            if problem != "toy":
                arguments = SPECTRA[problem], RADIUS, TARGETS[problem]
                values |= {"exact": threshold(*arguments), "larsen_bound": larsen_bound(*arguments)}
            where = {"experiment": experiment, "cell": "", "phase": "known", "problem": problem, "projection": kind, "n": draws}
            for metric, value in values.items():
                yield {**where, "metric": metric, "value": value if value is None else round(value, 4), "unit": "dimensions"}
