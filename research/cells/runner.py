"""Running cells: cut into populations, trained chunk by chunk, measured at the budgets, resumed where they stopped."""

import copy
import dataclasses
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from research import tree
from research.cells.bases import Bases
from research.cells.measures import BITS, Measure
from research.cells.programs import Programs
from research.cells.setting import Cell, Setting, kept_as
from research.data.batches import replayed, scored, within
from research.records import rounded
from research.runtime.assignments import Population as Assigned
from research.runtime.progress import Interrupted, Progress, stop_requested
from research.runtime.workdir import Workdir
from research.training import checkpoints, processes
from research.training.continued import continued
from research.training.memory import nbytes, peak_bytes
from research.training.mesh import P, shardings
from research.training.population import FURTHER, Members, place

_log = logging.getLogger(__name__)
PLACES = ("reference", "importance")  # in the stack of bases


def finished(workdir: Workdir, last: int) -> set[str]:
    """Returns the fingerprints of cells all of whose records stand in the workdir: the last one, train_loss at the last step, does."""
    return {row["cell"] for row in workdir.records.rows if row.get("metric") == "train_loss" and row.get("step") == last}


class Runner:
    """Runs cells in a workdir; populations of the same shape share their compiled programs."""

    def __init__(self, programs: Programs, setting: Setting, workdir: Workdir, progress: Progress) -> None:
        self.programs, self.setting, self.workdir, self.progress = programs, setting, workdir, progress
        self._placed: tuple[int, Any] | None = None
        everywhere = shardings(setting.mesh, P())
        self.held_out = {
            (phase, m.metric): [processes.place(chunk, everywhere) for chunk in m.batches]
            for phase, some in setting.measures.items()
            for m in some
        }

    def until(self, steps: int) -> "Runner":
        """Returns a runner of the same programs whose runs end after so many steps, a multiple of its chunk; itself where that is 0."""
        if not steps:
            return self
        short = copy.copy(self)
        self._placed = None  # one of them holds what is on the devices
        short.setting = dataclasses.replace(self.setting, budgets=(steps,))
        return short

    def on(self, bases: Bases) -> "Runner":
        """Returns a runner of the same programs whose cells start from other bases, as many and of the same shapes."""
        other = copy.copy(self)
        self._placed = other._placed = None
        other.setting = dataclasses.replace(self.setting, bases=bases)
        return other

    def placed(self, base: int) -> Any:
        """Returns the stack that holds a base, on the devices; the one before is dropped first where it is another one."""
        bases = self.setting.bases
        key = 0 if bases.together else base
        if self._placed is None or self._placed[0] != key:
            self._placed = None
            self._placed = key, place(self.setting.mesh, bases.stack(base))
        return self._placed[1]

    def run(self, cells: Sequence[Cell], name: str) -> Iterator[list[dict[str, Any]]]:
        """Yields the records of one population after another; populations whose records all stand are passed over.

        Raises Interrupted, after saving, when a stop is requested.
        """
        by_name, together = {cell.fingerprint: cell for cell in cells}, self.setting.bases.together
        done = finished(self.workdir, self.setting.budgets[-1])
        keyed = [(cell.fingerprint, cell.shape if together else (cell.shape, cell.base)) for cell in cells]
        assigned = self.workdir.assign(keyed, lambda key: self.setting.widths[key if together else key[0]], done)
        if not together:  # a base is made when its first population starts, and dropped after its last
            assigned = sorted(assigned, key=lambda population: population.shape_key[1])
        with self.progress.task(name, len(cells) * self.setting.budgets[-1]) as task:
            for population in assigned:
                mine = [by_name[cell] for cell in population.cells if cell in by_name]
                if done.issuperset(population.cells):
                    task.advance(len(mine) * self.setting.budgets[-1])
                    continue
                yield _InFlight(self, population, mine).finish(task)
                if processes.leads():
                    shutil.rmtree(self.workdir.state_dir(population.id), ignore_errors=True)

    def untouched(
        self, shape: str, phase: str, bases: Sequence[int], references: Sequence[int] | None = None, stack: Any = None
    ) -> dict[str, np.ndarray]:
        """Returns what each measure of `phase` reads of bases before any training (and what they are compared with), members of `shape`.

        By name as in `Measure.read`, (bases,), and by document (bases, group). stack: other weights of the shapes of a stack of bases.
        """
        functions, width = self.programs[shape], self.setting.widths[shape]
        own, size = self.setting.bases, width if self.setting.bases.together or stack is not None else 1
        found: dict[str, list[np.ndarray]] = {}
        for first in range(0, len(bases), size):
            placed = self.placed(bases[first]) if stack is None else place(self.setting.mesh, stack)
            pairs = (x[first : first + size] for x in (bases, references or bases))
            some, other = (np.resize(np.array([own.index(base) for base in x], np.int32), width) for x in pairs)
            members = Members(some, np.zeros(width, np.int32), np.zeros(width, np.float32), np.zeros(width, np.uint32))
            members = members if references is None else members._replace(reference=other)
            states = functions.init(members, placed)
            for m in self.setting.measures[phase]:
                chunks = [functions.evaluate(states, members, placed, chunk) for chunk in self.held_out[phase, m.metric]]
                for name, values in m.read(processes.fetch([m.needed(chunk) for chunk in chunks])).items():
                    found.setdefault(name, []).extend(values[: len(bases[first : first + size])])
        return {name: np.array(values) for name, values in found.items()}

    def due(self, phase: str, last: bool) -> list[tuple[Measure, Sequence[Any]]]:
        """Returns the measures of `phase` that are read at a budget, the last one or one before, with the batches they are read on."""
        return [(m, chunks) for m in self.setting.measures[phase] if (chunks := self.held_out[phase, m.metric][m.chunks(last)])]


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
            np.array([self.setting.bases.index(cell.base) for cell in rows], np.int32),
            np.array([cell.rank for cell in rows], np.int32),
            np.array([cell.learning_rate for cell in rows], np.float32),
            np.array(self.seeds, np.uint32),
            **{name: self._further(name, rows) for name in FURTHER if getattr(rows[0], name) is not None},
        )
        self.shares = [cell.replayed for cell in rows]
        self.fresh = len(self.setting.windows) - self.setting.replay
        self.spans = [cell.span or (0, self.fresh) for cell in rows]
        self.again = [cell.again or (self.fresh, len(self.setting.windows)) for cell in rows]
        self.bases = runner.placed(cells[0].base)
        self.phase = cells[0].coordinates["phase"]
        self.measures = {name: m for m in self.setting.measures[self.phase] for name in m.shapes()}
        sizes = {name: (len(rows), len(self.setting.budgets), *m.shapes()[name]) for name, m in self.measures.items()}
        self.measured = {name: np.full(size, np.nan) for name, size in sizes.items()}
        self.train = np.full((len(rows), self.setting.budgets[-1]), np.nan, np.float32)

    def _further(self, name: str, rows: Sequence[Cell]) -> np.ndarray:
        values = [getattr(cell, name) for cell in rows]
        return np.array([self.setting.bases.together_at(value) for value in values] if name in PLACES else values, FURTHER[name])

    def finish(self, task: Any) -> list[dict[str, Any]]:
        start = time.monotonic()
        states, done = self._begin()
        task.advance(done * len(self.cells))
        saves = checkpoints.Autosave(self.folder, nbytes(states))
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
        seconds = time.monotonic() - start
        timing = {"stage": "populations", "shape": self.cells[0].shape, "cells": len(self.cells), "metric": "seconds"}
        memory = {**timing, "metric": "peak_memory", "value": peak_bytes(), "unit": "bytes"}
        self.runner.workdir.timings.append([{**timing, "value": round(seconds, 3), "unit": "s"}, memory])
        return [row for index, cell in enumerate(self.cells) for row in self._records(index, cell)]

    def _begin(self) -> tuple[Any, int]:
        states = self.functions.init(self.members, self.bases)
        try:
            found = checkpoints.restore(self.folder, (states, self.measured, self.train))
        except checkpoints.AnotherTree:  # of another width: as many members as fitted other devices, or another `members`
            _log.info("%d cells begin again: they were saved in a program of another shape", len(self.cells))
            shutil.rmtree(self.folder, ignore_errors=True)
            found = None
        if found is None:
            return continued(states, [self.runner.workdir.load_artifact(cell.after) for cell in self.cells if cell.after]), 0
        done, (states, measured, train) = found
        self.measured, self.train = {name: np.array(values) for name, values in measured.items()}, np.array(train)
        _log.info("continuing %d cells at step %d", len(self.cells), done)
        return states, done

    def _chunk(self, states: Any, done: int, steps: int) -> Any:
        """Dispatches a chunk and its measurements before any result is read."""
        setting = self.setting
        order = within(self.spans, self.seeds, done, steps, setting.batch_size)
        order = replayed(order, self.seeds, self.shares, done, self.again) if any(self.shares) else order
        states, losses = self.functions.train(states, self.members, setting.windows[order], self.bases)
        done += steps
        due = self.runner.due(self.phase, done == setting.budgets[-1]) if done in setting.budgets else []
        pending = [(m, [m.needed(self.functions.evaluate(states, self.members, self.bases, x)) for x in chunks]) for m, chunks in due]
        self.train[:, done - steps : done] = processes.fetch(losses) * self._tokens_per_byte(order)
        for measure, chunks in pending:
            for name, values in measure.read(processes.fetch(chunks)).items():
                self.measured[name][:, setting.budgets.index(done)] = values
        if done in setting.kept_at or done == setting.budgets[-1]:
            self._keep(states, done)
        return states

    def _tokens_per_byte(self, order: np.ndarray) -> np.ndarray | float:
        """How many tokens were scored for each byte of text, in the batches (member, step, batch) of an order."""
        if self.setting.vocabulary is None:
            return 1.0
        tokens, size = scored(self.setting.windows[order], self.setting.vocabulary)
        share: np.ndarray = tokens.sum(-1) / np.maximum(size.sum(-1), 1)
        return share

    def _keep(self, states: Any, step: int) -> None:
        kept = [(index, cell) for index, cell in enumerate(self.cells) if self.setting.keep(cell.coordinates, step)]
        if kept:
            # An adapter is told apart from another one by its scale, which does not move.
            scales = {path: leaf for path, leaf in tree.flatten(states.constants).items() if path.endswith("/scale")}
            arrays: list[dict[str, np.ndarray]] = [{} for _ in kept]
            for path, leaf in {**tree.flatten(states.trainable), **scales}.items():
                host = processes.fetch(leaf)  # of all members, but one leaf at a time
                for own, (index, _) in zip(arrays, kept, strict=True):
                    own[path] = host[index].astype(np.float32)
            for own, (_, cell) in zip(arrays, kept, strict=True):
                self.runner.workdir.save_artifact(kept_as(cell, step, self.setting.budgets[-1]), own)

    def _records(self, index: int, cell: Cell) -> Iterator[dict[str, Any]]:
        finite = np.cumprod(np.isfinite(self.train[index])).astype(bool)
        first, last = 0, self.setting.budgets[-1]

        def row(step: int, metric: str, value: float, unit: str, **more: Any) -> dict[str, Any]:
            healthy = finite[:step].all() and np.isfinite(value)
            made = {"experiment": self.setting.experiment, "cell": cell.fingerprint, **cell.coordinates, "step": step, **more}
            made |= {"metric": metric, "value": rounded(float(value)) if healthy else None, "unit": unit}
            return made if healthy else made | {"note": "diverged"}

        for position, step in enumerate(self.setting.budgets):
            for name, measure in self.measures.items():
                read = self.measured[name][index, position]
                for document, value in enumerate(read.ravel()) if measure.due(name, step == last) else ():
                    yield row(step, name, value, measure.unit, **({"document": document} if read.ndim else {}))
            yield row(step, "train_loss", float(self.train[index, first:step].mean()) * BITS, self.setting.unit)
            first = step
