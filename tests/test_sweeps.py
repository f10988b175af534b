"""The sweep algebra, and fingerprints that mean the same everywhere."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from research.errors import UsageError
from research.sweeps import Sweep, chain, fingerprint, grid, product, zip_

ROOT = Path(__file__).parent.parent


def test_a_grid_holds_every_combination_with_the_last_axis_fastest() -> None:
    sweep = grid(rank=[1, 2], **{"model.d": (8, 16, 32)})
    assert len(sweep) == 6
    assert sweep[:2] == ({"rank": 1, "model.d": 8}, {"rank": 1, "model.d": 16})
    assert len({tuple(cell.items()) for cell in sweep}) == 6


def test_a_product_of_grids_is_the_grid_of_all_axes() -> None:
    assert product(grid(a=[1, 2]), grid(b=[3], c=[4, 5])) == grid(a=[1, 2], b=[3], c=[4, 5])


def test_chain_and_zip() -> None:
    walked = zip_(a=[1, 2], b=[3, 4])
    assert walked == ({"a": 1, "b": 3}, {"a": 2, "b": 4})
    assert chain(walked, grid(a=[9])) == (*walked, {"a": 9})


@pytest.mark.parametrize(
    "make",
    [
        lambda: grid(rank=[]),
        lambda: zip_(a=[], b=[]),
        lambda: zip_(),
        lambda: chain(),
        lambda: chain((), ()),
        lambda: product(grid(a=[1]), ()),
    ],
)
def test_an_empty_sweep_is_an_error(make: Any) -> None:
    with pytest.raises(UsageError, match="empty sweep"):
        make()


def test_unequal_lengths_and_keys_set_twice_are_errors() -> None:
    with pytest.raises(UsageError, match=r"equal lengths.*'a': 2"):
        zip_(a=[1, 2], b=[1])
    with pytest.raises(UsageError, match="both set a"):
        product(grid(a=[1]), grid(a=[2]))


@dataclasses.dataclass(frozen=True)
class Spec:
    rank: int
    alpha: float


class Pair(NamedTuple):
    rank: int
    alpha: float


SAME: list[tuple[Any, Any]] = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ((1, 2), [1, 2]),
    (1, 1.0),
    (0.0, -0.0),
    (Spec(4, 16.0), {"rank": 4, "alpha": 16}),
    (Pair(4, 16.0), Spec(4, 16)),
    (np.float64(0.1), 0.1),
    (np.int32(3), 3),
    (np.array([1, 2]), (1, 2)),
    (np.bool_(True), True),
]
DIFFERENT: list[tuple[Any, Any]] = [
    (1, True),
    (0, None),
    (1, "1"),
    (0.1, np.nextafter(0.1, 1)),
    ((1, 2), (2, 1)),
    ({"a": {"b": 1}}, {"a.b": 1}),
    ((), ""),
    ({"a": 1}, {"a": 1, "b": None}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_meanings_have_equal_fingerprints(one: Any, other: Any) -> None:
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_meanings_have_different_fingerprints(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(("value", "error"), [(math.nan, ValueError), (math.inf, ValueError), ({1: 2}, TypeError), ({1, 2}, TypeError)])
def test_what_has_no_stable_spelling_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        fingerprint({"x": value})


def test_the_fingerprint_is_pinned_and_the_same_in_another_process() -> None:
    cell: Sweep = grid(rank=[4], learning_rate=[3e-3], init=["pretrained"])
    code = "from research.sweeps import *; print(fingerprint(grid(init=['pretrained'], learning_rate=[0.003], rank=[4.0])))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert fingerprint(cell) == done.stdout.strip() == "b6d8ccbda04f"
