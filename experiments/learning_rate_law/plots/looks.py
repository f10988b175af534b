"""How rules, targets and starts look in every figure of the experiment."""

from collections.abc import Sequence

from research.figures.style import Look
from research.findings import Finding

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")


def by_word(words: Sequence[str]) -> dict[str, Look]:
    """Returns a look for each word in order: rules, or targets with their starts."""
    found = list(dict.fromkeys(words))
    return {word: Look(_COLORS[i % len(_COLORS)], _MARKERS[i % len(_MARKERS)], "-") for i, word in enumerate(found)}


def rules(found: Sequence[Finding]) -> dict[str, Look]:
    """Returns the look of each rule of which a best rate was looked for."""
    return by_word([f.where["rule"] for f in found if f.name == "best_rate" and f.where["rule"]])


def ends(f: Finding) -> tuple[float, float, float]:
    """Returns value, low and high of a finding that has a value; an open or missing end is the value."""
    value = float(f.value or 0.0)
    return value, value if f.low is None else f.low, value if f.high is None else f.high
