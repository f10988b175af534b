"""The axes of the experiment: what is taught / how x base (seed), at the learning rate chosen for each way of training, apart for style."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from experiments.style_vs_facts import hows, lessons, material
from experiments.style_vs_facts.hows import FULL, LORA, ONE, How
from experiments.style_vs_facts.lessons import Lesson
from experiments.style_vs_facts.value_loss import value_loss
from research.adapters.lora import targeted
from research.adapters.sites import find_sites
from research.analysis.costs import Moves
from research.cells.initializations import base_of
from research.cells.pretraining import example_batch, parameter_shapes
from research.cells.runs import SELECTION_SEEDS, LoRARuns, check_rates, check_selection_steps
from research.cells.study import Study, model_of
from research.cells.subject import chunk_of
from research.errors import UsageError
from research.training.population import Task

INIT = "pretrained"
LONGEST = 4  # steps of one call: a style is learned in few


class Arm(NamedTuple):
    """A word of `arms`, LESSON/HOW, taken apart."""

    word: str
    lesson: Lesson
    how: How


@dataclasses.dataclass(frozen=True)
class StyleSweep(LoRARuns):
    """The axes: arm x base (seed).

    arms: words, what is taught / how. kept_at: shares of the steps at which weights are kept, and read, beside the end. learning_rates: the
    grid, by shape; swept for each way of training, for styles and for facts apart.
    """

    arms: tuple[str, ...]
    kept_at: tuple[float, ...]
    selection_steps: int
    learning_rates: Mapping[str, tuple[float, ...]]
    bases: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "StyleSweep":
        """Returns the sweep of a plain config; raises UsageError for axes that cannot be."""
        own = {field.name: config[field.name] for field in dataclasses.fields(cls) if field.name != "bases"}
        if config["base"] != "own":
            raise UsageError(f"base={config['base']}: this experiment asks for facts that only its own base has read; leave base=own")
        return cls(**own, bases=config["pretraining"]["bases"])

    def __post_init__(self) -> None:
        super().__post_init__()
        words = [arm.word for arm in self.parsed]
        if not words or len(set(words)) < len(words):
            raise UsageError(f"arms = {','.join(self.arms)}: {'one of them stands there twice' if words else 'name at least one'}")
        for name in {arm.how.recipe.shape for arm in self.parsed}:
            check_rates(name, self.learning_rates[name])
        if not all(0 < share < 1 for share in self.kept_at):
            raise UsageError(f"kept_at = {self.kept_at}: numbers between 0 and 1; both ends are there anyway")
        for arm in self.parsed:
            material.check(arm.lesson, self.steps * self.batch_size)
        self.chosen_by()
        check_selection_steps(self.selection_steps, self.steps, chunk_of(self.steps, LONGEST))

    @property
    def parsed(self) -> list[Arm]:
        """Returns the arms, taken apart."""
        found = []
        for word in self.arms:
            lesson, slash, how = word.partition("/")
            if not slash:
                raise UsageError(f"arms has {word!r}: write what is taught / how, such as facts:64:4/full")
            taught, trained = lessons.parse(lesson), hows.parse(how)
            found.append(Arm(f"{taught.word}/{trained.word}", taught, trained))
        return found

    @property
    def entities(self) -> int:
        """Returns of how many new entities anybody is asked, at most."""
        return max(arm.lesson.entities for arm in self.parsed)

    @property
    def retrieved(self) -> int:
        """Returns of how many new entities retrieval is asked: as many as any arm of facts is taught, where there is one."""
        return max((arm.lesson.entities for arm in self.parsed if arm.lesson.kind == lessons.FACTS), default=self.entities)

    def half(self, sweeps: str) -> "StyleSweep | None":
        """Returns the sweep of those arms whose learning rates are chosen by one kind of lesson, None where there are none."""
        own = tuple(arm.word for arm in self.parsed if arm.lesson.sweeps == sweeps)
        return dataclasses.replace(self, arms=own) if own else None

    def tasks(self, study: Study) -> dict[str, Task]:
        """Returns what is trained, by shape; raises UsageError for ranks and matrices that the model has not."""
        model, shapes = model_of(study), parameter_shapes(model_of(study))
        full = Task(model, None, ("^params/",), study.optimizer, study.to_batch, value_loss, dropout=study.model.dropout > 0)
        found = {FULL: full} if any(arm.how.name == FULL for arm in self.parsed) else {}
        for shape in (LORA, ONE):
            if recipes := [arm.how.recipe for arm in self.parsed if arm.how.recipe.shape == shape]:
                targets = recipes[0].targets or self.adapter["targets"]
                spec = self.lora(targets, max(recipe.rank or 0 for recipe in recipes))
                targeted(find_sites(model, shapes, example_batch()), spec, model.tied)  # targets and rank that do not fit: now
                found[shape] = dataclasses.replace(full, adapter=spec, moves=("^adapter/",), dropout=full.dropout or spec.dropout > 0)
        return found

    def moves(self, how: How) -> Moves:
        """Returns what a way of training moves, for the ledger of its costs."""
        recipe = how.recipe
        if recipe.rank is None:
            return Moves()
        return Moves((), recipe.targets or tuple(self.adapter["targets"]), recipe.rank)

    def selection(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that learning rates are chosen by."""
        cells = self._coordinates("select", range(SELECTION_SEEDS, SELECTION_SEEDS + self.selection_seeds))
        return [{**c, "learning_rate": rate} for c in cells if "rate_of" not in c for rate in self.learning_rates[c["trains"]]]

    def results(self) -> list[dict[str, Any]]:
        """Returns the coordinates of the cells that are read, without their learning rate."""
        return list(self._coordinates("result", range(self.seeds)))

    def chosen_by(self) -> dict[tuple[str, str], Arm]:
        """Returns the arm by which a learning rate is chosen, by what sweeps it and the word of how: that of most entities.

        Raises UsageError for a way of training of which there is none.
        """
        found: dict[tuple[str, str], Arm] = {}
        for arm in self.parsed:
            key = arm.lesson.sweeps, arm.how.word
            if arm.lesson.kind in (lessons.STYLE, lessons.FACTS) and (key not in found or arm.lesson.entities > found[key].lesson.entities):
                found[key] = arm
        for arm in self.parsed:
            if (arm.lesson.sweeps, arm.how.word) not in found:
                raise UsageError(
                    f"arms has {arm.word}, which takes its learning rate from new facts: add such as facts:64:4/{arm.how.word}"
                )
        return found

    def _coordinates(self, phase: str, seeds: Iterable[int]) -> Iterator[dict[str, Any]]:
        chosen = self.chosen_by()
        for arm in self.parsed:
            lesson, recipe = arm.lesson, arm.how.recipe
            by = chosen[lesson.sweeps, arm.how.word]
            what = {"arm": arm.word, "trains": recipe.shape, "rank": recipe.rank, "lesson": lesson.word, "kind": lesson.kind}
            what |= {"style": lesson.style, "entities": lesson.entities, "paraphrases": lesson.paraphrases, "how": arm.how.word}
            for seed in seeds:
                where = {"phase": phase, "init": INIT, **what, "seed": seed, "base": base_of(INIT, seed, self.bases)}
                yield {**where, **({} if by == arm else {"rate_of": (by.word, 1.0)})}
