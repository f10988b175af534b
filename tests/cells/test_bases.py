"""Bases are held together where they are small, and one at a time, each made when it is asked for, where they are large."""

import numpy as np
import pytest

from research.cells.bases import Bases, at_once, stacked_shapes
from research.training import memory


def base(place: int) -> dict:
    return {"w": np.full((2, 3), float(place), np.float32)}


def test_small_bases_are_made_once_and_held_together() -> None:
    made: list[int] = []
    bases = Bases(lambda place: made.append(place) or base(place), 3, together=True)
    assert made == [0, 1, 2] and bases.at_once == 3
    assert bases.stack(2)["w"].shape == (3, 2, 3) and [bases.index(place) for place in range(3)] == [0, 1, 2]
    np.testing.assert_array_equal(bases.params(1)["w"], base(1)["w"])
    assert made == [0, 1, 2]


def test_large_bases_are_made_when_they_are_asked_for_and_the_last_one_alone_is_held() -> None:
    made: list[int] = []
    bases = Bases(lambda place: made.append(place) or base(place), 3, together=False)
    assert made == [] and bases.at_once == 1
    for place in (1, 1, 2, 1):
        stack = bases.stack(place)["w"]
        assert stack.shape == (1, 2, 3) and stack[bases.index(place)][0, 0] == place
    assert made == [1, 2, 1]


def test_how_many_are_held_follows_from_the_bytes_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LARGE", 24)
    assert at_once(base(0), 5) == 5
    monkeypatch.setattr(memory, "LARGE", 23)
    assert at_once(base(0), 5) == 1
    assert stacked_shapes(base(0), 4)["w"].shape == (4, 2, 3)
