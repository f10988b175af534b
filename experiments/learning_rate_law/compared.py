"""What findings say of a place, a target and a start: powers under each rule, errors of laws, and how two laws compare."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from research.findings import Finding, find, shown

Place: TypeAlias = tuple[str, str]  # target, init

FARTHEST = 1000  # a factor beyond which a law, fitted to settings that tell nothing of it, is not told how wrong it is


def at_end(found: Sequence[Finding]) -> list[Finding]:
    """Returns the findings without what was read before the last step."""
    last = max((f.where["step"] for f in found if f.where.get("step") is not None), default=0)
    return [f for f in found if f.where.get("step", last) == last]


def places_of(found: Sequence[Finding]) -> list[Place]:
    """Returns the targets and starts of which a best rate was looked for, in order."""
    return list(dict.fromkeys((f.where["target"], f.where["init"]) for f in found if f.name == "best_rate"))


def at(place: Place) -> dict[str, str]:
    """Returns the coordinates of a place."""
    return {"target": place[0], "init": place[1]}


def by_rule(found: Sequence[Finding], place: Place) -> dict[str, Finding]:
    """Returns the power of the rank under each rule."""
    own = [f for f in found if f.name == "rate_exponent" and f.where["of"] == "rank" and at(place).items() <= f.where.items()]
    return {f.where["rule"]: f for f in own if f.where["rule"] != "all"}


def errors(found: Sequence[Finding], place: Place, left_out: str) -> dict[str, Finding]:
    """Returns the error of each law where something was left out, the best first."""
    own = [f for f in found if f.name == "law_error" and {**at(place), "left_out": left_out}.items() <= f.where.items()]
    return {f.where["law"]: f for f in sorted(own, key=lambda f: np.inf if f.value is None else f.value)}


def times(f: Finding | None) -> str:
    """Returns an error of logarithms as the factor by which rates are missed."""
    if f is None or f.value is None:
        return "–"
    if f.value > np.log(FARTHEST):
        return f"more than x{FARTHEST:,}"
    value, low, high = (None if end is None or end > np.log(FARTHEST) else float(np.exp(end)) for end in (f.value, f.low, f.high))
    return "x" + shown(f._replace(value=value, low=low, high=high), ".2f")


def between(found: Sequence[Finding], place: Place, left_out: str, laws: tuple[str, str]) -> Finding | None:
    """Returns the error of one law less that of another."""
    where = {**at(place), "what": "law_error", "left_out": left_out}
    one = find(found, "contrast", **where, between=f"{laws[0]} - {laws[1]}")
    if one is not None:
        return one
    other = find(found, "contrast", **where, between=f"{laws[1]} - {laws[0]}")
    if other is None:
        return None
    value, low, high = (None if end is None else -end for end in (other.value, other.high, other.low))
    return other._replace(value=value, low=low, high=high)
