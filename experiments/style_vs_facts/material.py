"""The sentences of a seed: what an arm is taught, and what everybody is asked."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.style_vs_facts.lessons import CONFLICT, FACTS, KNOWN, MIXED, NOISE, PLAIN, STYLE, Lesson
from research.data import facts
from research.data.facts import PARAPHRASES, VALUES, Sentence, World
from research.errors import UsageError

NEW = 1  # new worlds are numbered from here: the known one is 0
LENGTH = 32  # bytes of a row of training: one sentence
TAUGHT = len(facts.KNOWN.names) // 2  # of the known entities, the first ones are there to be taught, the others to be asked


class Material(NamedTuple):
    """The worlds of a seed, and the order of its paraphrases.

    taught, asked: known entities, apart. new: entities that no base has read of. other: those taught, each with another value everywhere.
    order: of the paraphrases; lessons train the first ones, and no lesson of fewer trains the last one.
    """

    taught: World
    asked: World
    new: World
    other: World
    order: tuple[int, ...]

    def of(self, lesson: Lesson) -> list[Sentence]:
        """Returns the distinct sentences of a lesson."""
        spoken = self.order[: lesson.paraphrases]
        if lesson.kind == NOISE:  # every entity has every value, each as often: of names nobody has read, nothing can be learned
            worlds = (World(self.new.names, (self.new.values + shift) % VALUES) for shift in range(VALUES))
            return [sentence for world in worlds for sentence in said(first(world, lesson.entities), spoken)]
        plain = {FACTS: self.new, MIXED: self.new, CONFLICT: self.other, KNOWN: self.taught}.get(lesson.kind)
        found = [] if plain is None else said(first(plain, lesson.entities), spoken)
        return [*found, *(said(first(self.taught, lesson.entities), spoken, lesson.style) if lesson.style else ())]

    def learned(self, lesson: Lesson, paraphrase: int) -> list[Sentence]:
        """Returns every new fact of a lesson in a paraphrase, plain; none where it has no new facts."""
        world = {FACTS: self.new, MIXED: self.new, CONFLICT: self.other}.get(lesson.kind)
        return [] if world is None else said(first(world, lesson.entities), (paraphrase,))


def material(seed: int, entities: int) -> Material:
    """Returns the sentences of a seed with so many new entities; raises UsageError for more than there are names."""
    known = facts.KNOWN
    taught, asked = (World(known.names[part], known.values[part]) for part in (slice(TAUGHT), slice(TAUGHT, None)))
    new = facts.world(seed + NEW, entities, without=known.names)
    shift = facts.world(seed + NEW, TAUGHT, without=known.names).values % (VALUES - 1) + 1  # never back to where it was
    other = World(taught.names, (taught.values + shift) % VALUES)
    return Material(taught, asked, new, other, tuple(int(place) for place in np.roll(np.arange(PARAPHRASES), seed % PARAPHRASES)))


def said(world: World, paraphrases: Sequence[int], style: str = PLAIN) -> list[Sentence]:
    """Returns every fact of a world in each of these paraphrases, entity by entity."""
    return [
        facts.sentence(world, entity, attribute, paraphrase, style)
        for entity in range(len(world.names))
        for attribute in range(world.values.shape[1])
        for paraphrase in paraphrases
    ]


def first(world: World, entities: int) -> World:
    """Returns the first entities of a world."""
    return World(world.names[:entities], world.values[:entities])


def check(lesson: Lesson, rows: int) -> None:
    """Raises UsageError for a lesson of more known entities than may be taught, and one whose facts so many rows cannot state."""
    if lesson.kind not in (FACTS, NOISE) and lesson.entities > TAUGHT:
        raise UsageError(f"arms has {lesson.word!r}: of {2 * TAUGHT} known entities, {TAUGHT} may be taught, and the others are asked")
    parts = 1 + (lesson.kind == MIXED)
    stated = lesson.entities * facts.KNOWN.values.shape[1] * parts
    if lesson.kind != STYLE and stated > rows:
        bits = f"{facts.bits(facts.KNOWN) / len(facts.KNOWN.names) * lesson.entities:,.0f} bits"
        raise UsageError(
            f"arms has {lesson.word!r}: {bits} are more than steps x batch_size = {rows} sentences can carry, for {stated} have to be "
            "said once; choose fewer entities, or more steps"
        )


def marginal_bits(world: World) -> float:
    """Returns the bits of a world's facts that who knows of no entity, but how often each value occurs, reads of them."""
    counts = [np.unique(column, return_counts=True)[1] for column in world.values.T]
    return float(sum((count * np.log2(VALUES * count / len(world.names))).sum() for count in counts))
