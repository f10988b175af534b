"""The axes of the experiment: initialization x base (seed) x task, each read at every depth."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from experiments.probing.tasks import LANGUAGE, TASKS
from experiments.probing.tasks_of_words import WORD_TASKS
from research.cells import initializations
from research.errors import UsageError

PERIOD = 8  # of positions in a window, of which a probe without a network sees the remainder
LEAST_GROUPS = 8  # of documents, that an interval over them takes; half of them train


@dataclasses.dataclass(frozen=True)
class Sentences:
    """Annotated text: the source words of a treebank and of relations, how many sentences are `read`, and how many of others choose ridges.

    pooling: a word of several tokens is read at its `last`, the first that has seen all of it, or as their `mean`.
    """

    treebank: str
    relations: str
    read: int
    choosing: int
    pooling: str

    def __post_init__(self) -> None:
        if self.pooling not in ("last", "mean"):
            raise UsageError(f"sentences.pooling = {self.pooling!r}: choose last or mean")
        if self.read < 1 or self.choosing < 1:
            raise UsageError(f"sentences.read = {self.read}, sentences.choosing = {self.choosing}: 1 or more")


@dataclasses.dataclass(frozen=True)
class ProbingSweep:
    """The axes: initialization x base (seed) x task.

    inits: words, of which `pretrained` is always one. tasks: of `tasks.TASKS`, or of `tasks_of_words.WORD_TASKS`. languages: texts that
    `language` tells apart, the first of which all other tasks of text are read on; sentences: what tasks of words are read on. depths: 0 is
    the embedding; () for all. mixed: those of them that cumulative probes mix; () for all. examples: bytes or words on which a task is
    probed, in so many `groups` of documents; choosing: of other documents, by which ridges are chosen.
    """

    inits: tuple[str, ...]
    seeds: int
    tasks: tuple[str, ...]
    languages: tuple[str, ...]
    sentences: Sentences
    depths: tuple[int, ...]
    mixed: tuple[int, ...]
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
        own["mixed"] = own["mixed"] or own["depths"]
        own["sentences"] = Sentences(**own["sentences"])
        sweep = cls(**own, bases=config["pretraining"]["bases"] if config["base"] == "own" else 1)
        if wrong := [depth for depth in sweep.depths if not 0 <= depth <= layers]:
            raise UsageError(f"depths has {wrong[0]}: this model has depths 0 (the embedding) to {layers}")
        return sweep

    @property
    def of_words(self) -> bool:
        """Returns whether tasks are of words of annotated text, and not of bytes of any text."""
        return self.tasks[0] in WORD_TASKS

    def __post_init__(self) -> None:
        for name in ("inits", "tasks", "languages", "depths", "mixed"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise UsageError(f"{name} = {','.join(map(str, values))}: one of them stands there twice")
        if "pretrained" not in self.inits:
            raise UsageError(f"inits = {','.join(self.inits)}: all are compared with pretrained; add it")
        for word in self.inits:
            initializations.parse(word)
        self._check_tasks()
        for name in ("depths", "mixed"):
            values = getattr(self, name)
            if list(values) != sorted(values) or values[0] != 0 or len(values) < 2:
                raise UsageError(f"{name} = {values}: ascending, from 0, the embedding that all others are compared with, to one or more")
        if left := sorted({*self.mixed} - {*self.depths}):
            raise UsageError(f"mixed has {left[0]}, which is none of depths; add it there, or leave it out")
        if self.groups < LEAST_GROUPS or self.groups % 2:
            raise UsageError(
                f"groups = {self.groups}: an even number from {LEAST_GROUPS} on, half of which train while the others are read"
            )
        if self.seeds < 1 or self.examples < 50 or self.choosing < 20:
            raise UsageError(f"seeds = {self.seeds}, examples = {self.examples}, choosing = {self.choosing}: 1, 50 and 20 or more")

    def _check_tasks(self) -> None:
        if not self.tasks:
            raise UsageError("tasks is empty: name one")
        if unknown := [task for task in self.tasks if task not in TASKS and task not in WORD_TASKS]:
            raise UsageError(f"tasks has {unknown[0]!r}: choose among {', '.join(TASKS)}, or, of annotated text, {', '.join(WORD_TASKS)}")
        if len({task in WORD_TASKS for task in self.tasks}) > 1:
            raise UsageError(f"tasks = {','.join(self.tasks)}: some are of bytes and some of words, which are read apart; run them apart")
        if LANGUAGE in self.tasks and len(self.languages) < 2:
            raise UsageError("task 'language' has one class, which nothing can be told from; name two languages or more, or leave it out")
