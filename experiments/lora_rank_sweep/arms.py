"""Arms: what may move, from where, at which rank and learning rate."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from research.adapters.lora import targeted
from research.adapters.sites import find_sites
from research.cells import initializations
from research.cells.pretraining import example_batch, parameter_shapes
from research.cells.runs import LoRARuns, check_rates
from research.cells.study import Study, model_of
from research.data.batches import batch
from research.errors import UsageError
from research.sweeps import chain, grid
from research.training.population import Task

EVERY_MATRIX = ("(kernel|embedding)$",)


class Arm(NamedTuple):
    """Where adapters sit (None: adapter.targets of the config) and what is trained beside them."""

    targets: tuple[str, ...] | None
    beside: tuple[str, ...]


ARMS = {
    "block": Arm(None, ()),
    "all": Arm(EVERY_MATRIX, ()),
    "block+norms": Arm(None, ("params/.*norm/",)),
    "block+ends": Arm(None, ("params/.*norm/", "params/embedding/", "params/head/")),
}


@dataclasses.dataclass(frozen=True)
class RankSweep(LoRARuns):
    """The axes of a sweep over ranks: initialization x arm x (rank | matched | full) x learning rate x seed."""

    inits: tuple[str, ...]
    arms: tuple[str, ...]
    ranks: tuple[int, ...]
    lora_rates: tuple[float, ...]
    full_rates: tuple[float, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "RankSweep":
        """Returns the sweep of a plain config; raises UsageError for axes that cannot be."""
        rates = config["learning_rates"]
        names = ("inits", "arms", "ranks", "seeds", "selection_seeds", "steps", "batch_size", "members", "adapter")
        return cls(lora_rates=rates["lora"], full_rates=rates["full"], **{name: config[name] for name in names})

    def __post_init__(self) -> None:
        super().__post_init__()
        grid(inits=self.inits, arms=self.arms, ranks=self.ranks)
        for init in self.inits:
            initializations.parse(init)
        for arm in self.arms:
            if arm not in ARMS:
                raise UsageError(f"arms has {arm!r}: choose among {', '.join(ARMS)}")
        if min(self.ranks) < 0:
            raise UsageError(f"ranks = {self.ranks}: a rank is 0 (the identity) or more")
        check_rates("lora", self.lora_rates)
        check_rates("full", self.full_rates)
        if len(self.lora_rates) != len(self.full_rates):
            raise UsageError("learning_rates.lora and learning_rates.full differ in length; every arm gets as many")

    def tasks(self, study: Study) -> dict[str, Task]:
        """Returns what is trained, by shape: 'full', and 'ARM/matched' and 'ARM/lora' for each arm."""
        model = model_of(study)
        sites = find_sites(model, parameter_shapes(model), example_batch())
        base = Task(model, None, ("^params/",), study.optimizer, batch, dropout=study.model.dropout > 0)
        result = {"full": base}
        for name in self.arms:
            arm = ARMS[name]
            spec = self.lora(arm.targets or self.adapter["targets"], max(self.ranks))
            matrices = tuple(f"^{re.escape(path)}$" for path in targeted(sites, spec, model.tied))
            dropout = base.dropout or spec.dropout > 0
            result[f"{name}/lora"] = dataclasses.replace(base, adapter=spec, moves=("^adapter/", *arm.beside), dropout=dropout)
            result[f"{name}/matched"] = dataclasses.replace(base, moves=(*matrices, *arm.beside))
        return result

    def coordinates(self, phase: str, seeds: Iterable[int]) -> tuple[dict[str, Any], ...]:
        """Returns the coordinates of a phase's cells, without their learning rate."""
        outer, seeds = {"phase": (phase,), "init": self.inits}, tuple(seeds)
        return chain(
            grid(**outer, arm=self.arms, trains=("lora",), rank=self.ranks, seed=seeds),
            grid(**outer, arm=self.arms, trains=("matched",), rank=(None,), seed=seeds),
            grid(**outer, arm=(None,), trains=("full",), rank=(None,), seed=seeds),
        )

    def selection(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that learning rates are chosen by."""
        rates = {True: self.lora_rates, False: self.full_rates}
        cells = self.coordinates("select", self.all_seeds()[self.seeds :])
        return [{**c, "learning_rate": rate} for c in cells for rate in rates[c["trains"] == "lora"]]

    def results(self) -> tuple[dict[str, Any], ...]:
        """Returns the coordinates of the cells that are read, without their learning rate."""
        return self.coordinates("result", range(self.seeds))


def shape_of(coordinates: Mapping[str, Any]) -> str:
    """Returns the shape of a cell, a key of `RankSweep.tasks`."""
    return "full" if coordinates["arm"] is None else f"{coordinates['arm']}/{coordinates['trains']}"
