"""Methods: what each does to keep the source while it learns the target. A new one is one function and one name."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from research.cells import words

FULL, LORA, TOP, PULLED, WEIGHTED = "full", "lora", "top", "pulled", "weighted"
JOINT = "joint"
SLOWED_RANK = 16


class Recipe(NamedTuple):
    """What makes a member of a method.

    shape: of its program. trains: whose learning rates are swept. rank: of its adapter. layers: the last ones that move, with what stands
    behind them. strength: of the pull to the start (nats), all weights alike or, `weighted`, by the Fisher diagonal of `labels`, drawn from
    the model or the data's own. replayed: share of the examples that come from the source, in a sequence from all that was learned before,
    in equal parts. slowed: the method whose learning rate it takes, and what is left of it; None for its own.
    """

    shape: str
    trains: str
    rank: int | None = None
    layers: int = 0
    strength: float | None = None
    labels: str | None = None
    replayed: float = 0.0
    slowed: tuple[str, float] | None = None


Method: TypeAlias = words.Word[Recipe]


def _full(strength: float | None) -> Recipe:
    words.nothing(strength, FULL)
    return Recipe(FULL, FULL)


def _lora(strength: float | None) -> Recipe:
    return Recipe(LORA, LORA, rank=words.count(strength, "a rank, such as lora@8"))


def _top(strength: float | None) -> Recipe:
    layers = words.count(strength, "a number of layers, such as top@1")
    return Recipe(f"{TOP}@{layers}", TOP, layers=layers)


def _l2sp(strength: float | None) -> Recipe:
    return Recipe(PULLED, FULL, strength=words.positive(strength, "l2sp@0.01"))


def _ewc(strength: float | None) -> Recipe:
    return Recipe(WEIGHTED, FULL, strength=words.positive(strength, "ewc@1"), labels="model")


def _empirical(strength: float | None) -> Recipe:
    return Recipe(WEIGHTED, FULL, strength=words.positive(strength, "empirical@1"), labels="data")


def _replay(strength: float | None) -> Recipe:
    return Recipe(FULL, FULL, replayed=words.share(strength, "a percentage between 0 and 100, such as replay@5", 100) / 100)


def _slow(strength: float | None) -> Recipe:
    return Recipe(FULL, FULL, slowed=(FULL, words.share(strength, "a factor between 0 and 1 on full's learning rate, such as slow@0.3")))


def _slowlora(strength: float | None) -> Recipe:
    what = f"a factor between 0 and 1 on lora@{SLOWED_RANK}'s learning rate, such as slowlora@0.3"
    return Recipe(LORA, LORA, rank=SLOWED_RANK, slowed=(f"{LORA}@{SLOWED_RANK}", words.share(strength, what)))


def _joint(strength: float | None) -> Recipe:
    words.nothing(strength, JOINT)
    return Recipe(FULL, FULL, slowed=(FULL, 1.0))


METHODS: dict[str, Callable[[float | None], Recipe]] = {
    "full": _full,
    "lora": _lora,
    "top": _top,
    "l2sp": _l2sp,
    "ewc": _ewc,
    "empirical": _empirical,
    "replay": _replay,
    "slow": _slow,
    "slowlora": _slowlora,
    JOINT: _joint,
}


def parse(word: str) -> Method:
    """Returns the method of a word, NAME or NAME@STRENGTH; raises UsageError for one that is none."""
    return words.parse("methods", word, METHODS)
