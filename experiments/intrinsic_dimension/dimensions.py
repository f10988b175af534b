"""Dimensions: what trains within random subspaces of every size, and how its cells become members of programs."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from research.adapters.subspace import Subspace, targeted
from research.cells.initializations import base_of
from research.cells.runs import Runs
from research.cells.setting import Cell
from research.errors import UsageError
from research.models.model import Model, Variables
from research.optimizers import OptimizerSpec
from research.sweeps import chain, grid
from research.training.population import Task

LEAST_DRAWS = 3
READ_AT = (0.25, 0.5)  # of the steps, beside the end
KEYS = ("dimensions", "projections", "draws", "selection_draws", "rates_at", "step_norms", "steps", "batch_size")


@dataclasses.dataclass(frozen=True)
class DimensionSweep(Runs):
    """The axes of a sweep over dimensions of one model: initialization x (projection x dimension | everything) x learning rate x draw.

    A draw, a seed, redraws P, the order of the data, and the weights where they are random or shuffled. Learning rates are given as the
    norm of a step: Adam moves each of d coordinates by about the rate, and P's columns are orthonormal (Fastfood's in expectation), so the
    rate is the norm over sqrt(d), whatever P, and in the full space too; the learned scales of layers are not counted in it. They are
    chosen at `rates_at` of the dimensions (0, or as many as there are: at each), spread evenly; another dimension takes the norm of the
    nearest one, in log dimension.
    """

    inits: tuple[str, ...]
    dimensions: tuple[int, ...]
    projections: tuple[str, ...]
    per_layer: bool
    rates_at: int
    step_norms: tuple[float, ...]
    parameters: int
    bases: int

    @classmethod
    def of(cls, config: Mapping[str, Any], model: str, parameters: int, inits: tuple[str, ...]) -> "DimensionSweep":
        """Returns the sweep that a plain config says of a model ('fc', 'lenet', 'lm'); raises UsageError for axes that cannot be."""
        own = {key: config[key][model] for key in KEYS}
        for key in ("dimensions", "projections", "step_norms"):
            grid(**{f"{key}.{model}": own[key]})
            if len(set(own[key])) < len(own[key]):
                raise UsageError(f"{key}.{model} = {own[key]}: something stands there twice")
        if not inits or len(set(inits)) < len(inits):
            raise UsageError(f"inits = {inits}: give at least one, each once")
        if own["draws"] < LEAST_DRAWS:
            raise UsageError(f"draws.{model} = {own['draws']}: an interval that is bootstrapped over draws needs at least {LEAST_DRAWS}")
        if len(own["step_norms"]) < 3 or min(own["step_norms"]) <= 0:
            raise UsageError(f"step_norms.{model} = {own['step_norms']}: at least 3, all above 0, such as 0.3,1,3")
        return cls(
            seeds=own.pop("draws"),
            selection_seeds=own.pop("selection_draws"),
            members=config["members"],
            inits=inits,
            per_layer=config["per_layer"],
            parameters=parameters,
            bases=config["pretraining"]["bases"],
            **{**own, "dimensions": tuple(sorted(own["dimensions"]))},
        )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rates_at < 0:
            raise UsageError(f"rates_at = {self.rates_at}: at how many dimensions learning rates are chosen, or 0 for each of them")

    def tasks(self, model: Model, params: Variables, optimizer: OptimizerSpec, to_batch: Callable[..., Any], row: int) -> dict[str, Task]:
        """Returns what is trained, by shape: 'full' and each projection, padded to the largest dimension. `params` may be shapes.

        Raises UsageError for a dimension that does not fit the model.
        """
        base = Task(model, None, ("^params/",), optimizer, to_batch, row=row)
        result = {"full": base}
        for kind in self.projections:
            for dimension in self.dimensions:
                targeted(params, Subspace(dimension, kind, self.per_layer))
            spec = Subspace(max(self.dimensions), kind, self.per_layer)
            result[kind] = dataclasses.replace(base, adapter=spec, moves=("^adapter/",))
        return result

    def anchors(self) -> tuple[int, ...]:
        """Returns the dimensions at which learning rates are chosen; at 0 there is nothing to choose."""
        moving = [d for d in self.dimensions if d > 0]
        if not 0 < self.rates_at < len(moving):
            return tuple(moving)
        places = np.linspace(0, len(moving) - 1, self.rates_at + 2)[1:-1]
        return tuple(dict.fromkeys(moving[round(place)] for place in places))

    def anchor(self, dimension: int) -> int:
        """Returns the dimension whose learning rate this one takes."""
        return min(self.anchors(), key=lambda d: abs(np.log(d / max(dimension, 1))), default=0)

    def coordinates(self, phase: str, dimensions: Iterable[int], seeds: Iterable[int]) -> list[dict[str, Any]]:
        """Returns the coordinates of a phase's cells, without their learning rate."""
        seeds, start = tuple(seeds), {"phase": (phase,), "init": self.inits}
        rows = chain(
            grid(**start, projection=self.projections, dimension=dimensions, seed=seeds),
            grid(**start, projection=(None,), dimension=(None,), seed=seeds),
        )
        return [self._described(row) for row in rows]

    def _described(self, row: Mapping[str, Any]) -> dict[str, Any]:
        full = row["projection"] is None
        arm = "everything" if full else f"{row['projection']} d = {self.anchor(row['dimension'])}"
        start = {"phase": row["phase"], "init": row["init"], "arm": arm, "trains": "full" if full else "subspace", "rank": None}
        return {**start, "projection": row["projection"], "dimension": row["dimension"], "seed": row["seed"]}

    def selection(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that learning rates are chosen by."""
        cells = self.coordinates("select", self.anchors() or (0,), self.all_seeds()[self.seeds :])
        return [{**c, "learning_rate": norm / self._root(c["dimension"])} for c in cells for norm in self.step_norms]

    def _root(self, dimension: int | None) -> float:
        return math.sqrt(max(self.parameters if dimension is None else dimension, 1))

    def rescaled(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a cell that was given the learning rate of its anchor with the rate of the same step norm at its own dimension."""
        if cell["dimension"] is None:
            return dict(cell)
        ratio = self._root(self.anchor(cell["dimension"])) / self._root(cell["dimension"])
        return {**cell, "learning_rate": cell["learning_rate"] * ratio}

    def results(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that are read, without their learning rate."""
        return self.coordinates("result", self.dimensions, range(self.seeds))

    def width(self) -> str:
        """Returns what P is padded to, in words: dense and Fastfood draw another P at another width."""
        return f"{max(self.dimensions)} of {self.parameters}"


def made(
    coordinates: Mapping[str, Any], sweep: DimensionSweep, described: Mapping[str, Any], places: Mapping[tuple[str, int], int]
) -> Cell:
    """Returns the cell of some coordinates, not yet named: at the learning rate of its own dimension, said of this model, from its base."""
    c = {**described, **sweep.rescaled(coordinates), "base": base_of(coordinates["init"], coordinates["seed"], sweep.bases)}
    return Cell("", c, shape_of(c), places[c["init"], c["seed"]], c["dimension"] or 0, c["learning_rate"], c["seed"])


def shape_of(coordinates: Mapping[str, Any]) -> str:
    """Returns the shape of a cell, a key of `DimensionSweep.tasks`."""
    return coordinates["projection"] or "full"
