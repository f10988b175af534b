"""Single values of a description that others wrote: what is of another type, or no size, is refused by the name of its key."""

import math
from collections.abc import Mapping
from typing import Any

from research.errors import UsageError

FILE = "config.json: "


def whole(config: Mapping[str, Any], key: str, before: str = FILE) -> int:
    """Returns the value of a key that must be a whole number above 0; UsageError, with `before` the key, for any other."""
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{before}{key} = {value!r} must be a whole number above 0")
    return value


def number(config: Mapping[str, Any], key: str, before: str = FILE) -> float:
    """Returns the value of a key that must be a finite number above 0; UsageError, with `before` the key, for any other."""
    value = config.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value <= 0:
        raise UsageError(f"{before}{key} = {value!r} must be a number above 0")
    return float(value)


def flag(config: Mapping[str, Any], key: str) -> bool:
    """Returns the value of a key that must be true or false, false where it is null or missing; UsageError for any other."""
    value = config.get(key)
    if not isinstance(value, bool | None):
        raise UsageError(f"{FILE}{key} = {value!r} must be true or false")
    return bool(value)
