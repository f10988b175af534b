"""The axes where data is measured: (from scratch | all of A, tuned) x amount of the target's text x seed, at one size of the model."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from experiments.transfer.arms import SCRATCH, TUNED
from research.cells.initializations import base_of
from research.cells.runs import SELECTION_SEEDS, Runs, check_rates
from research.errors import UsageError

INITS = {SCRATCH: "random", TUNED: "pretrained"}
GOLDEN = (5**0.5 - 1) / 2


@dataclasses.dataclass(frozen=True)
class DataSweep(Runs):
    """The axes: arm x amount x seed, as many steps each.

    width, parameters: of the model, the latter outside of embeddings. arms: amounts of each arm, bytes. rates_at: amounts at which
    an arm's learning rate is chosen, of its own of learning_rates; another amount takes the nearest one's. read_at: shares of the steps
    at which a run may be stopped beside the end. bases: donors; seeds take them in turn.
    """

    width: int
    parameters: int
    arms: Mapping[str, tuple[int, ...]]
    rates_at: tuple[int, ...]
    learning_rates: Mapping[str, tuple[float, ...]]
    read_at: tuple[float, ...]
    bases: int

    @classmethod
    def parts_of(cls, config: Mapping[str, Any], width: int, parameters: int) -> list[Self]:
        """Returns the sweeps of a plain config at a width: amounts of both arms, and those that scratch alone has, in steps of its own.

        Raises UsageError for axes that cannot be.
        """
        check(config)
        own = {field.name: config[field.name] for field in dataclasses.fields(cls) if field.name in config and field.name != "arms"}
        made = {"width": width, "parameters": parameters, "bases": config["pretraining"]["bases"]}
        both = cls(**{**own, **made}, arms={SCRATCH: config["amounts"], TUNED: config["amounts"]})
        further = {**own, **made, "steps": config["scratch_steps"]}
        return [both, cls(**further, arms={SCRATCH: config["scratch_amounts"]})]

    def __post_init__(self) -> None:
        super().__post_init__()
        for arm in self.arms:
            check_rates(arm, self.learning_rates[arm])
        if not self.read_at or not all(0 < share < 1 for share in self.read_at) or len(set(self.read_at)) < len(self.read_at):
            raise UsageError(f"read_at = {self.read_at}: one share of the steps or more, between 0 and 1, at which a run may be stopped")
        if apart := [arm for arm, amounts in self.arms.items() if not set(self.rates_at) & set(amounts)]:
            raise UsageError(f"rates_at = {_said(self.rates_at)}: none is among {apart[0]}'s amounts {_said(self.arms[apart[0]])}; add one")

    def selection(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that learning rates are chosen by."""
        seeds = [seed for seed in self.all_seeds() if seed >= SELECTION_SEEDS]
        chosen = {arm: tuple(n for n in amounts if n in self.rates_at) for arm, amounts in self.arms.items()}
        return [
            {**c, "learning_rate": rate} for c in self._coordinates("select", chosen, seeds) for rate in self.learning_rates[c["trains"]]
        ]

    def results(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that are read, without their learning rate."""
        cells = self._coordinates("result", self.arms, range(self.seeds))
        return [{**c, "rate_of": (word(c["trains"], self._nearest(c["trains"], c["amount"])), 1.0)} for c in cells]

    def _nearest(self, arm: str, amount: int) -> int:
        """The amount that the arm's rate is chosen at, the nearest one in logarithms; the lower of two."""
        return min(sorted(set(self.rates_at) & set(self.arms[arm])), key=lambda n: abs(np.log(n / amount)))

    def _coordinates(self, phase: str, arms: Mapping[str, Sequence[int]], seeds: Iterable[int]) -> Iterator[dict[str, Any]]:
        for (arm, amounts), seed in itertools.product(arms.items(), seeds):
            for amount in amounts:
                where = {"phase": phase, "init": INITS[arm], "arm": word(arm, amount), "trains": arm, "rank": None, "width": self.width}
                own = {"amount": amount, "seed": seed, "base": base_of(INITS[arm], seed, self.bases)}
                yield {**where, "parameters": self.parameters, **own}


def word(arm: str, amount: int) -> str:
    """Returns an arm at an amount as it is written in records: tuned@1024."""
    return f"{arm}@{amount}"


def check(config: Mapping[str, Any]) -> None:
    """Raises UsageError for widths and amounts that cannot be."""
    widths, amounts, further = (config[name] for name in ("widths", "amounts", "scratch_amounts"))
    length = config["model"]["max_length"]
    for name, values in zip(("widths", "amounts", "scratch_amounts"), (widths, amounts, further), strict=True):
        if not values or min(values) < 1 or any(after <= before for before, after in itertools.pairwise(values)):
            raise UsageError(f"{name} = {_said(values)}: one or more, ascending from above 0")
    if wrong := [n for n in (*amounts, *further) if n % length]:
        raise UsageError(f"an amount of {wrong[0]} bytes is not of whole windows; choose a multiple of model.max_length = {length}")
    if len(amounts) < 2 or further[0] <= amounts[-1]:
        raise UsageError(
            f"amounts = {_said(amounts)}, scratch_amounts = {_said(further)}: two amounts or more for both arms, and "
            "beyond them what scratch alone needs to come as low"
        )
    if unknown := set(config["rates_at"]) - {*amounts, *further}:
        raise UsageError(f"rates_at has {min(unknown)}, which is no amount: choose among {_said((*amounts, *further))}")


def first_windows(seeds: Iterable[int], there: int, most: int) -> dict[int, int]:
    """Returns with which of `there` windows each seed's text begins, of which it takes `most` at most; its amounts are nested.

    Spread by the golden ratio, which holds as seeds are added (Weyl's sequence). UsageError where the text is shorter.
    """
    if most > there:
        raise UsageError(f"an amount of {most} windows is more than the {there} that the target has to train on; choose a smaller one")
    places = {seed: seed if seed < SELECTION_SEEDS else SELECTION_SEEDS - 1 - seed for seed in seeds}
    return {seed: int(place * GOLDEN % 1.0 * (there - most)) for seed, place in places.items()}


def _said(values: Iterable[int]) -> str:
    return ",".join(map(str, values))
