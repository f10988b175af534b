"""Methods: what each does to keep the source while it learns the target. A new one is one function and one name."""

from collections.abc import Callable
from typing import NamedTuple

from research.errors import UsageError

FULL, LORA, TOP, PULLED, WEIGHTED = "full", "lora", "top", "pulled", "weighted"


class Recipe(NamedTuple):
    """What makes a member of a method.

    shape: of its program. trains: whose learning rates are swept. rank: of its adapter. layers: the last ones that move, with what stands
    behind them. strength: of the pull to the start (nats), all weights alike or, `weighted`, by the Fisher diagonal. replayed: share of
    the examples that come from the source. slowed: what is left of full's learning rate, 1 for a rate of its own.
    """

    shape: str
    trains: str
    rank: int | None = None
    layers: int = 0
    strength: float | None = None
    replayed: float = 0.0
    slowed: float = 1.0


class Method(NamedTuple):
    """A word of `methods` taken apart: its name, what stands behind the @, and what it does."""

    word: str
    name: str
    strength: float | None
    recipe: Recipe


def _full(strength: float | None) -> Recipe:
    if strength is not None:
        raise UsageError("full takes nothing behind it")
    return Recipe(FULL, FULL)


def _lora(strength: float | None) -> Recipe:
    return Recipe(LORA, LORA, rank=_count(strength, "a rank, such as lora@8"))


def _top(strength: float | None) -> Recipe:
    layers = _count(strength, "a number of layers, such as top@1")
    return Recipe(f"{TOP}@{layers}", TOP, layers=layers)


def _l2sp(strength: float | None) -> Recipe:
    return Recipe(PULLED, FULL, strength=_positive(strength, "l2sp@0.01"))


def _ewc(strength: float | None) -> Recipe:
    return Recipe(WEIGHTED, FULL, strength=_positive(strength, "ewc@1"))


def _replay(strength: float | None) -> Recipe:
    if strength is None or not 0 < strength < 100:
        raise UsageError("a percentage between 0 and 100, such as replay@5")
    return Recipe(FULL, FULL, replayed=strength / 100)


def _slow(strength: float | None) -> Recipe:
    if strength is None or not 0 < strength < 1:
        raise UsageError("a factor between 0 and 1 on full's learning rate, such as slow@0.3")
    return Recipe(FULL, FULL, slowed=strength)


METHODS: dict[str, Callable[[float | None], Recipe]] = {
    "full": _full,
    "lora": _lora,
    "top": _top,
    "l2sp": _l2sp,
    "ewc": _ewc,
    "replay": _replay,
    "slow": _slow,
}


def parse(word: str) -> Method:
    """Returns the method of a word, NAME or NAME@STRENGTH, which is written in one way; raises UsageError for one that is none."""
    name, at, strength = word.partition("@")
    if name not in METHODS:
        raise UsageError(f"methods has {word!r}: choose among {', '.join(METHODS)}, with @ and a strength behind all but full")
    try:
        value = float(strength) if at else None
        return Method(name if value is None else f"{name}@{value:g}", name, value, METHODS[name](value))
    except (ValueError, UsageError) as error:
        raise UsageError(
            f"methods has {word!r}: {error if isinstance(error, UsageError) else 'what stands behind the @ is a number'}"
        ) from None


def _count(strength: float | None, what: str) -> int:
    if strength is None or not 1 <= strength < float("inf") or strength != int(strength):
        raise UsageError(what)
    return int(strength)


def _positive(strength: float | None, example: str) -> float:
    if strength is None or not 0 < strength < float("inf"):
        raise UsageError(f"a strength above 0, such as {example}")
    return strength
