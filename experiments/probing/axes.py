"""The axes of the experiment: initialization x base (seed) x task, each read at every depth."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from experiments.probing.tasks import LANGUAGE, TASKS
from research.cells import initializations
from research.errors import UsageError

PERIOD = 8  # of positions in a window, of which a probe without a network sees the remainder
LEAST_GROUPS = 8  # of documents, that an interval over them takes; half of them train


@dataclasses.dataclass(frozen=True)
class ProbingSweep:
    """The axes: initialization x base (seed) x task.

    inits: words, of which `pretrained` is always one. tasks: of `tasks.TASKS`. languages: texts that `language` tells apart, the first of
    which all other tasks are read on. depths: 0 is the embedding; () for all. examples: bytes on which a task is probed, in so many
    `groups` of documents; choosing: of other documents, by which ridges are chosen.
    """

    inits: tuple[str, ...]
    seeds: int
    tasks: tuple[str, ...]
    languages: tuple[str, ...]
    depths: tuple[int, ...]
    examples: int
    choosing: int
    groups: int
    bases: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "ProbingSweep":
        """Returns the sweep of a plain config; raises UsageError for axes that cannot be."""
        own = {field.name: config[field.name] for field in dataclasses.fields(cls) if field.name != "bases"}
        layers = config["model"]["n_layers"]
        own["depths"] = own["depths"] or tuple(range(layers + 1))
        sweep = cls(**own, bases=config["pretraining"]["bases"] if config["base"] == "own" else 1)
        if wrong := [depth for depth in sweep.depths if not 0 <= depth <= layers]:
            raise UsageError(f"depths has {wrong[0]}: this model has depths 0 (the embedding) to {layers}")
        return sweep

    def __post_init__(self) -> None:
        for name in ("inits", "tasks", "languages", "depths"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise UsageError(f"{name} = {','.join(map(str, values))}: one of them stands there twice")
        if "pretrained" not in self.inits:
            raise UsageError(f"inits = {','.join(self.inits)}: all are compared with pretrained; add it")
        for word in self.inits:
            initializations.parse(word)
        if not self.tasks or (unknown := [task for task in self.tasks if task not in TASKS]):
            raise UsageError(f"tasks has {unknown[0]!r}: choose among {', '.join(TASKS)}" if self.tasks else "tasks is empty: name one")
        if LANGUAGE in self.tasks and len(self.languages) < 2:
            raise UsageError("task 'language' has one class, which nothing can be told from; name two languages or more, or leave it out")
        if list(self.depths) != sorted(self.depths) or self.depths[0] != 0 or len(self.depths) < 2:
            raise UsageError(f"depths = {self.depths}: ascending, from 0, the embedding that all others are compared with, to one or more")
        if self.groups < LEAST_GROUPS or self.groups % 2:
            raise UsageError(
                f"groups = {self.groups}: an even number from {LEAST_GROUPS} on, half of which train while the others are read"
            )
        if self.seeds < 1 or self.examples < 50 or self.choosing < 20:
            raise UsageError(f"seeds = {self.seeds}, examples = {self.examples}, choosing = {self.choosing}: 1, 50 and 20 or more")
