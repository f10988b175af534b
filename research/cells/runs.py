"""What every sweep of runs says: seeds, steps, examples of a step, members of a program, and the adapter where there is one."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax

from research.adapters.forms import best_form
from research.adapters.lora import LoRA
from research.errors import UsageError

SELECTION_SEEDS = 1000


@dataclasses.dataclass(frozen=True)
class Runs:
    """Seeds of results and of learning rate selection; steps and batch size of a run; members of a program at most (0: as many as fit)."""

    least_steps: ClassVar[int] = 2  # 0 for an experiment that reads weights before they are trained
    seeds: int
    selection_seeds: int
    steps: int
    batch_size: int
    members: int

    def __post_init__(self) -> None:
        for name, low in (("seeds", 1), ("selection_seeds", 1), ("steps", self.least_steps), ("batch_size", 1), ("members", 0)):
            if getattr(self, name) < low:
                raise UsageError(f"{name} = {getattr(self, name)}: must be at least {low}")

    def all_seeds(self) -> list[int]:
        """Returns the seeds of results and, apart from them, of learning rate selection."""
        return [*range(self.seeds), *range(SELECTION_SEEDS, SELECTION_SEEDS + self.selection_seeds)]


@dataclasses.dataclass(frozen=True)
class LoRARuns(Runs):
    """Runs that train an adapter, with the config's section on it."""

    adapter: Mapping[str, Any]

    def lora(self, targets: Sequence[str], rank: int) -> LoRA:
        """Returns the config's adapter at these targets, padded to `rank`, in the form that suits the device."""
        form = best_form(self.adapter["form"], jax.default_backend(), self.adapter["dropout"])
        return LoRA(**{**self.adapter, "form": form, "targets": tuple(targets)}, rank=rank)


def check_rates(name: str, rates: Sequence[float]) -> None:
    """Raises UsageError for learning rates that cannot be a grid with an inside."""
    if len(rates) < 3 or min(rates) <= 0:
        raise UsageError(f"learning_rates.{name} = {rates}: at least 3, all above 0, such as 1e-3,3e-3,1e-2")


def check_selection_steps(selection_steps: int, steps: int, chunk: int) -> None:
    """Raises UsageError for steps of the runs that rates are chosen by which are no part of a run, or no whole calls of its program."""
    if not 0 <= selection_steps <= steps or selection_steps % chunk:
        raise UsageError(f"selection_steps = {selection_steps}: 0 for all {steps} steps, or a multiple of {chunk}")
