"""The axes of the experiment: arm x seed, several seeds a base, at the learning rate chosen for each; and full training of nulls."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from experiments.lora_vs_full.arms import FULL, LORA, NONE, NULLS, SHUFFLED, Arm, parse, shuffled
from research.adapters.lora import targeted
from research.adapters.sites import find_sites
from research.cells import words
from research.cells.initializations import base_of
from research.cells.pretraining import example_batch, parameter_shapes
from research.cells.runs import SELECTION_SEEDS, LoRARuns, check_rates, check_selection_steps
from research.cells.study import Study, model_of
from research.cells.subject import chunk_of
from research.errors import UsageError
from research.training.population import Task

INIT = "pretrained"


@dataclasses.dataclass(frozen=True)
class VersusSweep(LoRARuns):
    """The axes: arm x seed. Seeds that share a base are `bases` apart: the first of each are read, and the others, of arms that are not
    slowed, say what two seeds of a base share.

    arms: words, of which `full` is always one: all others are compared with it. nulls: of full training. read_at: shares of the steps
    after which losses are read and weights kept. equal_at: shares of what full learns at which arms are compared. intruders: `top` leading
    singular vectors, of which those with no cosine of `eps` are counted. cut_ranks, factors, alphas, subspaces: ranks to which updates are
    cut, what intruders' singular values and whole updates are multiplied with, dimensions of the subspaces that are compared.
    """

    arms: tuple[str, ...]
    nulls: tuple[str, ...]
    read_at: tuple[float, ...]
    equal_at: tuple[float, ...]
    intruders: Mapping[str, Any]
    cut_ranks: tuple[int, ...]
    factors: tuple[float, ...]
    alphas: tuple[float, ...]
    subspaces: tuple[int, ...]
    selection_steps: int
    learning_rates: Mapping[str, tuple[float, ...]]
    bases: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "VersusSweep":
        """Returns the sweep of a plain config; raises UsageError for axes that cannot be."""
        own = {field.name: config[field.name] for field in dataclasses.fields(cls) if field.name != "bases"}
        return cls(**own, bases=config["pretraining"]["bases"] if config["base"] == "own" else 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        known = [(arm.name, arm.strength) for arm in self.parsed]
        for name in ("arms", "nulls", "cut_ranks", "factors", "alphas", "subspaces", "equal_at"):
            values = known if name == "arms" else getattr(self, name)
            if len(set(values)) < len(values):
                raise UsageError(f"{name} = {getattr(self, name)}: one of them stands there twice")
        if FULL not in self.arms:
            raise UsageError(f"arms = {','.join(self.arms)}: all are compared with full; add it")
        words.check_slowed("arms", self.parsed)
        if unknown := [null for null in self.nulls if null not in NULLS]:
            raise UsageError(f"nulls has {unknown[0]!r}: choose among {', '.join(NULLS)}")
        if SHUFFLED in self.nulls and self.batch_size < 2:
            raise UsageError("nulls has shuffled, which takes labels from another example, and batch_size = 1: 2 at least, or leave it out")
        for trains in {arm.recipe.shape for arm in self.parsed}:
            check_rates(trains, self.learning_rates[trains])
        for name in ("read_at", "factors", "alphas", "equal_at"):
            if not all(0 < share < 1 for share in getattr(self, name)):
                raise UsageError(f"{name} = {getattr(self, name)}: numbers between 0 and 1; both ends are there anyway")
        if not self.equal_at:
            raise UsageError("equal_at is empty: name a share of what full learns at which arms are compared, such as 0.8")
        if not 0 < self.intruders["eps"] < 1 or self.intruders["top"] < 1:
            raise UsageError("intruders.eps is a cosine between 0 and 1, intruders.top a number of singular vectors, 1 at least")
        for name in ("cut_ranks", "subspaces"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}: numbers of directions, 1 at least")
        check_selection_steps(self.selection_steps, self.steps, chunk_of(self.steps))

    @property
    def parsed(self) -> list[Arm]:
        """Returns the arms, taken apart."""
        return [parse(word) for word in self.arms]

    def reads(self, coordinates: Mapping[str, Any]) -> bool:
        """Returns whether a cell's update is read: that of one seed a base."""
        return bool(coordinates["seed"] < min(self.bases, self.seeds) or (self.bases == 1 and coordinates["phase"] != "select"))

    def tasks(self, study: Study) -> dict[str, Task]:
        """Returns what is trained, by shape; raises UsageError for ranks and targets that the model has not."""
        model, shapes = model_of(study), parameter_shapes(model_of(study))
        full = Task(model, None, ("^params/",), study.optimizer, study.to_batch, dropout=study.model.dropout > 0)
        # A null has a shape of its own: what is read of a population is read of all its members, and of nulls nothing is.
        found = {FULL: full, **dict.fromkeys(self.nulls, full)}
        if SHUFFLED in self.nulls:
            found[SHUFFLED] = dataclasses.replace(full, to_batch=shuffled(study.to_batch))
        if ranks := [arm.recipe.rank for arm in self.parsed if arm.recipe.rank]:
            spec = self.lora(self.adapter["targets"], max(ranks))
            targeted(find_sites(model, shapes, example_batch()), spec, model.tied)  # targets and rank that do not fit: now
            found[LORA] = dataclasses.replace(full, adapter=spec, moves=("^adapter/",), dropout=full.dropout or spec.dropout > 0)
        return found

    def selection(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that learning rates are chosen by."""
        cells = self._coordinates("select", range(SELECTION_SEEDS, SELECTION_SEEDS + self.selection_seeds))
        return [{**c, "learning_rate": rate} for c in cells if "rate_of" not in c for rate in self.learning_rates[c["trains"]]]

    def results(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that are read, without their learning rate; nulls take full's."""
        cells = [c for c in self._coordinates("result", range(self.seeds)) if self.reads(c) or parse(c["arm"]).recipe.slowed is None]
        full = [c for c in cells if c["arm"] == FULL and self.reads(c)]
        nulls = [{**c, "phase": "null", "null": null, "rate_of": (FULL, 1.0)} for null in self.nulls for c in full]
        return [*cells, *nulls]

    def _coordinates(self, phase: str, seeds: Iterable[int]) -> Iterator[dict[str, Any]]:
        for arm in self.parsed:
            what = {"arm": arm.word, "trains": arm.recipe.shape, "rank": arm.recipe.rank, "null": NONE}
            for seed in seeds:
                slowed = {} if arm.recipe.slowed is None else {"rate_of": arm.recipe.slowed}
                yield {"phase": phase, "init": INIT, **what, "seed": seed, "base": base_of(INIT, seed, self.bases), **slowed}
