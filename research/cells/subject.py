"""Subjects: what is swept. A subject has axes and a layout on the devices; prepared, it has weights, data and measures."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from research.analysis.costs import estimated_seconds
from research.cells.bases import Bases
from research.cells.layout import Coordinates, Layout
from research.cells.measures import Measure
from research.cells.programs import Programs
from research.cells.runner import Runner
from research.cells.setting import Cell, Setting
from research.data.vocabulary import Vocabulary
from research.errors import UsageError
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir
from research.sweeps import Plan
from research.training.memory import PROCESS_BYTES, devices_bytes, machine_bytes, nbytes

CHUNKS = 20
Rows = list[dict[str, Any]]


class Sweep(Protocol):
    """The axes of a sweep, its cells by their coordinates; steps and batch size are those of a run.

    selection: the cells that learning rates are chosen by, with their learning rates. results: the cells that are read, without.
    """

    @property
    def steps(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    def selection(self) -> Sequence[Coordinates]: ...

    def results(self) -> Sequence[Coordinates]: ...


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What the runs of a subject stand on, and the records around them.

    bases: what cells start from. rows: of data to train on. measures: by phase. data: fingerprints that cells are named by. cell:
    coordinates with their learning rate -> the cell, its name left "". before: records that need no training. after: records that need
    the trained cells. keep: whether the weights of a cell with these coordinates become an artifact at a step. replay: how many of the
    rows, the last ones, are there to be replayed.
    """

    bases: Bases
    rows: np.ndarray
    measures: Mapping[str, tuple[Measure, ...]]
    data: tuple[str, ...]
    cell: Callable[[Coordinates], Cell]
    before: Callable[[Runner], Iterable[Rows]] = lambda runner: ()
    after: Callable[[Runner, Sequence[Cell]], Iterable[Rows]] = lambda runner, cells: ()
    keep: Callable[[Coordinates, int], bool] = lambda coordinates, step: False
    replay: int = 0


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is swept: its axes, its layout, the sizes of its data, and how it is prepared.

    row: numbers in a row of data. evaluation: (batches, rows) of one. share: of the config, what its cells depend on. flops: of all its
    runs, roughly. read_at, kept_at: shares of the steps at which results are measured, and weights kept, beside the end. longest: most
    steps of one call.
    rates_per_budget: whether learning rates are chosen, and results trained, for each of these steps apart. selection_steps: of the runs
    that rates are chosen by, 0 for all. stopped_early: whether by each run's lowest loss on the way. unit: of the training loss.
    dtype: of rows. vocabulary: where rows are windows of text, whose training loss is read in bits a byte.
    name, described: in the progress and in the records, where an experiment has several; these may share one layout.
    """

    sweep: Sweep
    layout: Layout
    mesh: Mesh
    row: int
    evaluation: tuple[int, int]
    share: Mapping[str, Any]
    flops: float
    prepare: Callable[[Workdir, Progress], Prepared]
    read_at: tuple[float, ...] = ()
    kept_at: tuple[float, ...] = ()
    longest: int | None = None
    rates_per_budget: bool = False
    selection_steps: int = 0
    stopped_early: bool = False
    unit: str = "bits/byte"
    dtype: Any = np.uint8
    vocabulary: Vocabulary | None = None
    name: str = ""
    described: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def chunk(self) -> int:
        """Returns the steps of one call of a program."""
        return chunk_of(self.sweep.steps, self.longest)

    def programs(self) -> Programs:
        """Returns the compiled functions, on a CPU made in the background as soon as they are entered."""
        widths, size = self.layout.widths, self.sweep.batch_size
        rows = {shape: jax.ShapeDtypeStruct((width, self.chunk, size, self.row), self.dtype) for shape, width in widths.items()}
        return Programs(
            self.layout.tasks, self.mesh, self.layout.bases, rows, jax.ShapeDtypeStruct((*self.evaluation, self.row), self.dtype)
        )

    def setting(self, experiment: str, prepared: Prepared) -> Setting:
        """Returns what all cells share; results are measured at whole chunks."""
        return Setting(
            experiment,
            self.mesh,
            prepared.bases,
            prepared.rows,
            self.sweep.batch_size,
            budgets_of(self.sweep.steps, self.chunk, self.read_at),
            self.chunk,
            prepared.measures,
            self.layout.widths,
            prepared.keep,
            budgets_of(self.sweep.steps, self.chunk, self.kept_at),
            self.unit,
            self.vocabulary,
            prepared.replay,
        )


def chunk_of(steps: int, longest: int | None = None) -> int:
    """Returns the steps of one call of a program, of so many in all; `longest` is the most."""
    return max(1, min(steps // CHUNKS, longest or steps))


def budgets_of(steps: int, chunk: int, shares: Iterable[float]) -> tuple[int, ...]:
    """Returns the steps at which results are measured, or weights kept: these shares of all steps, to whole chunks, and the end."""
    rounded = (max(1, round(share * steps / chunk)) * chunk for share in shares)
    return tuple(sorted({min(steps, budget) for budget in rounded} | {steps}))


def by_layout(subjects: Iterable[Subject]) -> dict[int, list[Subject]]:
    """Returns the subjects that share a layout, by the identity of that layout."""
    found: dict[int, list[Subject]] = {}
    for subject in subjects:
        found.setdefault(id(subject.layout), []).append(subject)
    return found


def layout_rows(subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """Returns the rows of all layouts, with the coordinates of a subject that has a layout for itself."""
    return [
        {**(some[0].described if len(some) == 1 else {}), **row} for some in by_layout(subjects).values() for row in some[0].layout.rows()
    ]


def memory_bytes(subjects: Sequence[Subject]) -> int:
    """Returns the bytes that the largest population of these subjects takes, by the estimate by which members were counted."""
    return PROCESS_BYTES + max(subject.layout.memory_bytes for subject in subjects)


def check_memory(subjects: Sequence[Subject]) -> None:
    """Raises UsageError, before a weight is read, for a population that this machine or its devices cannot hold."""
    largest = max((subject.layout for subject in subjects), key=lambda layout: layout.memory_bytes)
    needs, has = memory_bytes(subjects), devices_bytes(jax.local_devices()[0], largest.devices)
    if needs > has:
        shape = max(largest.footprints, key=largest.bytes_of)
        raise UsageError(
            f"a population of {shape!r} needs about {needs / 1e9:.2g} GB and there are {has / 1e9:.2g}; choose a smaller model, "
            "model.param_dtype=bfloat16, model.remat=full, a lower batch_size or model.max_length, leave out what trains everything, or on "
            "several devices split it: mesh.fsdp, mesh.tensor"
        )
    if (host := 2 * nbytes(largest.bases)) > machine_bytes():
        raise UsageError(
            f"the weights take {host / 1e9:.2g} GB on this machine while they are read, more than it has; choose a smaller model"
        )


def planned(subjects: Sequence[Subject], more_seconds: float = 0.0) -> Plan:
    """Returns what would run; the time is a rough estimate from FLOPs and a fixed overhead per step, `more_seconds` for what is no run."""
    own = [some[0] for some in by_layout(subjects).values()]
    cells = [subject.layout.cells for subject in own]
    steps = sum(count * subject.sweep.steps for count, subject in zip(cells, own, strict=True))
    seconds = estimated_seconds(sum(subject.flops for subject in subjects), steps) + more_seconds
    return Plan(sum(cells), layout_rows(subjects), memory_bytes(subjects), seconds)
