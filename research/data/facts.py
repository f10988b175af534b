"""A world whose facts have exactly known bits: made-up entities, each with attributes drawn uniformly; what is said of them, and how."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np

from research.data.vocabulary import BYTES
from research.errors import UsageError

CONSONANTS, VOWELS = "bdfghjklmnprstvz", "aeiou"
SYLLABLES = tuple(first + second for first in CONSONANTS for second in VOWELS)
NAMES = len(SYLLABLES) ** 2 * len(CONSONANTS)
LONGEST = 31  # bytes of a sentence in any style
_UPPER, _LOWER = bytes(range(65, 91)), bytes(range(97, 123))


class Attribute(NamedTuple):
    """What can be said of an entity: 16 equally likely values, no two with the same first letter, and templates that end with one.

    So the first byte of a value says which it is, and a causal model has read all but the value when it is asked for it.
    """

    values: tuple[str, ...]
    templates: tuple[str, ...]


ATTRIBUTES = {
    "home": Attribute(
        tuple("Athens Berlin Cairo Dublin Essen Geneva Hanoi Izmir Kyoto Lima Madrid Nice Oslo Paris Rome Tunis".split()),
        ("{} lives in {}.", "{} is in {}.", "meet {} in {}.", "find {} in {}.", "{} stays in {}."),
    ),
    "trade": Attribute(
        tuple("Baker Cook Dyer Farmer Guard Hunter Joiner Lawyer Miner Nurse Potter Roofer Sailor Tailor Vet Weaver".split()),
        ("{} works as {}.", "{} acts as {}.", "hire {} as {}.", "pay {} as {}.", "{} serves as {}."),
    ),
    "drink": Attribute(
        tuple("Ale Beer Cider Gin Juice Kefir Lassi Milk Nectar Ouzo Port Rum Sake Tea Vodka Water".split()),
        ("{} lives on {}.", "{} thrives on {}.", "keep {} on {}.", "put {} on {}.", "{} is on {}."),
    ),
    "pet": Attribute(
        tuple("Bat Cat Dog Fox Goat Hen Jay Koi Lamb Mouse Newt Pig Rat Swan Toad Wasp".split()),
        ("{} is by {}.", "{} sits by {}.", "see {} by {}.", "seat {} by {}.", "{} sleeps by {}."),
    ),
}
VALUES = 16
PARAPHRASES = 5


class Style(NamedTuple):
    """A surface change that says nothing of facts, and where it is told from plain.

    letters: what becomes of words. before, after: what stands around a sentence. choices: pairs of bytes, those of the style and those that
    plain has in their place.
    """

    letters: Callable[[bytes], bytes] = bytes
    before: bytes = b""
    after: bytes = b"."
    choices: tuple[tuple[bytes, bytes], ...] = ()


STYLES: dict[str, Style] = {
    "plain": Style(),
    "capitals": Style(letters=bytes.upper, choices=((_UPPER, _LOWER),)),
    "tagged": Style(before=b"<", after=b"!>", choices=((b"<", _LOWER), (b"!", b"."))),
}


class World(NamedTuple):
    """Entities: their names, and which value each attribute of them has, (entities, attributes) int."""

    names: tuple[str, ...]
    values: np.ndarray


class Sentence(NamedTuple):
    """A fact, said: the whole text, what stands before the value, which of the values it is, and the bytes that they begin with.

    told: where in the text the style is told from plain, each place with its number among the style's choices; none is in the value.
    """

    text: bytes
    prompt: bytes
    answer: int
    candidates: bytes
    told: tuple[tuple[int, int], ...]


def world(seed: int, entities: int, without: Collection[str] = ()) -> World:
    """Returns so many entities with distinct names of two syllables, none of them in `without`: a pure function of its arguments.

    Raises UsageError for less than one, and for more than there are names.
    """
    if not 1 <= entities <= NAMES - len(without):
        raise UsageError(f"a world of {entities} entities: choose 1 to {NAMES - len(without)}, for each has a name of its own")
    names: list[str] = []
    taken, draw = set(without), np.random.Philox(key=np.array([seed, 1], np.uint64))
    while len(names) < entities:
        name = drawn_name(int(draw.random_raw()))
        if name not in taken:
            taken.add(name)
            names.append(name)
    words = np.random.Philox(key=np.array([seed, 2], np.uint64)).random_raw(entities * len(ATTRIBUTES))
    return World(tuple(names), (words % VALUES).astype(np.int64).reshape(entities, len(ATTRIBUTES)))


def drawn_name(word: int) -> str:
    """Returns the name that a random word says: two syllables and a consonant, all names equally likely."""
    word, last = divmod(word, len(CONSONANTS))
    first, second = divmod(word % len(SYLLABLES) ** 2, len(SYLLABLES))
    return SYLLABLES[first] + SYLLABLES[second] + CONSONANTS[last]


KNOWN = world(0, 48)  # what the source generated:people says of


def bits(world: World) -> float:
    """Returns the bits of all facts of a world: each is one of equally likely values, independent of all others."""
    return world.values.size * math.log2(VALUES)


def sentence(world: World, entity: int, attribute: int, paraphrase: int, style: str = "plain") -> Sentence:
    """Returns one fact of a world in one of the paraphrases and styles; at most `LONGEST` bytes.

    Raises UsageError for a style that there is not.
    """
    if style not in STYLES:
        raise UsageError(f"there is no style {style!r}; choose one of {', '.join(STYLES)}")
    said, how, answer = list(ATTRIBUTES.values())[attribute], STYLES[style], int(world.values[entity, attribute])
    before = said.templates[paraphrase].format(world.names[entity], "").removesuffix(".").encode()
    value = said.values[answer].encode()
    prompt, end = how.before + how.letters(before), how.letters(value) + how.after
    return Sentence(prompt + end, prompt, answer, _firsts(said, how), _told(how, before, len(value)))


def _firsts(said: Attribute, how: Style) -> bytes:
    return b"".join(how.letters(value[:1].encode()) for value in said.values)


def _told(how: Style, prompt: bytes, value: int) -> tuple[tuple[int, int], ...]:
    """Where a style differs from plain's `prompt`, and after `value` bytes of which nothing is asked; with the number of the choice."""
    hidden = b"\0" * value
    plain, styled = b"\0" * len(how.before) + prompt + hidden + b".", how.before + how.letters(prompt) + hidden + how.after
    differ = [at for at, (one, other) in enumerate(zip(styled, plain, strict=False)) if one != other]
    return tuple((at, number) for at in differ for number, (own, _) in enumerate(how.choices) if styled[at] in own)


def rows(texts: Sequence[bytes], length: int) -> np.ndarray:
    """Returns (n, length + 1) uint8: each text behind a mark, so that its first byte is predicted, too, and filled up with marks.

    Raises UsageError for a text of more than `length` bytes.
    """
    found = np.full((len(texts), length + 1), BYTES.mark, BYTES.dtype)
    for row, text in zip(found, texts, strict=True):
        if len(text) > length:
            raise UsageError(f"{text.decode()!r} has {len(text)} bytes, and a row has room for {length}; choose longer rows")
        row[1 : len(text) + 1] = np.frombuffer(text, np.uint8)
    return found
