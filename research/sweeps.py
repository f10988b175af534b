"""Sweeps as data: tuples of overrides with an algebra, and fingerprints that name a cell for good."""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from research.errors import UsageError

Override = dict[str, Any]
Sweep = tuple[Override, ...]


class Plan(NamedTuple):
    """What an experiment would run: cells, its populations (one dict each, for print), peak memory in bytes, time in seconds."""

    cells: int
    populations: list[dict[str, Any]]
    memory_bytes: int
    seconds: float


def _filled(sweep: Sweep, what: str) -> Sweep:
    if not sweep:
        raise UsageError(f"empty sweep: {what} has nothing in it; give every axis at least one value")
    return sweep


def _listed(axes: Mapping[str, Iterable[Any]]) -> dict[str, list[Any]]:
    lists = {name: list(values) for name, values in axes.items()}
    for name, values in lists.items():
        if not values:
            raise UsageError(f"empty sweep: {name} has no values; give at least one, as in --config.{name}=1,2")
    return lists


def grid(**axes: Iterable[Any]) -> Sweep:
    """Returns every combination of the axes' values, the last axis running fastest. UsageError for an empty axis."""
    lists = _listed(axes)
    return tuple(dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values()))


def zip_(**axes: Iterable[Any]) -> Sweep:
    """Returns the axes walked side by side. UsageError for an empty axis or unequal lengths."""
    lists = _listed(axes)
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"axes walked together need equal lengths, these have {lengths}")
    return _filled(tuple(dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)), "zip_()")


def chain(*sweeps: Sweep) -> Sweep:
    """Returns the sweeps one after the other. UsageError when nothing is in them."""
    return _filled(tuple(itertools.chain.from_iterable(sweeps)), "chain()")


def product(*sweeps: Sweep) -> Sweep:
    """Returns every override of one sweep merged with every one of the others, the last running fastest.

    UsageError when a sweep is empty, or when two of them set the same key: which of the two holds would be a guess.
    """
    for position, sweep in enumerate(sweeps, start=1):
        _filled(sweep, f"factor {position} of the product")
    return tuple(_merged(overrides) for overrides in itertools.product(*sweeps))


def _merged(overrides: tuple[Override, ...]) -> Override:
    merged: Override = {}
    for override in overrides:
        if both := merged.keys() & override.keys():
            raise UsageError(f"two sweeps of a product both set {', '.join(sorted(both))}; leave it in one of them")
        merged |= override
    return merged


def canonical(value: Any) -> Any:
    """Returns `value` in the words of JSON, equal for equal meanings.

    Dataclasses and named tuples become objects of their fields, tuples and arrays lists, numpy scalars Python's. A whole float becomes
    an int: 1 and 1.0 are the same number, and `--config.alpha=16` the same cell as 16.0; true and 1 stay apart. TypeError for
    anything else, ValueError for NaN and infinities: what has no stable spelling must not name a cell.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: canonical(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return canonical(value._asdict())
    if isinstance(value, Mapping):
        return _canonical_object(value)
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return _canonical_number(value)
    if hasattr(value, "tolist"):
        return canonical(value.tolist())
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _canonical_object(value: Mapping[Any, Any]) -> dict[str, Any]:
    if strange := [key for key in value if not isinstance(key, str)]:
        raise TypeError(f"keys must be strings, not {strange[0]!r}")
    return {key: canonical(value[key]) for key in sorted(value)}


def _canonical_number(value: float) -> int | float:
    if not math.isfinite(value):
        raise ValueError(f"{value} has no canonical form")
    return int(value) if value.is_integer() else value


def fingerprint(value: Any) -> str:
    """Returns 12 hex digits of the SHA-256 of `value`'s canonical JSON: the same on every machine, process and Python."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
