"""The axes of a sweep over ranks: what may move, from where, at which rank and learning rate, on which target."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from experiments.lora_rank_sweep.moves import ARMS, matched_patterns
from research import tree
from research.adapters.lora import targeted
from research.adapters.sites import find_sites
from research.cells import initializations
from research.cells.initializations import base_of
from research.cells.pretraining import example_batch, parameter_shapes
from research.cells.runs import LoRARuns, check_rates
from research.cells.study import Study, model_of
from research.cells.subject import chunk_of
from research.errors import UsageError
from research.sweeps import grid
from research.training.population import Task

AFTER = ("spectra", "cuts", "costs")


@dataclasses.dataclass(frozen=True)
class RankSweep(LoRARuns):
    """The axes of a sweep over ranks: target x initialization x arm x (rank | matched | full) x learning rate x seed.

    Crossed, or as a star: the first arm on every target, at all ranks from `star["inits"]` and at `star["ranks"]` from the others; the
    other arms on the first target, from `star["inits"]` at `star["arm_ranks"]`. LoRA's rates are chosen at `rate_ranks` (none: each rank).

    matched: full-rank training of an arm's matrices is trained too; else ranks are compared with training everything. after: what is read
    of trained cells. read_at: shares of the steps at which losses are read, beside the end. keep: seeds whose full weights are kept;
    where the base was pretrained `elsewhere` no others are. selection_steps: of the runs that rates are chosen by, 0 for all.
    """

    targets: tuple[str, ...]
    inits: tuple[str, ...]
    arms: tuple[str, ...]
    ranks: tuple[int, ...]
    rate_ranks: tuple[int, ...]
    crossed: bool
    star: Mapping[str, Any]
    matched: bool
    after: tuple[str, ...]
    read_at: tuple[float, ...]
    keep: tuple[int, ...]
    selection_steps: int
    rates_per_budget: bool
    bases: int
    elsewhere: bool
    lora_rates: tuple[float, ...]
    full_rates: tuple[float, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "RankSweep":
        """Returns the sweep of a plain config; raises UsageError for axes that cannot be."""
        rates = config["learning_rates"]
        taken = {field.name for field in dataclasses.fields(cls)} - {"bases", "elsewhere", "lora_rates", "full_rates"}
        own = {name: config[name] for name in taken}
        own |= {name: _numbers(name, config[name], kind) for name, kind in (("rate_ranks", int), ("read_at", float), ("keep", int))}
        elsewhere = config["base"] != "own"
        bases = 1 if elsewhere else config["pretraining"]["bases"]
        return cls(lora_rates=rates["lora"], full_rates=rates["full"], bases=bases, elsewhere=elsewhere, **own)

    def __post_init__(self) -> None:
        super().__post_init__()
        grid(targets=self.targets, inits=self.inits, arms=self.arms, ranks=self.ranks)
        for name in ("targets", "inits", "arms", "ranks"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise UsageError(f"{name} = {getattr(self, name)}: something stands there twice")
        for init in self.inits:
            initializations.parse(init)
        for arm in self.arms:
            if arm not in ARMS:
                raise UsageError(f"arms has {arm!r}: choose among {', '.join(ARMS)}")
        if min((*self.ranks, *self.rate_ranks)) < 1:
            raise UsageError(
                f"ranks = {self.ranks}: at least 1; rank 0 is read where it says something of its own, without being asked for"
            )
        if not self.crossed and len(self.arms) > 1 and not self._central():
            raise UsageError(
                f"arms has {', '.join(self.arms[1:])}, read from {', '.join(self.star['inits'])} alone, and inits has none of these; add "
                "one, leave the first arm alone, or set crossed=True"
            )
        check_rates("lora", self.lora_rates)
        check_rates("full", self.full_rates)
        if len(self.lora_rates) != len(self.full_rates):
            raise UsageError("learning_rates.lora and learning_rates.full differ in length; every arm gets as many")
        self._check_after()
        self._check_steps()

    def _check_after(self) -> None:
        """Raises UsageError for what cannot be read of the cells that are trained."""
        if unknown := [word for word in self.after if word not in AFTER]:
            raise UsageError(f"after has {unknown[0]!r}: choose among {', '.join(AFTER)}")
        if "cuts" in self.after and not self.matched:
            raise UsageError("after has cuts, of what an arm's matrices learned at full rank: set matched=True, or leave cuts out of after")
        if set(self.keep) - set(range(self.seeds)):
            raise UsageError(f"keep = {self.keep}: choose among the seeds 0 to {self.seeds - 1}")
        if "costs" in self.after and any(tree.of_layers(pattern)[1] is not None for pattern in self.adapter["targets"]):
            raise UsageError("after has costs, which count stacked matrices whole; adapter.targets chooses layers: leave one out")
        weighty = [word for word in self.after if word != "costs"]
        if self.elsewhere and weighty and not self.keep:
            raise UsageError(
                f"after has {' and '.join(weighty)}, which take full weights, kept of a base from elsewhere for the seeds in keep alone: "
                "set --config.keep=0, (those of seed 0) or --config.after=costs,"
            )

    def _check_steps(self) -> None:
        """Raises UsageError for steps that no run stops at."""
        chunk = chunk_of(self.steps)
        if not all(0 < share < 1 for share in self.read_at):
            raise UsageError(f"read_at = {self.read_at}: shares of the steps between 0 and 1, or () for the end alone")
        if not 0 <= self.selection_steps <= self.steps or self.selection_steps % chunk:
            raise UsageError(f"selection_steps = {self.selection_steps}: 0 for all {self.steps} steps, or a multiple of {chunk} below them")
        if self.selection_steps and self.rates_per_budget:
            raise UsageError(f"selection_steps = {self.selection_steps}, but rates_per_budget chooses at later steps too: set it to 0")

    def tasks(self, study: Study) -> dict[str, Task]:
        """Returns what is trained, by shape: 'full', and 'ARM/matched' and 'ARM/lora' for each arm."""
        model = model_of(study)
        shapes = parameter_shapes(model)
        sites, paths = find_sites(model, shapes, example_batch()), tree.flatten({"params": shapes})
        base = Task(model, None, ("^params/",), study.optimizer, study.to_batch, dropout=study.model.dropout > 0)
        result = {"full": base}
        for name in self.arms:
            arm = ARMS[name]
            beside = arm.moved(paths)
            spec = self.lora(arm.sites(sites, model, self.adapter["targets"]), max((*self.ranks, *self.rate_ranks)))
            matrices = matched_patterns(spec.targets, targeted(sites, spec, model.tied), paths)
            dropout = base.dropout or spec.dropout > 0
            result[f"{name}/lora"] = dataclasses.replace(base, adapter=spec, moves=("^adapter/", *beside), dropout=dropout)
            if self.matched:
                result[f"{name}/matched"] = dataclasses.replace(base, moves=(*matrices, *beside))
        return result

    def spokes(self) -> list["Spoke"]:
        """Returns the parts of the sweep in the order in which they run: what the answer rests on stands first."""
        if self.crossed:
            return [Spoke(self, target, self.arms, self.inits, True) for target in self.targets]
        first = [Spoke(self, target, self.arms[:1], self.inits, True) for target in self.targets]
        others = Spoke(self, self.targets[0], self.arms[1:], self._central(), False)
        return [*first, others] if others.arms else first

    def ranks_of(self, arm: str, init: str) -> tuple[int, ...]:
        """Returns the ranks that are read of an arm from an initialization; 0 where something moves beside the adapter."""
        asked = self.ranks
        if not self.crossed and arm != self.arms[0]:
            asked = self._some("arm_ranks")
        elif not self.crossed and init not in self.star["inits"]:
            asked = self._some("ranks")
        return (0, *asked) if ARMS[arm].beside else asked

    def reads(self, c: Mapping[str, Any]) -> bool:
        """Returns whether `after` takes the full weights of a cell of the results."""
        if self.elsewhere and c["seed"] not in self.keep:
            return False
        wanted = {"full": "spectra", "matched": "cuts"}.get(c["trains"])
        return wanted in self.after and c["arm"] in (None, self.arms[0])

    def keeps(self, c: Mapping[str, Any], step: int) -> bool:
        """Returns whether the weights of a cell become an artifact at a step: adapters at the end, and full ones that somebody wants."""
        if c["phase"] != "result" or c["chosen_for"] != self.steps:
            return False
        if step < self.steps:
            return c["trains"] == "full" and self.reads(c)
        return c["trains"] == "lora" or c["seed"] in self.keep or self.reads(c)

    def _central(self) -> tuple[str, ...]:
        """The initializations from which all arms are read."""
        return tuple(init for init in self.inits if init in self.star["inits"])

    def cut_ranks(self) -> tuple[int, ...]:
        """Returns the ranks that full-rank updates are cut to: those that every arm is read at."""
        return self._some("arm_ranks")

    def _some(self, key: str) -> tuple[int, ...]:
        """The ranks of the sweep that the star names, all of them where it names none."""
        return tuple(rank for rank in self.ranks if rank in self.star[key]) or self.ranks


@dataclasses.dataclass(frozen=True)
class Spoke:
    """A part of a sweep that is measured by itself: arms on a target, from some initializations, and training everything where `full`."""

    sweep: RankSweep
    target: str
    arms: tuple[str, ...]
    inits: tuple[str, ...]
    full: bool

    @property
    def name(self) -> str:
        """Returns what it is called in progress and reports."""
        return self.target if self.full else f"{' and '.join(self.arms)} on {self.target}"

    @property
    def steps(self) -> int:
        """Returns the steps of a run."""
        return self.sweep.steps

    @property
    def selection_steps(self) -> int:
        """Returns the steps of a run that learning rates are chosen by."""
        return self.sweep.selection_steps or self.sweep.steps

    @property
    def batch_size(self) -> int:
        """Returns the examples of a step."""
        return self.sweep.batch_size

    def selection(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that learning rates are chosen by."""
        rates = {True: self.sweep.lora_rates, False: self.sweep.full_rates}
        cells = self._coordinates("select", self.sweep.all_seeds()[self.sweep.seeds :])
        return [{**c, "learning_rate": rate} for c in cells for rate in rates[c["trains"] == "lora"]]

    def results(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that are read, without their learning rate."""
        return list(self._coordinates("result", range(self.sweep.seeds)))

    def _coordinates(self, phase: str, seeds: Iterable[int]) -> Iterator[dict[str, Any]]:
        seeds = tuple(seeds)
        for init in self.inits:
            trained = [(arm, *what) for arm in self.arms for what in self._trained(phase, arm, init)]
            for arm, trains, rank in [*trained, *([(None, "full", None)] if self.full else [])]:
                where = {"phase": phase, "target": self.target, "init": init, "arm": arm, "trains": trains, "rank": rank}
                yield from ({**where, "seed": seed, "base": base_of(init, seed, self.sweep.bases)} for seed in seeds)

    def _trained(self, phase: str, arm: str, init: str) -> list[tuple[str, int | None]]:
        ranks = self.sweep.ranks_of(arm, init)
        if phase == "select" and self.sweep.rate_ranks:
            ranks = (*ranks[: bool(ARMS[arm].beside)], *self.sweep.rate_ranks)  # rank 0, where something moves, has a rate of its own
        return [*(("lora", rank) for rank in ranks), *[("matched", None)] * self.sweep.matched]


def _numbers(name: str, values: Iterable[Any], kind: Callable[[Any], Any]) -> tuple[Any, ...]:
    """The values as numbers: those of a key that is empty in the config come as words."""
    try:
        return tuple(map(kind, values))
    except ValueError:
        raise UsageError(f"{name} = {tuple(values)}: numbers parted by commas, or ()") from None


def shape_of(coordinates: Mapping[str, Any]) -> str:
    """Returns the shape of a cell, a key of `RankSweep.tasks`."""
    return "full" if coordinates["arm"] is None else f"{coordinates['arm']}/{coordinates['trains']}"
