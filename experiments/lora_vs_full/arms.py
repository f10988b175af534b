"""Arms: what each trains; and nulls: full training on what teaches nothing. A new one is one function and one name."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from research.cells import words
from research.models.model import Batch

FULL, LORA, SHUFFLED, SOURCE, NONE = "full", "lora", "shuffled", "source", "none"
NULLS = (SHUFFLED, SOURCE)
KEY, SLOWED_RANK = 14, 16


class Recipe(NamedTuple):
    """What makes a member of an arm: the shape of its program, the rank of its adapter, and whose learning rate it takes, how much of it.

    slowed: None for a learning rate of its own.
    """

    shape: str
    rank: int | None = None
    slowed: tuple[str, float] | None = None


Arm: TypeAlias = words.Word[Recipe]


def _full(strength: float | None) -> Recipe:
    words.nothing(strength, FULL)
    return Recipe(FULL)


def _lora(strength: float | None) -> Recipe:
    return Recipe(LORA, rank=words.count(strength, "a rank, such as lora@8"))


def _slow(strength: float | None) -> Recipe:
    return Recipe(FULL, slowed=(FULL, words.share(strength, "a factor between 0 and 1 on full's learning rate, such as slow@0.1")))


def _slowlora(strength: float | None) -> Recipe:
    what = f"a factor between 0 and 1 on lora@{SLOWED_RANK}'s learning rate, such as slowlora@0.3"
    return Recipe(LORA, SLOWED_RANK, (f"{LORA}@{SLOWED_RANK}", words.share(strength, what)))


ARMS: dict[str, Callable[[float | None], Recipe]] = {"full": _full, "lora": _lora, "slow": _slow, "slowlora": _slowlora}


def parse(word: str) -> Arm:
    """Returns the arm of a word, NAME or NAME@STRENGTH; raises UsageError for one that is none."""
    return words.parse("arms", word, ARMS)


def shuffled(to_batch: Callable[[Any], Batch]) -> Callable[[Any], Batch]:
    """Returns `to_batch` with the labels of each example taken from the one before it, their places drawn once.

    They keep how often each token occurs, and nothing of a text can tell them: what training on them changes is how often tokens occur,
    and the optimizer's noise. A batch needs two examples, or labels would be of the text itself.
    """

    def of(rows: Any) -> Batch:
        batch = dict(to_batch(rows))
        places = np.argsort(np.random.Philox(key=np.array([KEY, 0], np.uint64)).random_raw(batch["targets"].shape[-1]), kind="stable")
        return {**batch, **{name: jnp.roll(batch[name], 1, axis=0)[..., places] for name in ("targets", "weights")}}

    return of
