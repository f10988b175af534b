"""The largest eigenvalue of the loss's Hessian in the coordinates of an adapter, before its first step: of every setting and seed."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.learning_rate_law.axes import Part
from research import tree
from research.analysis.lanczos import Tridiagonal, ritz, tridiagonal, truncated
from research.analysis.products import hessian
from research.cells.bases import stacked
from research.cells.objective import objective
from research.cells.runner import Runner
from research.cells.subject import Rows
from research.data.batches import orders
from research.models.model import Variables
from research.records import rounded
from research.runtime.provenance import timed
from research.training.memory import LARGE, nbytes
from research.training.population import Members, Task, split
from research.training.spread import spread

KEY = 15
IN_TURN = 4  # points of a device in one call


def read(runner: Runner, part: Part, task: Task, places: Mapping[tuple[str, int], int]) -> Iterator[Rows]:
    """Yields the largest eigenvalue (nats a token) of each setting, start and seed, on the first windows that the seed's runs see.

    And beside it the residual to which it is exact. What stands is not measured again.
    """
    spec, bases = part.sweep.curvature, runner.setting.bases
    seeds = range(part.sweep.seeds)
    windows = orders(list(seeds), 0, 1, spec["windows"], len(runner.setting.windows))[:, 0]
    records = runner.workdir.records
    todo = [where for where in part.settings(seeds) if not records.has(**where, phase="curvature", metric="lambda_max")]
    lanczos = spread(functools.partial(top, task, spec["windows"], spec["products"]))
    together = jax.device_count() * (1 if nbytes(bases.params(0)) > LARGE else IN_TURN)
    name = f"curvature {part.target}"
    with timed("curvature", runner.workdir.timings.append), runner.progress.task(name, len(todo)) as bar:
        for first in range(0, len(todo), together):
            some = todo[first : first + together]
            points = [_point(bases.params(places[c["init"], c["seed"]]), c, runner.setting.windows[windows[c["seed"]]]) for c in some]
            found = lanczos(stacked([*points, *[points[-1]] * (together - len(points))]))
            yield [row for place, where in enumerate(some) for row in _rows(runner, where, found, place)]
            bar.advance(len(some))


def _point(params: Any, where: Mapping[str, Any], rows: np.ndarray) -> tuple[Any, Members, np.ndarray]:
    one = (np.int32(0), np.int32(where["rank"]), np.float32(0), np.uint32(where["seed"]))
    return params, Members(*one, alpha=np.float32(where["alpha"])), rows


def top(task: Task, sequences: int, products: int, point: tuple[Any, Members, Array]) -> Tridiagonal:
    """Returns what so many products of Lanczos make of the Hessian at an adapter's start; traced.

    point: parameters of the base, the member whose adapter is drawn, and rows (sequences, time + 1).
    """
    params, member, rows = point
    moves, constants = split(task, params, member)
    loss = objective(task, sequences)

    def of_its_rank(moves: Variables, batch: tuple[Any, Any]) -> Array:
        return loss(within_rank(moves, member.rank), batch)

    found = tridiagonal(hessian(of_its_rank), moves, ({"params": params, **constants}, rows), jax.random.key(KEY), products)
    return found._replace(vectors=None)


def within_rank(moves: Variables, rank: Array) -> Variables:
    """Returns adapters with what lies beyond the rank set to zero, which a loss then does not depend on.

    The columns to which A and B are padded never move, but their second derivatives, A's with B's, are the gradient in W and not zero.
    """

    def cut(path: str, leaf: Array) -> Array:
        axis = leaf.ndim - (1 if path.endswith("/A") else 2)
        there = jnp.arange(leaf.shape[axis]) < rank
        return jnp.where(there.reshape([-1 if place == axis else 1 for place in range(leaf.ndim)]), leaf, 0.0)

    return tree.unflatten({path: cut(path, leaf) for path, leaf in tree.flatten(moves).items()})


def _rows(runner: Runner, where: Mapping[str, Any], found: Tridiagonal, place: int) -> Rows:
    best = ritz(truncated(Tridiagonal(found.diagonal[place], found.beside[place])))
    start = {"experiment": runner.setting.experiment, "cell": "", **where, "phase": "curvature", "learning_rate": None, "step": 0}
    known: Sequence[tuple[str, float]] = (("lambda_max", best.values[0]), ("lambda_max_residual", best.residuals[0]))
    return [{**start, "metric": metric, "value": rounded(float(value)), "unit": "nats"} for metric, value in known]
