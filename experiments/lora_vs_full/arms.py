"""Arms: what each trains; and nulls: full training on what teaches nothing. A new one is one function and one name."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from research.cells import words
from research.models.model import Batch

FULL, LORA, SHUFFLED, SOURCE, NONE = "full", "lora", "shuffled", "source", "none"
NULLS = (SHUFFLED, SOURCE)
KEY = 14


class Recipe(NamedTuple):
    """What makes a member of an arm: the shape of its program, the rank of its adapter, and what is left of full's learning rate."""

    shape: str
    rank: int | None = None
    slowed: float = 1.0


Arm: TypeAlias = words.Word[Recipe]


def _full(strength: float | None) -> Recipe:
    words.nothing(strength, FULL)
    return Recipe(FULL)


def _lora(strength: float | None) -> Recipe:
    return Recipe(LORA, rank=words.count(strength, "a rank, such as lora@8"))


def _slow(strength: float | None) -> Recipe:
    return Recipe(FULL, slowed=words.share(strength, "a factor between 0 and 1 on full's learning rate, such as slow@0.1"))


ARMS: dict[str, Callable[[float | None], Recipe]] = {"full": _full, "lora": _lora, "slow": _slow}


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
