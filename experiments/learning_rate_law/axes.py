"""The axes of the experiment: rank x alpha rule x learning rate x seed, beside training everything; on each target, from each start."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from experiments.learning_rate_law.rules import Rule, parse
from research.adapters.lora import targeted
from research.adapters.sites import find_sites
from research.cells.initializations import base_of
from research.cells.pretraining import example_batch, parameter_shapes
from research.cells.runs import SELECTION_SEEDS, LoRARuns, check_rates, check_selection_steps
from research.cells.study import Study, model_of
from research.cells.subject import chunk_of
from research.errors import UsageError
from research.records import rounded
from research.sweeps import grid
from research.training.population import Task

FULL, LORA = "full", "lora"
LEAST_RANKS = 3
CLOSEST = 1.1  # of two rates of a grid


@dataclasses.dataclass(frozen=True)
class RateSweep(LoRARuns):
    """The axes: target x initialization x rule x rank x learning rate x seed; rules that give a rank one alpha share its cells.

    A star: the first target is trained on from all of `inits`, the others from the first. A best rate is looked for twice: coarsely,
    on `learning_rates`, by the selection seeds, and finely, at `factors` of what they chose, by each seed. read_at: shares of the steps at
    which losses are read beside the end. curvature: the config's section.
    """

    targets: tuple[str, ...]
    inits: tuple[str, ...]
    rules: tuple[str, ...]
    ranks: tuple[int, ...]
    factors: tuple[float, ...]
    learning_rates: Mapping[str, tuple[float, ...]]
    read_at: tuple[float, ...]
    selection_steps: int
    curvature: Mapping[str, int]
    bases: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "RateSweep":
        """Returns the sweep of a plain config; raises UsageError for axes that cannot be."""
        own = {field.name: config[field.name] for field in dataclasses.fields(cls) if field.name != "bases"}
        return cls(**own, bases=config["pretraining"]["bases"] if config["base"] == "own" else 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        grid(targets=self.targets, inits=self.inits, rules=self.rules, ranks=self.ranks, factors=self.factors)
        words = [rule.word for rule in self.parsed]
        for name, values in (("targets", self.targets), ("inits", self.inits), ("rules", words), ("ranks", self.ranks)):
            if len(set(values)) < len(values):
                raise UsageError(f"{name} = {getattr(self, name)}: one of them stands there twice")
        if len(self.ranks) < LEAST_RANKS or min(self.ranks) < 1:
            raise UsageError(f"ranks = {self.ranks}: at least {LEAST_RANKS} of 1 or more; through fewer any power of the rank goes")
        if len(self.factors) < 3 or min(self.factors) <= 0 or 1.0 not in self.factors:
            raise UsageError(f"factors = {self.factors}: at least 3 above 0, 1 among them, such as 0.5,1,2")
        ordered = sorted(self.factors)
        if min(after / before for before, after in itertools.pairwise(ordered)) < CLOSEST:
            raise UsageError(f"factors = {self.factors}: at least {CLOSEST} times one another; between nearer ones noise chooses")
        for trains in (FULL, LORA):
            check_rates(trains, self.learning_rates[trains])
        if not all(0 < share < 1 for share in self.read_at):
            raise UsageError(f"read_at = {self.read_at}: shares of the steps between 0 and 1, or () for the end alone")
        check_selection_steps(self.selection_steps, self.steps, chunk_of(self.steps))
        for name, value in self.curvature.items():
            if value < 2:
                raise UsageError(f"curvature.{name} = {value}: at least 2")

    @property
    def parsed(self) -> list[Rule]:
        """Returns the rules, taken apart."""
        return [parse(word) for word in self.rules]

    @property
    def settings(self) -> list[tuple[int, float]]:
        """Returns each (rank, alpha) that is trained, once."""
        return sorted({(rank, rounded(rule.recipe(rank))) for rule in self.parsed for rank in self.ranks})

    def tasks(self, study: Study) -> dict[str, Task]:
        """Returns what is trained, by shape; raises UsageError for ranks and targets that the model has not."""
        model, shapes = model_of(study), parameter_shapes(model_of(study))
        full = Task(model, None, ("^params/",), study.optimizer, study.to_batch, dropout=study.model.dropout > 0)
        spec = self.lora(self.adapter["targets"], max(self.ranks))
        targeted(find_sites(model, shapes, example_batch()), spec, model.tied)
        dropout = full.dropout or spec.dropout > 0
        adapted = dataclasses.replace(full, adapter=spec, moves=("^adapter/",), dropout=dropout, further=("alpha",))
        return {FULL: full, LORA: adapted}

    def parts(self) -> list["Part"]:
        """Returns the parts of the sweep, a target each, in the order in which they run."""
        return [Part(self, target, self.inits if place == 0 else self.inits[:1]) for place, target in enumerate(self.targets)]


@dataclasses.dataclass(frozen=True)
class Part:
    """What is swept on one target."""

    sweep: RateSweep
    target: str
    inits: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Returns the steps of a run."""
        return self.sweep.steps

    @property
    def batch_size(self) -> int:
        """Returns the examples of a step."""
        return self.sweep.batch_size

    def selection(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells by which best rates are looked for coarsely."""
        first = SELECTION_SEEDS
        cells = self._coordinates("select", range(first, first + self.sweep.selection_seeds))
        return [{**c, "learning_rate": rate} for c in cells for rate in self.sweep.learning_rates[c["trains"]]]

    def results(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that are read, with the factor of the chosen rate in the place of a rate."""
        cells = self._coordinates("result", range(self.sweep.seeds))
        return [{**c, "rate_of": (c["arm"], factor)} for c in cells for factor in self.sweep.factors]

    def settings(self, seeds: Iterable[int]) -> Iterator[dict[str, Any]]:
        """Yields the coordinates of each setting of the adapter, start and seed."""
        for init in self.inits:
            for rank, alpha in self.sweep.settings:
                for seed in seeds:
                    where = {"target": self.target, "init": init, "arm": f"alpha@{alpha:g}", "trains": LORA, "rank": rank, "alpha": alpha}
                    yield {**where, "seed": seed, "base": base_of(init, seed, self.sweep.bases)}

    def _coordinates(self, phase: str, seeds: Iterable[int]) -> Iterator[dict[str, Any]]:
        for init in self.inits:
            for seed in seeds:
                where = {"target": self.target, "init": init, "arm": FULL, "trains": FULL, "rank": None, "alpha": None, "seed": seed}
                yield {"phase": phase, **where, "base": base_of(init, seed, self.sweep.bases)}
        yield from ({"phase": phase, **where} for where in self.settings(seeds))
