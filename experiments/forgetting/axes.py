"""The axes of the experiment: method x strength x base, at the learning rate chosen for each, on one target or on several in a row."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from experiments.forgetting.methods import FULL, JOINT, LORA, PULLED, WEIGHTED, Method, parse
from research import tree
from research.adapters.lora import targeted
from research.adapters.sites import find_sites
from research.cells import words
from research.cells.initializations import base_of
from research.cells.pretraining import example_batch, parameter_shapes
from research.cells.runs import SELECTION_SEEDS, LoRARuns, check_rates, check_selection_steps
from research.cells.study import Study, model_of
from research.cells.subject import chunk_of
from research.errors import UsageError
from research.losses import anchored
from research.training.population import Task

INIT = "pretrained"
FURTHER = {PULLED: ("reference", "strength"), WEIGHTED: ("reference", "strength", "importance")}


@dataclasses.dataclass(frozen=True)
class MethodRuns(LoRARuns):
    """Runs that compare methods: method @ strength x base (seed).

    methods: words, of which `full` is always one: all others are compared with it. fisher: the config's section.
    """

    methods: tuple[str, ...]
    fisher: Mapping[str, Any]
    selection_steps: int
    learning_rates: Mapping[str, tuple[float, ...]]
    bases: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Returns the sweep of a plain config; raises UsageError for axes that cannot be."""
        own = {field.name: config[field.name] for field in dataclasses.fields(cls) if field.name != "bases"}
        return cls(**own, bases=config["pretraining"]["bases"] if config["base"] == "own" else 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        known = [(method.name, method.strength) for method in self.parsed]
        if len(set(known)) < len(known):
            raise UsageError(f"methods = {self.methods}: one of them stands there twice")
        if FULL not in self.methods:
            raise UsageError(f"methods = {','.join(self.methods)}: all are compared with full; add it")
        words.check_slowed("methods", self.parsed)
        for trains in {method.recipe.trains for method in self.parsed}:
            check_rates(trains, self.learning_rates[trains])
        if self.fisher["sequences"] < 1:
            raise UsageError(f"fisher.sequences = {self.fisher['sequences']}: at least 1 window of the source, such as 256")
        check_selection_steps(self.selection_steps, self.steps, chunk_of(self.steps))

    @property
    def parsed(self) -> list[Method]:
        """Returns the methods, taken apart."""
        return [parse(word) for word in self.methods]

    @property
    def labels(self) -> list[str]:
        """Returns the kinds of labels of which methods need the Fisher diagonal."""
        return list(dict.fromkeys(method.recipe.labels for method in self.parsed if method.recipe.labels))

    def tasks(self, study: Study) -> dict[str, Task]:
        """Returns what is trained, by shape; raises UsageError for ranks and layers that the model has not."""
        model, shapes = model_of(study), parameter_shapes(model_of(study))
        full = Task(model, None, ("^params/",), study.optimizer, study.to_batch, dropout=study.model.dropout > 0)
        found = {FULL: full}
        for recipe in (method.recipe for method in self.parsed):
            if recipe.shape in FURTHER:
                found[recipe.shape] = dataclasses.replace(full, loss=anchored, further=FURTHER[recipe.shape])
            elif recipe.layers:
                found[recipe.shape] = dataclasses.replace(full, moves=_top(study, recipe.layers, tree.flatten({"params": shapes})))
        if ranks := [method.recipe.rank for method in self.parsed if method.recipe.rank]:
            spec = self.lora(self.adapter["targets"], max(ranks))
            targeted(find_sites(model, shapes, example_batch()), spec, model.tied)  # targets and rank that do not fit: now
            found[LORA] = dataclasses.replace(full, adapter=spec, moves=("^adapter/",), dropout=full.dropout or spec.dropout > 0)
        return found

    def selection(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that learning rates are chosen by."""
        cells = self._coordinates("select", range(SELECTION_SEEDS, SELECTION_SEEDS + self.selection_seeds))
        return [{**c, "learning_rate": rate} for c in cells if "rate_of" not in c for rate in self.learning_rates[c["trains"]]]

    def results(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that are read, without their learning rate."""
        return list(self._coordinates("result", range(self.seeds)))

    def _coordinates(self, phase: str, seeds: Iterable[int]) -> Iterator[dict[str, Any]]:
        for method in self.parsed:
            what = {"arm": method.word, "trains": method.recipe.trains, "rank": method.recipe.rank}
            for seed in seeds:
                where = {"phase": phase, "init": INIT, **what, "method": method.name, "strength": method.strength}
                slowed = {} if method.recipe.slowed is None else {"rate_of": method.recipe.slowed}
                yield {**where, "seed": seed, "base": base_of(INIT, seed, self.bases), **slowed}


@dataclasses.dataclass(frozen=True)
class ForgettingSweep(MethodRuns):
    """The axes where one target is learned.

    alphas: of the way from the start to what training everything made of it, where it is read (WiSE-FT). read_at: shares of the steps at
    which losses are read, kept_at: at which weights are kept and compared with the start, beside the end. equal_at: shares of what `full`
    learns at which what was lost is compared.
    """

    alphas: tuple[float, ...]
    read_at: tuple[float, ...]
    kept_at: tuple[float, ...]
    equal_at: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("alphas", "equal_at"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise UsageError(f"{name} = {getattr(self, name)}: one of them stands there twice")
        for name in ("read_at", "kept_at", "alphas", "equal_at"):
            if not all(0 < share < 1 for share in getattr(self, name)):
                raise UsageError(f"{name} = {getattr(self, name)}: numbers between 0 and 1; both ends are there anyway")
        if not self.equal_at:
            raise UsageError("equal_at is empty: name a share of what full learns at which methods are compared, such as 0.8")
        if JOINT in self.methods:
            raise UsageError("methods has joint, which mixes the targets of a sequence, and there is one target; leave it out")


@dataclasses.dataclass(frozen=True)
class SequenceSweep(MethodRuns):
    """The axes where targets are learned one after another: `target` and then those of `then`, in an order that is each seed's own."""

    source: str
    target: str
    then: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.then:
            raise UsageError("then is empty: a sequence has at least two targets; name another text behind the first, such as stdlib:docs")
        for text in self.targets:
            if text == self.source:
                raise UsageError(f"{text} is the source and a target of the sequence, so that nothing is to be learned; name another text")
            if self.targets.count(text) > 1:
                raise UsageError(f"{text} stands twice among the targets, {', '.join(self.targets)}; name each text once")

    @property
    def targets(self) -> tuple[str, ...]:
        """Returns the words of the targets, in the order of the config."""
        return (self.target, *self.then)

    def order(self, seed: int) -> tuple[int, ...]:
        """Returns the places of the targets (0: the config's first) in the order in which a seed learns them: rotations.

        Seed s begins with the s-th text and goes round, so that over as many seeds as texts each text has each place once; the next as
        many seeds are shifted by one, since they may have the same bases. Seeds that choose learning rates begin with the first.
        """
        count = len(self.targets)
        first = 0 if seed >= SELECTION_SEEDS else seed + seed // count
        return tuple((first + task) % count for task in range(count))


def _top(study: Study, layers: int, leaves: Mapping[str, Any]) -> tuple[str, ...]:
    """Patterns of what moves: the last layers, the norm behind them and the head, as far as the model has it."""
    depth = study.model.n_layers
    if layers > depth:
        raise UsageError(f"methods has top@{layers}, and the model has {depth} layers")
    last = range(depth - layers, depth)
    own = [f"^params/layers/@{depth - layers}-{depth - 1}"] if study.model.scan else [f"^params/layers_{layer}/" for layer in last]
    return (
        *own,
        *(pattern for pattern in ("^params/final_norm/", "^params/head/") if any(path.startswith(pattern[1:]) for path in leaves)),
    )
