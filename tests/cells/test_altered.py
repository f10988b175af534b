"""Weights that nobody trained: each is read once and as itself, as many at a time as there are bases, whatever their number and type."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from research.cells.altered import Altered, read
from research.cells.bases import Bases


class Runner:
    """What `read` takes of a runner: bases, and a reading that sums each tree and tells in what stacks they came."""

    def __init__(self, count: int, together: bool, dtype: Any = np.float32) -> None:
        bases = [{"w": np.full(3, i, dtype), "b": np.zeros(2, np.float32)} for i in range(count)]
        self.setting = SimpleNamespace(bases=Bases(bases.__getitem__, count, together))
        self.calls: list[tuple[str, str, int, int, Any]] = []

    def untouched(self, shape: str, phase: str, bases: Sequence[int], stack: Any) -> dict[str, np.ndarray]:
        self.calls.append((shape, phase, len(bases), len(stack["w"]), stack["w"].dtype))
        sums = stack["w"].astype(np.float64).sum(1) + stack["b"].sum(1)
        places = list(bases)
        return {"loss": sums[places], "document_loss": np.stack([sums, -sums], 1)[places]}


def made(count: int, bases: int, seen: list[int] | None = None) -> Iterator[Altered]:
    for i in range(count):
        if seen is not None:
            seen.append(i)
        yield Altered({"number": i}, i % bases, {"w": np.full(3, i + 0.5), "b": np.ones(2)})


@pytest.mark.parametrize(("count", "together", "bases"), [(7, True, 3), (6, True, 3), (2, True, 3), (3, False, 3), (0, True, 2)])
def test_each_is_read_once_as_itself_in_stacks_of_one_size(count: int, together: bool, bases: int) -> None:
    runner = Runner(bases, together)
    found = list(read(runner, "full", "cut", made(count, bases)))
    assert [one.where["number"] for one, _ in found] == list(range(count))
    for one, values in found:
        total = 3 * (one.where["number"] + 0.5) + 2
        assert float(values["loss"]) == total and values["document_loss"].tolist() == [total, -total]
    size = bases if together else 1
    assert {call[3] for call in runner.calls} <= {size} and len(runner.calls) == -(-count // size)  # padded: programs are compiled for it
    assert sum(call[2] for call in runner.calls) == count and {call[:2] for call in runner.calls} <= {("full", "cut")}


def test_only_so_many_are_held_as_are_read_together() -> None:
    seen: list[int] = []
    found = read(Runner(2, True), "full", "cut", made(9, 2, seen))
    assert next(found)[0].where["number"] == 0 and seen == [0, 1]
    assert [next(found)[0].where["number"] for _ in range(2)] == [1, 2] and seen == [0, 1, 2, 3]


def test_they_come_in_the_type_of_their_base() -> None:
    runner = Runner(2, True, ml_dtypes.bfloat16)
    (first, second, *_) = read(runner, "full", "cut", made(2, 2))
    assert {call[4] for call in runner.calls} == {np.dtype(ml_dtypes.bfloat16)}
    assert (float(first[1]["loss"]), float(second[1]["loss"])) == (3.5, 6.5)
