"""The loss whose landscape is read: of a task, in the coordinates of what moves, on a fixed set of windows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from experiments.loss_landscape.axes import LORA, order_of
from research import tree
from research.cells.layout import Coordinates
from research.cells.measures import BITS
from research.cells.objective import objective
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.study import Study
from research.data.batches import scored, windows
from research.data.corpus import Corpus
from research.errors import UsageError
from research.training.mesh import P, jit_step, own_device
from research.training.population import Members, Task, split


class Point(NamedTuple):
    """Weights with their coordinates: what moves, and what stays, both trees on the host. at: start, path or end. seen: Adam's state."""

    where: Mapping[str, Any]
    moves: Any
    stays: Any
    at: str
    step: int
    seen: Any = None


class Ground(NamedTuple):
    """What all landscapes of a run stand on.

    rows: the fixed windows (sequences, time + 1). losses: by what is trained, (moves, (stays, rows)) -> nats a token. bits: what makes
    those bits a byte.
    """

    rows: np.ndarray
    losses: Mapping[str, Callable[[Any, Any], Array]]
    tasks: Mapping[str, Task]
    bits: float

    def batch(self, point: Point) -> tuple[Any, np.ndarray]:
        """Returns what the loss of a point takes beside what moves."""
        return point.stays, self.rows

    def loss(self, point: Point) -> Callable[[Any, Any], Array]:
        """Returns the loss in the coordinates of a point."""
        return self.losses[point.where["trains"]]


def ground_of(study: Study, corpus: Corpus, tasks: Mapping[str, Task], sequences: int) -> Ground:
    """Returns the ground of a target: windows spread evenly over its validation part. UsageError where it has fewer."""
    there = windows(corpus.parts["validation"], study.model.max_length)
    if sequences > len(there):
        raise UsageError(
            f"sequences = {sequences}, but the validation part of {corpus.source} has {len(there)} windows of {study.model.max_length} "
            "tokens; lower sequences, or raise data.validation_bytes"
        )
    rows = there[np.linspace(0, len(there) - 1, sequences).round().astype(int)]
    tokens, size = scored(rows, corpus.vocabulary)
    losses = {name: objective(task, sequences) for name, task in tasks.items()}
    return Ground(rows, losses, tasks, float(BITS * tokens.sum() / size.sum()))


class Weights:
    """The weights of a run's points: what cells start from, and what they became, each made when it is asked for."""

    def __init__(self, runner: Runner, tasks: Mapping[str, Task], places: Mapping[tuple[str, int], int], cells: Sequence[Cell]) -> None:
        self._runner, self._places, self.cells = runner, places, cells
        self._added = {name: _beginnings(task) for name, task in tasks.items() if task.adapter is not None}

    def base(self, where: Coordinates) -> Any:
        """Returns the parameters that a cell with these coordinates starts from."""
        return self._runner.setting.bases.params(self._places[where["init"], where["seed"]])

    def start(self, where: Coordinates) -> Point:
        """Returns what a cell starts from."""
        params = self.base(where)
        if where["trains"] != LORA:
            return Point(where, {"params": params}, {}, "start", 0)
        moves, constants = self._added[LORA](params, np.int32(where["rank"]), np.uint32(order_of(where)))
        return Point(where, moves, {"params": params, **constants}, "start", 0)

    def end(self, cell: Cell) -> Point:
        """Returns what a cell became, by its artifact."""
        step = self._runner.setting.budgets[-1]
        kept = self._runner.workdir.load_artifact(cell.fingerprint)
        if cell.coordinates["trains"] != LORA:
            return Point(cell.coordinates, tree.unflatten(kept), {}, "end", step)
        start = self.start(cell.coordinates)
        moved = {path: leaf for path, leaf in kept.items() if path in tree.flatten(start.moves)}
        return start._replace(moves=tree.unflatten(moved), at="end", step=step)


def _beginnings(task: Task) -> Callable[..., Any]:
    def begin(params: Any, rank: Array, seed: Array) -> Any:
        return split(task, params, Members(0, rank, 0.0, seed))

    compiled = jit_step(begin, P(), P(), own_device(), donate=())
    return lambda *args: jax.device_get(compiled(*args))


def in_groups(points: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Returns points a few at a time: so many are read by one call."""
    return [points[first : first + size] for first in range(0, len(points), size)]
