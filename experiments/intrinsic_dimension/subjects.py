"""Subjects: what intrinsic dimension is measured of. A subject says what trains; prepared, it is weights, data and measures."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.intrinsic_dimension.dimensions import DimensionSweep
from research.cells.layout import Layout
from research.cells.programs import Programs
from research.cells.runner import Measure, Setting
from research.cells.study import budgets_of
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir


class Prepared(NamedTuple):
    """Stacked bases with the place of each (init, seed), rows to train on, measures by phase, and what else is known of the data.

    targets: train and test, what is to be predicted, in one long row each. pretrained: steps of pretraining behind each init.
    """

    bases: Any
    places: Mapping[tuple[str, int], int]
    rows: np.ndarray
    measures: Mapping[str, tuple[Measure, ...]]
    fingerprints: tuple[str, ...]
    targets: tuple[np.ndarray, np.ndarray]
    pretrained: Mapping[str, int]


class Subject(NamedTuple):
    """A model whose dimension is measured: its name, what its records say of it, its axes, layout, sizes, and how it is prepared.

    row: numbers in a row of data. chunk: steps of one call. evaluation: (batches, rows) of one. share: of the config, what its cells
    depend on. flops: of all its runs, roughly.
    """

    name: str
    described: Mapping[str, Any]
    sweep: DimensionSweep
    layout: Layout
    mesh: Mesh
    row: int
    chunk: int
    evaluation: tuple[int, int]
    unit: str
    share: Mapping[str, Any]
    flops: float
    prepare: Callable[[Workdir, Progress], Prepared]

    @property
    def steps(self) -> int:
        """Returns the steps of a run."""
        return self.sweep.steps

    def programs(self) -> Programs:
        """Returns the compiled functions, on a CPU made in the background as soon as they are entered."""
        size, widths = self.sweep.batch_size, self.layout.widths
        rows = {shape: jax.ShapeDtypeStruct((width, self.chunk, size, self.row), np.uint8) for shape, width in widths.items()}
        return Programs(self.layout.tasks, self.mesh, self.layout.bases, rows, jax.ShapeDtypeStruct((*self.evaluation, self.row), np.uint8))

    def setting(self, experiment: str, prepared: Prepared, read_at: tuple[float, ...]) -> Setting:
        """Returns what all cells share; results are measured at these shares of the steps, to whole chunks, and at the end."""
        return Setting(
            experiment,
            self.mesh,
            prepared.bases,
            prepared.rows,
            self.sweep.batch_size,
            budgets_of(self.steps, self.chunk, read_at),
            self.chunk,
            prepared.measures,
            self.layout.widths,
            unit=self.unit,
        )
