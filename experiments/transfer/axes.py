"""The axes of the experiment: arm x number of blocks x seed, at the learning rate chosen for each arm."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from experiments.transfer.arms import ABOVE, DONOR, EVERY, MATCHED, OWN, SCRATCH, Arm, crossed
from experiments.transfer.blocks import Blocks
from research.cells.runs import SELECTION_SEEDS, Runs, check_rates, check_selection_steps
from research.cells.subject import chunk_of
from research.errors import UsageError
from research.models.model import Model, Variables
from research.optimizers import OptimizerSpec
from research.training.population import Task, ToBatch


@dataclasses.dataclass(frozen=True)
class TransferSweep(Runs):
    """The axes: arm x number of blocks x seed.

    arms: names of `arms.ARMS`, `scratch` always one of them. blocks: how many are copied, or frozen; 0 is the embedding alone. rates_at:
    numbers of blocks at which an arm's learning rate is chosen, another number takes the nearest one's. read_at: shares of the steps at
    which losses are read beside the end. bases: donors; seeds take them in turn.
    """

    arms: tuple[str, ...]
    blocks: tuple[int, ...]
    rates_at: tuple[int, ...]
    learning_rates: tuple[float, ...]
    read_at: tuple[float, ...]
    selection_steps: int
    bases: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Returns the sweep of a plain config; raises UsageError for axes that cannot be."""
        own = {field.name: config[field.name] for field in dataclasses.fields(cls) if field.name != "bases"}
        sweep = cls(**own, bases=config["pretraining"]["bases"] if config["base"] == "own" else 1)
        if config["base"] != "own" and (theirs := [arm for arm in sweep.crossed if arm.recipe.donor == OWN]):
            raise UsageError(
                f"arms has {theirs[0].name}, which copies from a network of the same shape that was trained on the target, and "
                f"{config['base']} has none; leave BnB and BnB+ out"
            )
        return sweep

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("arms", "blocks", "rates_at", "read_at"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise UsageError(f"{name} = {','.join(map(str, values))}: one of them stands there twice")
        if SCRATCH not in self.arms and self.arms != (MATCHED,):
            raise UsageError(f"arms = {','.join(self.arms)}: all are compared with scratch; add it")
        if MATCHED in self.arms and len(self.arms) > 1:
            raise UsageError("arms has matched, which takes other steps than the arms and is trained beside them anyway; leave it out")
        if not self.blocks or not self.rates_at or not set(self.rates_at) <= set(self.blocks):
            raise UsageError(f"blocks = {self.blocks}, rates_at = {self.rates_at}: one or more, rates at some of the blocks")
        check_rates("transfer", self.learning_rates)
        if not all(0 < share < 1 for share in self.read_at):
            raise UsageError(f"read_at = {self.read_at}: shares of the steps between 0 and 1, or () for the end alone")
        check_selection_steps(self.selection_steps, self.steps, chunk_of(self.steps))

    @property
    def crossed(self) -> list[Arm]:
        """Returns every arm at each of its numbers of blocks."""
        return crossed(self.arms, self.blocks)

    @property
    def donors(self) -> list[tuple[str, str, int]]:
        """Returns the whole networks that blocks are copied from, as starts, which are read untouched."""
        return [(donor, EVERY, 0) for donor in (DONOR, OWN) if any(arm.recipe.donor == donor for arm in self.crossed)]

    @property
    def starts(self) -> list[tuple[str, str, int]]:
        """Returns what cells begin with (see `Arm.start`), and the donors, each once."""
        return list(dict.fromkeys([*(arm.start for arm in self.crossed), *self.donors]))

    def begun(self) -> list[tuple[tuple[str, str, int], int]]:
        """Returns each (start, seed) that cells begin with, in the order of their bases."""
        return list(itertools.product(self.starts, self.all_seeds()))

    def places(self) -> dict[tuple[str, int], int]:
        """Returns the place of each (start, seed) among all that cells begin with; `start` in a word."""
        return {(word_of(start), seed): place for place, (start, seed) in enumerate(self.begun())}

    def tasks(self, model: Model, shapes: Variables, optimizer: OptimizerSpec, to_batch: ToBatch, **more: Any) -> dict[str, Task]:
        """Returns what is trained, by shape; UsageError for blocks that the model has not, and where nothing is left to train."""
        own = Blocks.of(shapes)
        own.check(self.blocks)
        if model.tied and ABOVE in self.arms:
            raise UsageError("arms has above, which freezes the head, and this model's head is its embedding; leave it out")
        patterns = {arm.shape: own.moves(arm.recipe.frozen, arm.blocks or 0) for arm in self.crossed}
        return {shape: Task(model, None, moves, optimizer, to_batch, **more) for shape, moves in patterns.items()}

    def selection(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that learning rates are chosen by."""
        chosen = [arm for arm in self.crossed if arm.blocks is None or arm.blocks in self.rates_at]
        seeds = [seed for seed in self.all_seeds() if seed >= SELECTION_SEEDS]
        return [{**c, "learning_rate": rate} for c in self._coordinates("select", chosen, seeds) for rate in self.learning_rates]

    def results(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that are read, without their learning rate."""
        cells = self._coordinates("result", self.crossed, [seed for seed in self.all_seeds() if seed < SELECTION_SEEDS])
        return [{**c, "rate_of": (self._nearest(Arm(c["name"], c["blocks"])).word, 1.0)} for c in cells]

    def base_of(self, seed: int) -> int:
        """Returns which donors a seed takes."""
        return seed % self.bases

    def _nearest(self, arm: Arm) -> Arm:
        """The arm of the same name that a rate is chosen for, at the nearest number of blocks; the lower of two."""
        if arm.blocks is None:
            return arm
        return arm._replace(blocks=min(sorted(self.rates_at), key=lambda n: abs(n - (arm.blocks or 0))))

    def _coordinates(self, phase: str, arms: Iterable[Arm], seeds: Iterable[int]) -> Iterator[dict[str, Any]]:
        for arm in arms:
            what = {"arm": arm.word, "trains": arm.name, "rank": None, "name": arm.name, "blocks": arm.blocks}
            for seed in seeds:
                yield {"phase": phase, "init": arm.recipe.donor, **what, "seed": seed, "base": self.base_of(seed)}


@dataclasses.dataclass(frozen=True)
class SplitSweep(TransferSweep):
    """The axes where A and B are halves of the classes of a set of images: one split of them, which is a seed's, and its donors."""

    split: int = 0

    @classmethod
    def all_of(cls, config: Mapping[str, Any]) -> list[Self]:
        """Returns the sweeps of a plain config, a split each; raises UsageError for axes that cannot be."""
        own = {field.name: config[field.name] for field in dataclasses.fields(cls) if field.name not in ("bases", "split")}
        return [cls(**own, bases=max(1, config["seeds"]), split=split) for split in range(max(1, config["seeds"]))]

    @property
    def donors(self) -> list[tuple[str, str, int]]:
        """Returns B alone: the classes that A names are others."""
        return [donor for donor in super().donors if donor[0] == OWN]

    def base_of(self, seed: int) -> int:
        """Returns the split: its donors are its own."""
        return self.split

    def all_seeds(self) -> list[int]:
        """Returns the split's number, and the seeds of its learning rate selection."""
        return [self.split, *(SELECTION_SEEDS + self.seeds * place + self.split for place in range(self.selection_seeds))]


def word_of(start: tuple[str, str, int]) -> str:
    """Returns the word of what cells begin with."""
    donor, copied, n = start
    return f"{donor} {copied} {n}"
