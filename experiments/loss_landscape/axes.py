"""The axes of the experiment: from where, what moves, in which order of the data; and what is read of the weights."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from research.adapters.lora import targeted
from research.adapters.sites import find_sites
from research.cells import initializations
from research.cells.initializations import base_of
from research.cells.pretraining import example_batch, parameter_shapes
from research.cells.runs import SELECTION_SEEDS, LoRARuns, check_rates
from research.cells.study import Study, model_of
from research.cells.subject import chunk_of
from research.errors import UsageError
from research.sweeps import grid
from research.training.population import Task

READINGS = ("surfaces", "profiles", "curvature", "densities", "barriers", "paths", "stability")
LONGEST = 5  # steps of one call: the way is read early, where most of it lies
ORDERS = 10_000  # by which the orders of further runs from a base are apart from those of other seeds
FULL, LORA = "full", "lora"


@dataclasses.dataclass(frozen=True)
class LandscapeSweep(LoRARuns):
    """The axes: initialization x (everything | LoRA) x base (seed) x order of the data (run), at the learning rate chosen for each arm.

    rank: of LoRA, 0 for none; trained once from each base. runs: of everything, from each base. read_at: shares of the steps at which
    losses are read, path: at which curvature is, beside the start and the end. readings: what is read of the weights, among `READINGS`.
    sequences: windows of the fixed batch set on which the landscape stands. grids, curvature, stability: the config's sections.
    """

    least_steps: ClassVar[int] = 0
    inits: tuple[str, ...]
    rank: int
    runs: int
    read_at: tuple[float, ...]
    path: tuple[float, ...]
    readings: tuple[str, ...]
    sequences: int
    grids: Mapping[str, Any]
    curvature: Mapping[str, Any]
    stability: Mapping[str, Any]
    selection_steps: int
    learning_rates: Mapping[str, tuple[float, ...]]
    bases: int
    elsewhere: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "LandscapeSweep":
        """Returns the sweep of a plain config; raises UsageError for axes that cannot be."""
        elsewhere = config["base"] != "own"
        own = {field.name: config[field.name] for field in dataclasses.fields(cls) if field.name not in ("bases", "elsewhere")}
        return cls(**own, bases=1 if elsewhere else config["pretraining"]["bases"], elsewhere=elsewhere)

    def __post_init__(self) -> None:
        super().__post_init__()
        grid(inits=self.inits, readings=self.readings)
        for init in self.inits:
            initializations.parse(init)
        if unknown := [word for word in self.readings if word not in READINGS]:
            raise UsageError(f"readings has {unknown[0]!r}: choose among {', '.join(READINGS)}")
        if self.reads("densities") and not self.reads("curvature"):
            raise UsageError("readings has densities, which are read where curvature says that losses are alike: add curvature")
        least = {"rank": (self.rank, 0), "runs": (self.runs, 1), "sequences": (self.sequences, 1)}
        least |= {
            f"grids.{name}": (self.grids[name], low) for name, low in (("surface", 3), ("profile", 3), ("line", 3), ("directions", 1))
        }
        least |= {f"curvature.{name}": (self.curvature[name], low) for name, low in (("products", 2), ("probes", 0), ("densities", 2))}
        least |= {f"stability.{name}": (self.stability[name], 1) for name in ("steps", "rounds")}
        for name, (value, low) in least.items():
            if value < low:
                raise UsageError(f"{name} = {value}: must be at least {low}")
        if self.curvature["probes"] == 1:
            raise UsageError("curvature.probes = 1 gives the trace no interval: at least 2, or 0 for no trace")
        if not 0 < self.stability["lowest"] < self.stability["highest"]:
            raise UsageError("stability.lowest and stability.highest are learning rates: above 0, the first one the smaller")
        if not all(0 < share < 1 for share in (*self.read_at, *self.path)):
            raise UsageError(f"read_at = {self.read_at}, path = {self.path}: shares of the steps between 0 and 1, or () for the end alone")
        for trains in self.trained:
            check_rates(trains, self.learning_rates[trains])
        if not 0 <= self.selection_steps <= self.steps or self.selection_steps % chunk_of(self.steps, LONGEST):
            raise UsageError(
                f"selection_steps = {self.selection_steps}: 0 for all {self.steps} steps, or a multiple of the chunk below them"
            )

    @property
    def trained(self) -> tuple[str, ...]:
        """Returns what is trained from each base."""
        return (FULL, LORA) if self.rank else (FULL,)

    def reads(self, reading: str) -> bool:
        """Returns whether something is read of the weights."""
        return reading in self.readings

    def tasks(self, study: Study) -> dict[str, Task]:
        """Returns what is trained, by shape."""
        model = model_of(study)
        full = Task(model, None, ("^params/",), study.optimizer, study.to_batch, dropout=study.model.dropout > 0)
        if not self.rank:
            return {FULL: full}
        spec = self.lora(self.adapter["targets"], self.rank)
        targeted(find_sites(model, parameter_shapes(model), example_batch()), spec, model.tied)  # targets and rank that do not fit: now
        return {FULL: full, LORA: dataclasses.replace(full, adapter=spec, moves=("^adapter/",), dropout=full.dropout or spec.dropout > 0)}

    def selection(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that learning rates are chosen by."""
        if not self.steps:
            return []
        cells = self._coordinates("select", range(SELECTION_SEEDS, SELECTION_SEEDS + self.selection_seeds), 1)
        return [{**c, "learning_rate": rate} for c in cells for rate in self.learning_rates[c["trains"]]]

    def results(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that are read, without their learning rate."""
        return list(self._coordinates("result", range(self.seeds), self.runs)) if self.steps else []

    def starts(self) -> list[dict[str, Any]]:
        """Returns the coordinates of what is read before training: each arm from each base, without a learning rate."""
        own = self._coordinates("landscape", range(self.seeds), 1)
        return [{**c, "learning_rate": None} for c in own]

    def _coordinates(self, phase: str, seeds: Iterable[int], runs: int) -> Iterator[dict[str, Any]]:
        for init in self.inits:
            for trains in self.trained:
                where = {"phase": phase, "init": init, "arm": None, "trains": trains, "rank": self.rank if trains == LORA else None}
                for seed in seeds:
                    own = {**where, "seed": seed, "base": base_of(init, seed, self.bases)}
                    yield from ({**own, "run": run} for run in range(runs if trains == FULL else 1))


def order_of(coordinates: Mapping[str, Any]) -> int:
    """Returns the seed of a run's order of the data, and of an adapter's first values."""
    return int(coordinates["seed"] + ORDERS * coordinates["run"])
