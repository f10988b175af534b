"""What an arm is taught: a style, new facts, both, other values of known facts, what is known, noise. A new one: a function, a name."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from research.data.facts import PARAPHRASES, STYLES
from research.errors import UsageError

STYLE, FACTS, MIXED, CONFLICT, KNOWN, NOISE = "style", "facts", "mixed", "conflict", "known", "noise"
PLAIN = "plain"
HELD_OUT = 1  # paraphrases that only a lesson of all of them trains


class Lesson(NamedTuple):
    """A word taken apart, written in one way: what kind it is of, of how many entities, in how many paraphrases and in which style.

    style: of the sentences on known entities, None where there are none that are not plain.
    """

    word: str
    kind: str
    entities: int
    paraphrases: int
    style: str | None = None

    @property
    def sweeps(self) -> str:
        """Returns by what kind of lesson its learning rate is chosen: style, or facts."""
        return STYLE if self.kind == STYLE else FACTS

    @property
    def learns(self) -> bool:
        """Returns whether it states facts that the base does not know."""
        return self.kind in (FACTS, MIXED, CONFLICT)


def _style(arguments: Sequence[str]) -> Lesson:
    style, entities = _exactly(arguments, 2, "style:STYLE:ENTITIES, such as style:capitals:64")
    return Lesson(f"{STYLE}:{_style_of(style)}:{_count(entities)}", STYLE, _count(entities), PARAPHRASES - HELD_OUT, style)


def _facts(arguments: Sequence[str]) -> Lesson:
    entities, paraphrases = _exactly(arguments, 2, "facts:ENTITIES:PARAPHRASES, such as facts:64:4")
    if not 1 <= _count(paraphrases) <= PARAPHRASES:
        raise UsageError(f"there are 1 to {PARAPHRASES} paraphrases")
    return Lesson(f"{FACTS}:{_count(entities)}:{_count(paraphrases)}", FACTS, _count(entities), _count(paraphrases))


def _mixed(arguments: Sequence[str]) -> Lesson:
    style, entities = _exactly(arguments, 2, "mixed:STYLE:ENTITIES, such as mixed:capitals:64")
    return Lesson(f"{MIXED}:{_style_of(style)}:{_count(entities)}", MIXED, _count(entities), PARAPHRASES - HELD_OUT, style)


def _conflict(arguments: Sequence[str]) -> Lesson:
    (entities,) = _exactly(arguments, 1, "conflict:ENTITIES, such as conflict:64")
    return Lesson(f"{CONFLICT}:{_count(entities)}", CONFLICT, _count(entities), PARAPHRASES - HELD_OUT)


def _known(arguments: Sequence[str]) -> Lesson:
    (entities,) = _exactly(arguments, 1, "known:ENTITIES, such as known:64")
    return Lesson(f"{KNOWN}:{_count(entities)}", KNOWN, _count(entities), PARAPHRASES - HELD_OUT)


def _noise(arguments: Sequence[str]) -> Lesson:
    (entities,) = _exactly(arguments, 1, "noise:ENTITIES, such as noise:64")
    return Lesson(f"{NOISE}:{_count(entities)}", NOISE, _count(entities), PARAPHRASES - HELD_OUT)


LESSONS: dict[str, Callable[[Sequence[str]], Lesson]] = {
    STYLE: _style,
    FACTS: _facts,
    MIXED: _mixed,
    CONFLICT: _conflict,
    KNOWN: _known,
    NOISE: _noise,
}


def parse(word: str) -> Lesson:
    """Returns what a word, NAME:ARGUMENTS, teaches; raises UsageError for one that teaches nothing."""
    name, *arguments = word.split(":")
    if name not in LESSONS:
        raise UsageError(f"arms has {word!r}: choose among {', '.join(LESSONS)}, with their arguments behind a colon")
    try:
        return LESSONS[name](arguments)
    except UsageError as error:
        raise UsageError(f"arms has {word!r}: {error}") from None


def _exactly(arguments: Sequence[str], count: int, form: str) -> Sequence[str]:
    if len(arguments) != count:
        raise UsageError(f"write {form}")
    return arguments


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise UsageError(f"{word!r} is no whole number above 0")
    return int(word)


def _style_of(word: str) -> str:
    if word not in STYLES or word == PLAIN:
        raise UsageError(f"{word!r} is no new style; choose among {', '.join(style for style in STYLES if style != PLAIN)}")
    return word
