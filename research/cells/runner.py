"""Running cells: cut into populations, trained chunk by chunk, measured at the budgets, resumed where they stopped."""

import dataclasses
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from research import tree
from research.cells.programs import Programs
from research.data.batches import orders
from research.runtime.assignments import Population as Assigned
from research.runtime.progress import Interrupted, Progress, stop_requested
from research.runtime.workdir import Workdir
from research.training import checkpoints, processes
from research.training.memory import peak_bytes
from research.training.mesh import P, shardings
from research.training.population import Members, Population, place

BITS = 1.0 / np.log(2.0)
_log = logging.getLogger(__name__)


class Cell(NamedTuple):
    """One run of a sweep: its fingerprint, what stands in its records, and what makes it a member."""

    fingerprint: str
    coordinates: Mapping[str, Any]
    shape: str
    base: int
    rank: int
    learning_rate: float
    seed: int
    reference: int | None = None


class Measure(NamedTuple):
    """A mean over held-out batches (chunk, k, batch, time + 1), at every budget or at the last one only.

    quantity: which of the loss's sums is divided by its weight; nats become bits where the unit says so.
    """

    metric: str
    batches: np.ndarray
    last_only: bool
    quantity: str = "nll"
    unit: str = "bits/byte"

    def mean(self, chunks: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Returns the mean of each member from its sums on every chunk."""
        total, weight = (np.sum([np.asarray(sums[name], np.float64) for sums in chunks], axis=0) for name in (self.quantity, "weight"))
        return total / weight * (BITS if self.unit.startswith("bits") else 1.0)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all cells of a run share: data, mesh, budgets (steps at which losses are measured, the last ends training), measures by phase.

    widths: members of one program, by shape. keep: whether the final weights of a cell with these coordinates become an artifact.
    unit: of the training loss.
    """

    experiment: str
    mesh: Mesh
    bases: Any
    windows: np.ndarray
    batch_size: int
    budgets: tuple[int, ...]
    chunk: int
    measures: Mapping[str, tuple[Measure, ...]]
    widths: Mapping[str, int]
    keep: Callable[[Mapping[str, Any]], bool] = lambda coordinates: False
    unit: str = "bits/byte"


def finished(workdir: Workdir, last: int) -> set[str]:
    """Returns the fingerprints of cells all of whose records stand in the workdir: the last one, train_loss at the last step, does."""
    return {row["cell"] for row in workdir.records.rows if row.get("metric") == "train_loss" and row.get("step") == last}


class Runner:
    """Runs cells in a workdir; populations of the same shape share their compiled programs."""

    def __init__(self, programs: Programs, setting: Setting, workdir: Workdir, progress: Progress) -> None:
        self.programs, self.setting, self.workdir, self.progress = programs, setting, workdir, progress
        self.bases = place(setting.mesh, setting.bases)
        everywhere = shardings(setting.mesh, P())
        measures = [m for some in setting.measures.values() for m in some]
        self.held_out = {m.metric: [processes.place(chunk, everywhere) for chunk in m.batches] for m in measures}

    def run(self, cells: Sequence[Cell], name: str) -> Iterator[list[dict[str, Any]]]:
        """Yields the records of one population after another; populations whose records all stand are passed over.

        Raises Interrupted, after saving, when a stop is requested.
        """
        by_name = {cell.fingerprint: cell for cell in cells}
        done = finished(self.workdir, self.setting.budgets[-1])
        assigned = self.workdir.assign([(cell.fingerprint, cell.shape) for cell in cells], self.setting.widths.__getitem__, done)
        with self.progress.task(name, len(cells) * self.setting.budgets[-1]) as task:
            for population in assigned:
                mine = [by_name[cell] for cell in population.cells if cell in by_name]
                if done.issuperset(population.cells):
                    task.advance(len(mine) * self.setting.budgets[-1])
                    continue
                yield _InFlight(self, population, mine).finish(task)
                if processes.leads():
                    shutil.rmtree(self.workdir.state_dir(population.id), ignore_errors=True)

    def untouched(self, shape: str, phase: str, bases: Sequence[int], references: Sequence[int] | None = None) -> dict[str, np.ndarray]:
        """Returns each measure of `phase` for bases before any training (and what they are compared with); they are members of `shape`."""
        functions, width = self.programs[shape], self.setting.widths[shape]
        measures = self.setting.measures[phase]
        found: dict[str, list[float]] = {m.metric: [] for m in measures}
        for first in range(0, len(bases), width):
            some, other = (np.resize(np.array(x[first : first + width], np.int32), width) for x in (bases, references or bases))
            members = Members(some, np.zeros(width, np.int32), np.zeros(width, np.float32), np.zeros(width, np.uint32))
            members = members if references is None else members._replace(reference=other)
            states = functions.init(members, self.bases)
            for m in measures:
                found[m.metric].extend(m.mean(processes.fetch(self.evaluate(functions, states, members, m.metric))))
        return {metric: np.array(values[: len(bases)]) for metric, values in found.items()}

    def evaluate(self, functions: Population, states: Any, members: Members, metric: str) -> list[Mapping[str, Any]]:
        """Returns the sums of each member on each chunk of a measure's batches, dispatched and not yet read."""
        return [functions.evaluate(states, members, self.bases, chunk) for chunk in self.held_out[metric]]


class _InFlight:
    """One population while it trains: its members' states on the devices, and what was measured so far on the host."""

    def __init__(self, runner: Runner, assigned: Assigned, cells: list[Cell]) -> None:
        self.runner, self.setting, self.cells = runner, runner.setting, cells
        self.folder = runner.workdir.state_dir(assigned.id)
        self.functions = runner.programs[cells[0].shape]
        width = self.setting.widths[cells[0].shape]
        rows = [cells[min(i, len(cells) - 1)] for i in range(width)]
        self.seeds = [cell.seed for cell in rows]
        self.members = Members(
            np.array([cell.base for cell in rows], np.int32),
            np.array([cell.rank for cell in rows], np.int32),
            np.array([cell.learning_rate for cell in rows], np.float32),
            np.array(self.seeds, np.uint32),
            None if cells[0].reference is None else np.array([cell.reference for cell in rows], np.int32),
        )
        self.measures = self.setting.measures[cells[0].coordinates["phase"]]
        self.measured = {m.metric: np.full((len(rows), len(self.setting.budgets)), np.nan) for m in self.measures}
        self.train = np.full((len(rows), self.setting.budgets[-1]), np.nan, np.float32)

    def finish(self, task: Any) -> list[dict[str, Any]]:
        start = time.monotonic()
        states, done = self._begin()
        task.advance(done * len(self.cells))
        saves = checkpoints.Autosave(self.folder)
        while done < self.setting.budgets[-1]:
            steps = min(self.setting.chunk, self.setting.budgets[-1] - done)
            states = self._chunk(states, done, steps)
            done += steps
            task.advance(steps * len(self.cells), step=done)
            stop = stop_requested()
            if done < self.setting.budgets[-1] and (stop or saves.due):
                saves.save(done, (states, self.measured, self.train))
            if stop and done < self.setting.budgets[-1]:
                raise Interrupted(f"{len(self.cells)} cells are saved at step {done} of {self.setting.budgets[-1]}")
        self._keep(states)
        seconds = time.monotonic() - start
        timing = {"stage": "populations", "shape": self.cells[0].shape, "cells": len(self.cells), "metric": "seconds"}
        memory = {**timing, "metric": "peak_memory", "value": peak_bytes(), "unit": "bytes"}
        self.runner.workdir.timings.append([{**timing, "value": round(seconds, 3), "unit": "s"}, memory])
        return [row for index, cell in enumerate(self.cells) for row in self._records(index, cell)]

    def _begin(self) -> tuple[Any, int]:
        states = self.functions.init(self.members, self.runner.bases)
        try:
            found = checkpoints.restore(self.folder, (states, self.measured, self.train))
        except checkpoints.AnotherTree:  # of another width: as many members as fitted other devices, or another `members`
            _log.info("%d cells begin again: they were saved in a program of another width", len(self.cells))
            shutil.rmtree(self.folder, ignore_errors=True)
            found = None
        if found is None:
            return states, 0
        done, (states, measured, train) = found
        self.measured, self.train = {name: np.array(values) for name, values in measured.items()}, np.array(train)
        _log.info("continuing %d cells at step %d", len(self.cells), done)
        return states, done

    def _chunk(self, states: Any, done: int, steps: int) -> Any:
        """Dispatches a chunk and its measurements before any result is read."""
        setting, runner = self.setting, self.runner
        order = orders(self.seeds, done, steps, setting.batch_size, len(setting.windows))
        states, losses = self.functions.train(states, self.members, setting.windows[order], runner.bases)
        done += steps
        pending: list[tuple[Measure, Any]] = []
        if done in setting.budgets:
            due = [m for m in self.measures if done == setting.budgets[-1] or not m.last_only]
            pending = [(m, runner.evaluate(self.functions, states, self.members, m.metric)) for m in due]
        self.train[:, done - steps : done] = processes.fetch(losses)
        for measure, chunks in pending:
            self.measured[measure.metric][:, setting.budgets.index(done)] = measure.mean(processes.fetch(chunks))
        return states

    def _keep(self, states: Any) -> None:
        kept = [(index, cell) for index, cell in enumerate(self.cells) if self.setting.keep(cell.coordinates)]
        if kept:
            weights = tree.flatten(processes.fetch(states.trainable))
            for index, cell in kept:
                self.runner.workdir.save_artifact(
                    cell.fingerprint, {path: leaf[index].astype(np.float32) for path, leaf in weights.items()}
                )

    def _records(self, index: int, cell: Cell) -> Iterator[dict[str, Any]]:
        units = {m.metric: m.unit for m in self.measures}
        finite = np.cumprod(np.isfinite(self.train[index])).astype(bool)
        first = 0
        for position, step in enumerate(self.setting.budgets):
            alive = finite[:step].all()
            values = {metric: series[index, position] for metric, series in self.measured.items()}
            values = {metric: value for metric, value in values.items() if self._was_due(metric, step)}
            values["train_loss"] = float(self.train[index, first:step].mean()) * BITS
            first = step
            for metric, value in values.items():
                healthy = alive and np.isfinite(value)
                row = {"experiment": self.setting.experiment, "cell": cell.fingerprint, **cell.coordinates, "step": step, "metric": metric}
                row |= {"value": round(float(value), 7) if healthy else None, "unit": units.get(metric, self.setting.unit)}
                yield row if healthy else row | {"note": "diverged"}

    def _was_due(self, metric: str, step: int) -> bool:
        return step == self.setting.budgets[-1] or not next(m for m in self.measures if m.metric == metric).last_only
