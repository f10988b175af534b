"""The source `generated:restaurants`: descriptions drawn from a grammar of our own, whose entropy is known exactly.

It lies in no other text, and no model can read it at fewer bits than its floor. After the style, not the words, of E2E (Novikova, Dusek &
Rieser 2017, arXiv:1706.09254).
"""

import math
from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from research.data.documents import Documents
from research.errors import UsageError

BYTES = 2**21  # of all documents
_CHOICES = 32  # more than a document makes


class Choice(NamedTuple):
    """One of several texts, with integer weights. Each begins with a literal of which no other's is a beginning.

    So a text says at once which was taken: a document has one derivation, and none is the beginning of another.
    """

    weights: tuple[int, ...]
    ways: "tuple[Text, ...]"


Text = tuple["str | Choice", ...]


class Measure(NamedTuple):
    """Of a random text: its entropy in bits, the mean and largest number of its bytes, and the probability that two of them are equal."""

    bits: float
    mean: float
    longest: int
    equal: float


def _slot(values: str, tail: str = " ") -> Choice:
    """Returns a choice of values parted by commas, the first the likeliest, each with `tail`."""
    words = values.split(", ")
    return Choice(tuple(range(len(words) + 2, 2, -1)), tuple((word + tail,) for word in words))


def _choice(*ways: tuple[int, Text]) -> Choice:
    return Choice(tuple(weight for weight, _ in ways), tuple(text for _, text in ways))


_ADJECTIVE = _slot(
    "Golden, Old, Blue, Quiet, Copper, Green, Little, Crooked, Silver, Rusty, Black, Merry, Hidden, Red, Lucky, Painted, "
    "Broken, White, Hungry, Sleepy, Wandering, Amber, Velvet, Salty, Iron, Burning"
)
_NOUN = _slot(
    "Anchor, Fox, Lantern, Mill, Heron, Barrel, Garden, Pear, Wheel, Kettle, Bridge, Owl, Oak, Harbor, Spoon, Crown, "
    "Badger, Cellar, Stove, Orchard, Whale, Tower, Goose, Mirror, Plow, Thistle, Ferry, Candle"
)
_MOOD = _slot("small, lively, quiet, friendly, modern, family-run, crowded, plain, romantic, bright, noisy, stylish")
_STREET = _slot("Station, Mill, High, Church, River, Market, King, Park, Bridge, School, North, Castle, Ferry, Wool", " Street. ")
_LANDMARKS = "museum, town hall, old port, theater, cathedral, fish market, university, main station, city park, library, castle, depot"
_AREA = _slot("city center, old town, harbor, eastern suburbs, new quarter, riverside, northern outskirts", ". ")
_PLACE = _choice((4, ("near the ", _slot(_LANDMARKS, ". "))), (3, ("in the ", _AREA)), (3, ("on ", _STREET)))

_KITCHEN = _slot("Italian, French, Indian, Chinese, Greek, Japanese, Spanish, Thai, Mexican, Turkish, Korean, Persian", " food ")
_HEARTY = _slot("English, Irish, Bavarian, Czech, Scottish, Belgian", " dishes ")
_BAKED = _slot("cakes, pastries, sandwiches, waffles, scones, pancakes, bagels")
_VENUE = _choice(
    (6, ("restaurant ", _choice((3, ("with ", _KITCHEN)), (2, ("for ", _KITCHEN))))),
    (3, ("pub ", _choice((2, ("with ", _HEARTY)), (1, ("that serves ", _HEARTY))))),
    (3, ("coffee shop ", _choice((3, ("with ", _BAKED)), (1, ("known for ", _BAKED))))),
    (2, ("bistro ", _choice((1, ("for ", _KITCHEN)), (3, ("with ", _HEARTY))))),
)

_POOR = _slot("poor, mixed, fair, good", " reviews. ")
_GOOD = _slot("excellent, good, splendid, warm, fair, mixed", " reviews. ")
_PRICE = _choice(
    (4, ("low", _choice((3, (", with ", _GOOD)), (4, (" despite ", _GOOD)), (2, (", as are its ", _POOR))))),
    (5, ("moderate", _choice((5, (", with ", _GOOD)), (2, (", but it has ", _POOR))))),
    (3, ("high", _choice((1, (", with ", _GOOD)), (3, (", in spite of its ", _POOR))))),
)
_MONEY = _slot("12, 15, 9, 20, 25, 18, 30, 14, 40, 11, 22, 35", " dollars. ")
_STARS = _slot("four, three, five, two, one", " of five stars. ")
_VALUE = _choice(
    (5, ("Prices are ", _PRICE)), (3, ("A meal costs about ", _MONEY)), (4, ("Guests give it ", _STARS)), (1, ("Nobody has rated it. ",))
)

_DISH = _slot(
    "soup, fried trout, lamb stew, goulash, apple pie, roast duck, mushroom risotto, lentil curry, grilled squid, beef pie, ramen, "
    "pea salad, stuffed cabbage, onion tart, baked cod, rice pudding, venison, potato salad",
    "",
)
_SIDE = _slot("bread, rice, red wine, beer, pickles, mint tea, mustard, cream, lemon, chips, green beans, cider")
_HOUR = _slot("noon, eleven, ten, six, seven, nine, eight, five, one")
_DAY = _slot("Sundays, Mondays, Tuesdays, Fridays, holidays, Wednesdays", ".")
_LAST = (
    (4, ("Children are ", _slot("welcome, not welcome, welcome until six, welcome on Sundays", "."))),
    (4, ("It opens at ", _HOUR, _choice((2, ("and closes on ", _DAY)), (1, ("every day.",))))),
    (3, ("Book ahead for ", _slot("Saturdays, weekends, large groups, lunch, the terrace, a window seat", "."))),
    (2, ("No ", _slot("dogs, cards, smoking, parking, music", "."))),
)
_SIDES = _choice((3, (" with ", _SIDE, "is best. ")), (3, (" is worth it. ",)), (1, (" is often sold out. ",)))
_MIDDLE = _choice((4, ("The ", _DISH, _SIDES, _choice(*_LAST))), (2, ("Try the ", _DISH, ". ", _choice(*_LAST))), *_LAST)

_GUESTS = _slot("families, students, tourists, couples, locals, clerks, sailors, actors", ". ")
_OPENING = _choice(
    (6, ("The ", _ADJECTIVE, _NOUN, "is a ", _MOOD, _VENUE, _PLACE)),
    (3, ("Near the ", _slot(_LANDMARKS, ", "), "the ", _ADJECTIVE, _NOUN, "is a ", _MOOD, _VENUE, "for ", _GUESTS)),
    (3, ("A ", _MOOD, _VENUE, "called the ", _ADJECTIVE, _NOUN, _choice((3, ("stands ",)), (2, ("can be found ",))), _PLACE)),
)

GRAMMARS: dict[str, Text] = {"restaurants": (_OPENING, _VALUE, _MIDDLE)}


def generated_documents(name: str, max_bytes: int | None = None) -> Documents:
    """Returns independent documents of a grammar until they have 2 MiB or `max_bytes`: always the same, and fewer are the first of more.

    Raises UsageError where there is no grammar of this name.
    """
    if name not in GRAMMARS:
        raise UsageError(f"there is no grammar generated:{name}; use generated:{', generated:'.join(GRAMMARS)} or generated:people")
    limit = BYTES if max_bytes is None else min(BYTES, max_bytes)
    found: list[bytes] = []
    used = 0
    while used < limit:
        found.append(document(name, len(found)))
        used += len(found[-1])
    return Documents({"train": found}, {"floor_bits_per_byte": round(floor(name), 7)})


def document(name: str, index: int) -> bytes:
    """Returns a document of the grammar `name`, a pure function of its index: NumPy keeps Philox's raw words from version to version."""
    words = iter(np.random.Philox(key=np.array([index, 0], np.uint64)).random_raw(_CHOICES).tolist())
    pieces, parts = [], list(reversed(GRAMMARS[name]))
    while parts:
        part = parts.pop()
        if isinstance(part, str):
            pieces.append(part)
        else:
            bounds = list(accumulate(part.weights))
            parts.extend(reversed(part.ways[bisect_right(bounds, next(words) % bounds[-1])]))
    return "".join(pieces).encode()


def floor(name: str) -> float:
    """Returns the fewest bits a byte at which documents of a grammar can be read on average: their entropy over their mean bytes.

    As in evaluation, the bytes of a document are scored and the separator after it is not. Since a document is the beginning of no other,
    where it ends is no news, so that its bytes bear all its entropy; one derivation for each makes that the entropy of the choices,
    summed by the chain rule. It takes reading each document from its start.
    """
    measured = measure(GRAMMARS[name])
    return measured.bits / measured.mean


def measure(text: Text) -> Measure:
    """Returns the exact measure of a text: of independent parts in a row, bits and bytes add, and probabilities of being equal multiply."""
    parts = [Measure(0.0, len(part), len(part), 1.0) if isinstance(part, str) else _measure_choice(part) for part in text]
    return Measure(
        sum(part.bits for part in parts),
        sum(part.mean for part in parts),
        sum(part.longest for part in parts),
        math.prod(part.equal for part in parts),
    )


def _measure_choice(choice: Choice) -> Measure:
    total = sum(choice.weights)
    ways = [(weight / total, measure(way)) for weight, way in zip(choice.weights, choice.ways, strict=True)]
    return Measure(
        sum(p * (way.bits - math.log2(p)) for p, way in ways),
        sum(p * way.mean for p, way in ways),
        max(way.longest for _, way in ways),
        sum(p * p * way.equal for p, way in ways),
    )
