"""How an arm is trained: what moves. A new one is one function and one name."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from research.cells import words

FULL, LORA, ONE = "full", "lora", "one"
MATRIX = "layers_1/mlp/up/kernel"  # the one that `one` adapts


class Recipe(NamedTuple):
    """What makes a member: the shape of its program, by which learning rates are swept, too, the rank of its adapter, and where it sits.

    targets: patterns of matrices, empty for those of the config.
    """

    shape: str
    rank: int | None = None
    targets: tuple[str, ...] = ()


How: TypeAlias = words.Word[Recipe]


def _full(strength: float | None) -> Recipe:
    words.nothing(strength, FULL)
    return Recipe(FULL)


def _lora(strength: float | None) -> Recipe:
    return Recipe(LORA, words.count(strength, "a rank, such as lora@4"))


def _one(strength: float | None) -> Recipe:
    return Recipe(ONE, words.count(strength, "a rank, such as one@1"), (MATRIX,))


HOWS: dict[str, Callable[[float | None], Recipe]] = {FULL: _full, LORA: _lora, ONE: _one}


def parse(word: str) -> How:
    """Returns what a word, NAME or NAME@NUMBER, says; raises UsageError for one that says nothing."""
    return words.parse("arms", word, HOWS)
