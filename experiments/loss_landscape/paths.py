"""The way of a run, step by step: its training is repeated, with what each step did told beside the loss."""

import functools
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.loss_landscape.axes import FULL, LandscapeSweep
from experiments.loss_landscape.ground import Point
from research.analysis.trajectories import cosine, distance, path_ratio
from research.cells.bases import stacked
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.subject import Rows, budgets_of
from research.data.batches import orders
from research.optimizers import adamw
from research.records import rounded
from research.runtime.provenance import timed
from research.training.population import DROPOUT, Members, MemberState, Task, init_member, join, pick
from research.training.spread import spread
from research.training.step import TrainState, make_train_step

UNITS = {"distance": "1", "path_length": "1", "path_ratio": "1", "gradient_norm": "nats", "cosine": "1"}


class Walk(NamedTuple):
    """A member under way: its state, and its last update."""

    state: MemberState
    update: Any


def begin(task: Task, member: Members, bases: Any) -> Walk:
    """Returns a member before its first step; traced."""
    state = init_member(task, member, bases)
    return Walk(state, jax.tree.map(jnp.zeros_like, state.trainable))


def walk(task: Task, point: tuple[Walk, Members, Array], bases: Any) -> tuple[Walk, dict[str, Array]]:
    """Returns a member after some steps as `train_member` makes them, and of each step what it did; traced.

    point: the member under way, and windows (step, batch, time + 1). Told: loss and gradient norm (before clipping) in nats, the update's
    length, its cosine with the one before, and the distance from the start.
    """
    under_way, member, windows = point
    base = pick(bases, member.base)
    trainable, frozen = join(base, under_way.state)
    step = make_train_step(task.adapted, task.loss, adamw(task.optimizer, member.learning_rate, task.moves))
    key = jax.random.fold_in(jax.random.key(member.seed), DROPOUT) if task.dropout else None

    def one(carry: tuple[TrainState, Any], rows: Array) -> tuple[tuple[TrainState, Any], dict[str, Array]]:
        before, previous = carry
        after, told = step(before, task.to_batch(rows), key, None)
        update = jax.tree.map(jnp.subtract, after.trainable, before.trainable)
        length, gone = distance(after.trainable, before.trainable), distance(after.trainable, {"params": base})
        return (after, update), {**told, "length": length, "cosine": cosine(update, previous), "distance": gone}

    state = under_way.state
    start = TrainState(state.step, trainable, frozen, state.opt_state), under_way.update
    (after, update), told = jax.lax.scan(one, start, windows)
    return Walk(MemberState(after.step, after.trainable, state.constants, after.opt_state), update), told


class Followed:
    """The ways of the first run from each base, walked once when somebody asks."""

    def __init__(self, runner: Runner, sweep: LandscapeSweep, task: Task, cells: Sequence[Cell]) -> None:
        self._runner, self._sweep, self._task = runner, sweep, task
        self._cells = [cell for cell in cells if cell.shape == FULL and cell.coordinates["run"] == 0]
        self.steps = budgets_of(sweep.steps, runner.setting.chunk, sweep.path) if sweep.steps and sweep.reads("paths") else ()

    @functools.cached_property
    def points(self) -> list[list[Point]]:
        """Returns the weights of each way at `steps`, the end among them, with what Adam had seen by then."""
        return self._walked[0]

    def point(self, cell: Cell, step: int) -> Point:
        """Returns the weights of a cell's way at one of `steps`."""
        way = self.points[[one.fingerprint for one in self._cells].index(cell.fingerprint)]
        return way[self.steps.index(step)]

    def read(self) -> Iterator[Rows]:
        """Yields the records of each way at `steps`, unless they stand."""
        records, last = self._runner.workdir.records, self.steps[-1]
        if not all(records.has(**{**cell.coordinates, "phase": "path"}, step=last) for cell in self._cells):
            yield records.missing(self._walked[1])

    @functools.cached_property
    def _walked(self) -> tuple[list[list[Point]], Rows]:
        setting, sweep, cells, task = self._runner.setting, self._sweep, self._cells, self._task
        members = Members(
            np.array([setting.bases.index(cell.base) for cell in cells], np.int32),
            np.zeros(len(cells), np.int32),
            np.array([cell.learning_rate for cell in cells], np.float32),
            np.array([cell.seed for cell in cells], np.uint32),
        )
        bases = setting.bases.stack(0)
        under_way = spread(functools.partial(begin, task))(members, bases)
        on, told = spread(functools.partial(walk, task)), []
        points: list[list[Point]] = [[] for _ in cells]
        with timed("paths", self._runner.workdir.timings.append), self._runner.progress.task("ways, step by step", sweep.steps) as bar:
            for done in range(0, sweep.steps, setting.chunk):
                steps = min(setting.chunk, sweep.steps - done)
                order = orders([cell.seed for cell in cells], done, steps, setting.batch_size, len(setting.windows))
                under_way, did = on((under_way, members, setting.windows[order]), bases)
                told.append(did)
                bar.advance(steps)
                if done + steps in self.steps:
                    self._keep(points, under_way.state, done + steps)
        joined = {name: np.concatenate([did[name] for did in told], axis=1) for name in told[0]}
        return points, [row for index, cell in enumerate(cells) for row in self._records(cell, {k: v[index] for k, v in joined.items()})]

    def _keep(self, points: list[list[Point]], state: MemberState, step: int) -> None:
        at, seen = "end" if step == self.steps[-1] else "path", optax.tree.get(state.opt_state, "nu")
        for index, (cell, own) in enumerate(zip(self._cells, points, strict=True)):
            moves, nu = jax.tree.map(operator.itemgetter(index), (state.trainable, seen))
            own.append(Point(cell.coordinates, moves, {}, at, step, nu))

    def _records(self, cell: Cell, told: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
        first = 0
        for step in self.steps:
            since, gone = slice(first, step), float(told["distance"][step - 1])
            own = {"distance": gone, "path_length": told["length"][:step].sum(), "gradient_norm": told["grad_norm"][since].mean()}
            own |= {"path_ratio": path_ratio(told["length"][:step], gone), "cosine": np.nanmean(told["cosine"][since])}
            for metric, value in own.items():
                row = {"experiment": self._runner.setting.experiment, "cell": "", **cell.coordinates, "phase": "path", "step": step}
                finite = np.isfinite(float(value))
                row |= {"metric": metric, "value": rounded(float(value)) if finite else None, "unit": UNITS[metric]}
                yield row if finite else row | {"note": "diverged"}
            first = step


def trajectory(start: Point, points: Sequence[Point]) -> Any:
    """Returns the weights of a way, its start first, stacked along a leading axis."""
    return stacked([start.moves, *(point.moves for point in points)])
