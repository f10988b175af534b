"""Rules by which an adapter's alpha follows its rank. A new one is one function and one name."""

import math
from collections.abc import Callable
from typing import TypeAlias

from research.cells import words

Alpha: TypeAlias = Callable[[int], float]  # of the rank
Rule: TypeAlias = words.Word[Alpha]


def _fixed(strength: float | None) -> Alpha:
    """One alpha for all ranks: the scale falls as 1 / rank (Hu et al. 2021, section 4.1)."""
    alpha = words.positive(strength, "fixed@32")
    return lambda rank: alpha


def _equal(strength: float | None) -> Alpha:
    """Alpha so many times the rank: one scale for all ranks."""
    factor = words.positive(strength, "equal@1")
    return lambda rank: factor * rank


def _rslora(strength: float | None) -> Alpha:
    """A scale of strength / sqrt(rank) (Kalajdzievski 2023, arXiv 2312.03732)."""
    alpha = words.positive(strength, "rslora@8")
    return lambda rank: alpha * math.sqrt(rank)


RULES = {"fixed": _fixed, "equal": _equal, "rslora": _rslora}


def parse(word: str) -> Rule:
    """Returns a rule; raises UsageError for a word that is none."""
    return words.parse("rules", word, RULES)
