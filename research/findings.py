"""What an experiment concludes: numbers with intervals, and the words that bound them."""

from collections.abc import Iterable, Mapping
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


class Table(NamedTuple):
    """What a report begins with: cells of words, the first column naming the row, and a caption that says how to read them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str


def find(found: Iterable[Finding], name: str, **where: Any) -> Finding | None:
    """Returns the first finding of this name whose coordinates include `where`, None where there is none."""
    return next((f for f in found if f.name == name and where.items() <= f.where.items()), None)


def shown(f: Finding | None, form: str = "#.3g") -> str:
    """Returns 'value [low, high]' for a reader: an open end as 'open', a value that is censored as its note says, none as an en dash.

    `form` is the format of numbers below 100; from there on they are whole, thousands set off.
    """
    if f is None or f.value is None:
        return (f.note.split(";")[0] if f else "") or "–"
    value, low, high = ("open" if x is None else f"{x:{form if abs(x) < 100 else ',.0f'}}" for x in (f.value, f.low, f.high))
    without = f.low is None and f.high is None and "interval open" not in f.note
    return value if without else f"{value} [{low}, {high}]"
