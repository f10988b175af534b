"""How an arm is trained: what moves. A new one is one function and one name."""

from collections.abc import Callable
from typing import NamedTuple

from research.errors import UsageError

FULL, LORA, ONE = "full", "lora", "one"
MATRIX = "layers_1/mlp/up/kernel"  # the one that `one` adapts


class Recipe(NamedTuple):
    """What makes a member: the shape of its program, by which learning rates are swept, too, the rank of its adapter, and where it sits.

    targets: patterns of matrices, empty for those of the config.
    """

    shape: str
    rank: int | None = None
    targets: tuple[str, ...] = ()


class How(NamedTuple):
    """A word taken apart, written in one way: its name, the number behind the @, and what it does."""

    word: str
    name: str
    strength: float | None
    recipe: Recipe


def _full(strength: float | None) -> Recipe:
    if strength is not None:
        raise UsageError("full takes nothing behind it")
    return Recipe(FULL)


def _lora(strength: float | None) -> Recipe:
    return Recipe(LORA, _rank(strength, "lora@4"))


def _one(strength: float | None) -> Recipe:
    return Recipe(ONE, _rank(strength, "one@1"), (MATRIX,))


HOWS: dict[str, Callable[[float | None], Recipe]] = {FULL: _full, LORA: _lora, ONE: _one}


def parse(word: str) -> How:
    """Returns what a word, NAME or NAME@NUMBER, says; raises UsageError for one that says nothing."""
    name, at, strength = word.partition("@")
    if name not in HOWS:
        raise UsageError(f"arms has {word!r}: choose among {', '.join(HOWS)}, with @ and a rank behind all but full")
    try:
        value = float(strength) if at else None
        return How(name if value is None else f"{name}@{value:g}", name, value, HOWS[name](value))
    except (ValueError, UsageError) as error:
        raise UsageError(
            f"arms has {word!r}: {error if isinstance(error, UsageError) else 'what stands behind the @ is a number'}"
        ) from None


def _rank(strength: float | None, example: str) -> int:
    if strength is None or not 1 <= strength < float("inf") or strength != int(strength):
        raise UsageError(f"a rank, such as {example}")
    return int(strength)
