"""Labeled images in two halves of their classes, A and B, drawn anew by each split (Yosinski et al. 2014, section 3)."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from research.data.labeled import Labeled
from research.errors import UsageError

KEY = 21
LEAST = 4  # classes, two for each half


class Half(NamedTuple):
    """The classes of a half, as they are in the data, and its parts as rows (n, pixels + 1) whose labels are places among them."""

    classes: tuple[int, ...]
    parts: Mapping[str, np.ndarray]


def halves(data: Labeled, split: int) -> tuple[Half, Half]:
    """Returns the halves A and B of a split: equally many classes each, drawn by Philox; of an odd number one is left out.

    UsageError for data of fewer than four classes.
    """
    if data.classes < LEAST:
        raise UsageError(f"images = {data.name} has {data.classes} classes, and two halves take {LEAST}; choose another set")
    words = np.random.Philox(key=np.array([split, KEY], np.uint64)).random_raw(data.classes)
    order, size = np.argsort(words, kind="stable"), data.classes // 2
    first, second = (_half(data, tuple(sorted(order[start : start + size].tolist()))) for start in (0, size))
    return first, second


def _half(data: Labeled, classes: tuple[int, ...]) -> Half:
    return Half(classes, {part: _relabeled(rows, classes) for part, rows in data.parts.items()})


def _relabeled(rows: np.ndarray, classes: tuple[int, ...]) -> np.ndarray:
    own = rows[np.isin(rows[:, -1], classes)].copy()
    own[:, -1] = np.searchsorted(classes, own[:, -1])
    return own
