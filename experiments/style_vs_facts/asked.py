"""What weights are asked: new facts as they were taught and as they were not, known facts, a style, text; and facts in a context."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from experiments.style_vs_facts.lessons import Lesson
from experiments.style_vs_facts.material import LENGTH, Material, said
from research.analysis.recall import Queries, StyleQueries, queries, style_queries
from research.data.facts import ATTRIBUTES, STYLES, Sentence

NEW, HELD_OUT, OLD, STYLED, RETRIEVED, STRAY = "new", "heldout", "old", "styled", "retrieved", "stray"
TWO = 2 * LENGTH  # bytes of a row that holds a fact and a question behind it


class Asked(NamedTuple):
    """Queries of facts by name, of a style (None: of none), rows of general text; and how many of each set are no repetitions."""

    facts: Mapping[str, Queries]
    style: StyleQueries | None
    text: np.ndarray
    counts: Mapping[str, int]


def of_lesson(material: Material, lesson: Lesson, style: str | None, text: np.ndarray) -> Asked:
    """Returns what a cell is asked, in sets of one size for all cells.

    New facts in the first paraphrase, which every lesson trains, and in the last one, which those of all paraphrases alone do. Who is
    taught none is asked those of its seed all the same. Known facts, plain and in the style, are those of entities that nobody is taught.
    """
    room = len(said(material.new, (0,)))
    new = {name: material.learned(lesson, material.order[place]) for name, place in ((NEW, 0), (HELD_OUT, -1))}
    sets = {name: own or said(material.new, (material.order[-1 if name == HELD_OUT else 0],)) for name, own in new.items()}
    facts = {name: filled(queries(own, LENGTH), max(room, len(own))) for name, own in sets.items()}
    return _with_known(material, facts, {name: len(own) for name, own in sets.items()}, style, text)


def of_base(material: Material, style: str | None, text: np.ndarray) -> Asked:
    """Returns what a base is asked before any training: new facts alone, behind their statement in another paraphrase, behind a stray one.

    A stray statement is of the next entity, in which the value asked for does not stand but by chance.
    """
    asked, told = (said(material.new, (material.order[place],)) for place in (0, -1))
    stray = [*told[len(ATTRIBUTES) :], *told[: len(ATTRIBUTES)]]
    contexts: dict[str, list[Sentence] | None] = {NEW: None, RETRIEVED: told, STRAY: stray}
    facts = {
        name: queries(asked, LENGTH if own is None else TWO, None if own is None else [each.text for each in own])
        for name, own in contexts.items()
    }
    return _with_known(material, facts, dict.fromkeys(facts, len(asked)), style, text)


def filled(own: Queries, size: int) -> Queries:
    """Returns queries repeated until there are `size` of them: sets of one size are read by one program."""
    repeated: Queries = jax.tree.map(lambda leaf: np.resize(leaf, (size, *leaf.shape[1:])), own)
    return repeated


def _with_known(material: Material, facts: dict[str, Queries], counts: dict[str, int], style: str | None, text: np.ndarray) -> Asked:
    known = said(material.asked, (material.order[0],))
    facts, counts = {**facts, OLD: queries(known, LENGTH)}, {**counts, OLD: len(known)}
    if style is None:
        return Asked(facts, None, text, counts)
    styled = said(material.asked, (material.order[0],), style)
    own = styled[:: len(ATTRIBUTES) + 1]  # each attribute in turn: what a style costs hardly hangs on the fact
    facts[STYLED] = queries(styled, LENGTH)
    return Asked(facts, style_queries(own, STYLES[style], LENGTH), text, {**counts, STYLED: len(styled), "style": len(own)})
