"""Kept weights: a cell's artifact over its base, its adapter merged, by the name that its step has."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from research.cells.kept import weights
from research.cells.setting import Cell

DRAW = np.random.default_rng(0)
BASES = [
    {"dense": {"kernel": DRAW.standard_normal((4, 6)).astype(np.float32)}, "norm": {"scale": np.full(6, 1.0 + i, np.float32)}}
    for i in (0, 1)
]
FACTORS = {"A": DRAW.standard_normal((4, 2)).astype(np.float32), "B": DRAW.standard_normal((2, 6)).astype(np.float32)}
TUNED = DRAW.standard_normal((4, 6)).astype(np.float32)
ARTIFACTS = {
    "plain": {"params/dense/kernel": TUNED},
    "plain-20": {"params/dense/kernel": TUNED / 2},
    "low": {**{f"adapter/dense/{name}": leaf for name, leaf in FACTORS.items()}, "constants/dense/scale": np.float32(3)},
}


def runner(dtype: Any = np.float32) -> Any:
    def params(place: int) -> Any:
        return {"dense": {"kernel": BASES[place]["dense"]["kernel"].astype(dtype)}, "norm": BASES[place]["norm"]}

    setting = SimpleNamespace(bases=SimpleNamespace(params=params), budgets=(20, 40))
    return SimpleNamespace(setting=setting, workdir=SimpleNamespace(load_artifact=ARTIFACTS.__getitem__))


def cell(name: str, base: int) -> Cell:
    return Cell(name, {}, "full", base, 0, 1e-3, 0)


@pytest.mark.parametrize(("step", "kernel"), [(40, TUNED), (20, TUNED / 2)])
def test_what_moved_is_the_artifacts_at_that_step_and_the_rest_the_bases(step: int, kernel: np.ndarray) -> None:
    found = weights(runner(), cell("plain", 1), step)
    np.testing.assert_array_equal(found["dense"]["kernel"], kernel)
    np.testing.assert_array_equal(found["norm"]["scale"], BASES[1]["norm"]["scale"])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_an_adapter_is_merged_into_its_own_base_on_the_host(dtype: Any) -> None:
    found = weights(runner(dtype), cell("low", 1), 40)
    assert set(found) == {"dense", "norm"} and all(
        isinstance(leaf, np.ndarray) for leaf in (found["dense"]["kernel"], found["norm"]["scale"])
    )
    assert found["dense"]["kernel"].dtype == dtype
    wanted = BASES[1]["dense"]["kernel"] + 3 * FACTORS["A"] @ FACTORS["B"]
    np.testing.assert_allclose(found["dense"]["kernel"], wanted, rtol=0, atol=2e-5 if dtype is np.float32 else 2e-2)
