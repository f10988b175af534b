"""Diagonals of the bases: each of its own base and labels, kept by the very weights, made again where they are damaged."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments.forgetting.fishers import Diagonals, diagonals, kept, places, spaced, with_fishers
from research import tree
from research.analysis.fisher import fisher_diagonal
from research.cells.bases import Bases
from research.cells.pretraining import example_batch
from research.cells.study import Study, model_of
from research.models.model import Variables
from tests.experiments.forgetting.test_axes import config

PLAIN = config(model__d_model=8, model__d_mlp=16, model__max_length=8, methods=("full", "ewc@1", "empirical@1"))
STUDY = Study.of(PLAIN)
ROWS = np.random.default_rng(0).integers(1, 255, (4, 9)).astype(np.uint8)
BASE = jax.device_get(model_of(STUDY).init(jax.random.key(0), example_batch())["params"])
OTHER = jax.tree.map(lambda leaf: leaf * np.float32(1.5), BASE)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "lowlands" / "fishers"


@pytest.fixture(scope="module")
def of() -> Diagonals:
    return diagonals(STUDY)


class Counting:
    """What makes diagonals, and how often it did."""

    def __init__(self, of: Diagonals) -> None:
        self.of, self.made = of, 0

    def __call__(self, *args: Any) -> Variables:
        self.made += 1
        return self.of(*args)


def same(one: Variables, other: Variables, rtol: float = 0.0) -> bool:
    pairs = zip(tree.flatten(one).values(), tree.flatten(other).values(), strict=True)
    return all(np.allclose(a, b, rtol=rtol, atol=rtol * 1e-3) for a, b in pairs)


def flipped(params: Variables) -> Variables:
    """Returns the weights with the last bit of a single one flipped."""
    flat = {path: np.array(leaf) for path, leaf in tree.flatten(params).items()}
    flat["head/kernel"].view(np.uint32)[0, 0] ^= 1
    return tree.unflatten(flat)


def test_windows_are_taken_from_the_first_to_the_last() -> None:
    assert spaced(np.arange(12), 4).tolist() == [0, 4, 7, 11] and spaced(np.arange(3), 4).tolist() == [0, 1, 2]


@pytest.mark.slow
def test_behind_the_bases_stand_the_diagonals_of_each_of_its_own_labels() -> None:
    starts, at = [BASE, OTHER], places(["data", "model"], 2)
    stack = with_fishers(Bases(starts.__getitem__, 2, together=True), STUDY, at, ROWS)
    assert stack.at_once == 6 and all(same(stack.params(place), starts[place]) for place in (0, 1))
    for (labels, place), there in at.items():
        wanted = fisher_diagonal(model_of(STUDY), starts[place], ROWS, STUDY.to_batch, jax.random.key(14), labels)
        assert same(stack.params(there), wanted, 1e-4)
        assert not any(same(stack.params(there), stack.params(other), 1e-4) for key, other in at.items() if key != (labels, place))


def test_a_diagonal_is_made_once(of: Diagonals, cache: Path) -> None:
    first = Counting(of)
    whole = kept(STUDY, first)("model", BASE, ROWS)
    again = Counting(of)
    assert same(kept(STUDY, again)("model", tree.unflatten(dict(tree.flatten(BASE))), ROWS.copy()), whole)
    assert (first.made, again.made, len(list(cache.iterdir()))) == (1, 0, 1)


@pytest.mark.parametrize("change", ["one bit of one weight", "labels", "windows", "fewer windows", "model"])
def test_one_of_anything_else_is_another(of: Diagonals, change: str) -> None:
    kept(STUDY, of)("model", BASE, ROWS)
    study, kind, params, rows = STUDY, "model", BASE, ROWS
    if change == "one bit of one weight":
        params = flipped(BASE)
        assert same(params, BASE, 1e-6) and not same(params, BASE)
    elif change == "labels":
        kind = "data"
    elif change == "model":
        study = Study.of({**PLAIN, "model": {**PLAIN["model"], "norm_eps": 1e-5}})  # of the same shapes
    else:
        rows = ROWS[:3] if change == "fewer windows" else ROWS[::-1].copy()
    again = Counting(diagonals(study))
    found = kept(study, again)(kind, params, rows)
    assert again.made == 1 and same(found, again.of(kind, params, rows))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax leaves a coroutine behind when a load fails
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_one_is_made_again(of: Diagonals, cache: Path, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    whole = kept(STUDY, of)("data", BASE, ROWS)
    for path in [path for path in cache.rglob("*") if path.is_file() and path.parent.name == "d"]:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 16
        path.write_bytes(data[:-9] if damage == "cut" else data)
    again = Counting(of)
    assert same(kept(STUDY, again)("data", BASE, ROWS), whole) and again.made == 1
    assert "damaged" in caplog.text
    assert same(kept(STUDY, again)("data", BASE, ROWS), whole) and again.made == 1  # whole again
