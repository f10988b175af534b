"""What weights are asked: new facts as they were taught and as they were not, known facts, a style, text; and facts in a context."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.style_vs_facts.lessons import FACTS, Lesson
from experiments.style_vs_facts.material import LENGTH, Material, first, said
from research.analysis.recall import Queries, StyleQueries, queries, style_queries
from research.data.facts import ATTRIBUTES, STYLES, Sentence

NEW, HELD_OUT, OLD, STYLED, RETRIEVED, STRAY = "new", "heldout", "old", "styled", "retrieved", "stray"
TWO = 2 * LENGTH  # bytes of a row that holds a fact and a question behind it


class Asked(NamedTuple):
    """Queries of facts, of a style (None: of none), rows of general text; and where the facts of each name lie among all."""

    facts: Queries
    style: StyleQueries | None
    text: np.ndarray
    parts: Mapping[str, slice]


def of_lesson(material: Material, lesson: Lesson, style: str | None, text: np.ndarray) -> Asked:
    """Returns what a cell is asked, as many facts as all cells, so that one program reads them.

    New facts in the first paraphrase, which every lesson trains, and in the last one, which those of all paraphrases alone do. Who is
    taught none is asked those of its seed all the same, of as many entities. Known facts, plain and in the style, are those of entities
    that nobody is taught.
    """
    room = max(len(said(world, (0,))) for world in (material.new, material.taught))
    places, untaught = {NEW: 0, HELD_OUT: -1}, lesson._replace(kind=FACTS)
    asked = {name: material.learned(lesson if lesson.learns else untaught, material.order[place]) for name, place in places.items()}
    return _with_known(material, {name: (some, None) for name, some in asked.items()}, style, text, room)


def of_base(material: Material, entities: int, style: str | None, text: np.ndarray) -> Asked:
    """Returns what a base is asked before any training: new facts alone, behind their statement in another paraphrase, behind a stray one.

    A stray statement is of the next entity, in which the value asked for does not stand but by chance.
    """
    asked, told = (said(first(material.new, entities), (material.order[place],)) for place in (0, -1))
    stray = [*told[len(ATTRIBUTES) :], *told[: len(ATTRIBUTES)]]
    return _with_known(material, {NEW: (asked, None), RETRIEVED: (asked, told), STRAY: (asked, stray)}, style, text, 0)


def _with_known(
    material: Material,
    sets: Mapping[str, tuple[Sequence[Sentence], Sequence[Sentence] | None]],
    style: str | None,
    text: np.ndarray,
    room: int,
) -> Asked:
    """Sentences, each behind one of a context where there are such, with known facts; a set of less than `room` is said again."""
    every = {**sets, OLD: (said(material.asked, material.order[:1]), None)}
    if style is not None:
        every[STYLED] = said(material.asked, material.order[:1], style), None
    sentences, contexts, parts = list[Sentence](), list[bytes](), dict[str, slice]()
    for name, (some, told) in every.items():
        parts[name] = slice(len(sentences), len(sentences) + len(some))
        again = [place % len(some) for place in range(max(room, len(some)))]
        sentences += [some[place] for place in again]
        contexts += [b"" if told is None else told[place].text + b" " for place in again]
    behind = any(contexts)
    facts = queries([_behind(*pair) for pair in zip(contexts, sentences, strict=True)], TWO if behind else LENGTH)
    written = every[STYLED][0][:: len(ATTRIBUTES) + 1] if style is not None else ()  # each attribute in turn
    return Asked(facts, style_queries(written, STYLES[style], LENGTH) if style is not None else None, text, parts)


def _behind(context: bytes, sentence: Sentence) -> Sentence:
    return sentence._replace(prompt=context + sentence.prompt)
