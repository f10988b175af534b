"""What an experiment concludes: numbers with intervals, and the words that bound them."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Estimate(NamedTuple):
    """A number with its interval; `value` is None where the answer is censored or undefined, and `note` then says why."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    note: str = ""


class Finding(NamedTuple):
    """One line of `summary.json`: an estimate with its name, its coordinates and its unit."""

    name: str
    where: Mapping[str, Any]
    value: float | None
    low: float | None
    high: float | None
    unit: str
    n: int
    method: str
    note: str = ""


def finding(name: str, where: Mapping[str, Any], estimate: Estimate, unit: str) -> Finding:
    """Returns the finding that states `estimate` under `name` at the coordinates `where`."""
    value, low, high, n, method, note = estimate
    return Finding(name, dict(where), value, low, high, unit, n, method, note)
