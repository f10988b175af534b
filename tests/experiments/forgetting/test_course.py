"""Targets in a row: what cannot be is refused, and each cell learns, replays and is pulled to what its place in the row says."""

from typing import Any

import numpy as np
import pytest

from configs.forgetting import get_config
from experiments.forgetting.axes import ForgettingSweep, SequenceSweep
from experiments.forgetting.sequence import Course, Places, sequence_subject
from research.cells.runs import SELECTION_SEEDS
from research.cells.setting import Cell
from research.cells.study import Study
from research.errors import UsageError
from tests.commands import assert_refused

CONFIG = "--config=configs/forgetting.py:sequence"
SIZES = (7, 5, 6, 9)  # windows of the source and of three targets: five of each are taken


def config(**changes: Any) -> dict[str, Any]:
    """Returns the plain config of the sequence with changes."""
    return {**get_config("sequence").to_dict(), **changes}


@pytest.mark.parametrize(
    ("changes", "cause", "mend"),
    [
        ({"then": ()}, "then is empty: a sequence has at least two targets", "such as stdlib:docs"),
        ({"then": ("generated:people", "generated:people")}, "generated:people stands twice", "name each text once"),
        ({"then": ("generated:restaurants",)}, "generated:restaurants stands twice", "name each text once"),
        ({"then": ("stdlib:code",)}, "stdlib:code is the source and a target", "name another text"),
        ({"source": "generated:restaurants"}, "generated:restaurants is the source and a target", "name another text"),
        ({"methods": ("full", "joint@2")}, "methods has 'joint@2'", "takes nothing behind it"),
        ({"methods": ("lora@2", "joint")}, "all are compared with full", "add it"),
    ],
)
def test_sequences_that_cannot_be_are_refused(changes: dict[str, Any], cause: str, mend: str) -> None:
    with pytest.raises(UsageError) as refused:
        sequence_subject(config(**changes))
    line = str(refused.value)
    assert cause in line and mend in line and "\n" not in line


def test_refusals_come_before_anything_is_written(tmp_path: Any, capsys: pytest.CaptureFixture) -> None:
    assert_refused(CONFIG, "then=stdlib:code,", "is the source", tmp_path, capsys)
    assert_refused("--config=configs/forgetting.py:smoke", "methods=full,joint", "mixes the targets of a sequence", tmp_path, capsys)


def test_one_target_knows_nothing_of_a_sequence() -> None:
    """Its config has no key more than it had, so that what was run goes on under the names that it has."""
    plain = get_config().to_dict()
    assert "then" not in plain and ForgettingSweep.of(plain).methods[0] == "full"


def test_over_as_many_seeds_as_targets_each_has_each_place_once_and_bases_that_come_again_have_other_orders() -> None:
    sweep = SequenceSweep.of(config(seeds=9))
    orders = [sweep.order(seed) for seed in range(9)]
    assert orders[:3] == [(0, 1, 2), (1, 2, 0), (2, 0, 1)] and sweep.order(SELECTION_SEEDS + 1) == (0, 1, 2)
    assert all(sorted(orders[base::3]) == sorted(orders[:3]) for base in range(3))


def course() -> Course:
    plain = config()
    sweep, texts = SequenceSweep.of(plain), []
    for number, size in enumerate(SIZES):
        texts.append(np.stack([np.full(3, 100 * number + place) for place in range(size)])[: min(SIZES)])
    return Course(sweep, Study.of(plain), Places.of(sweep), texts)


def cells(own: Course, arm: str, seed: int) -> list[Cell]:
    """Returns the cells of an arm and seed, task by task."""
    (c,) = [c for c in own.sweep.results() if (c["arm"], c["seed"]) == (arm, seed)]
    found = [own.first({**c, "learning_rate": 1e-3})]
    for task in (1, 2):
        found.append(own.following(found[-1]._replace(fingerprint=f"{arm}{seed}{task}"), task))
    return found


def numbers(own: Course, span: tuple[int, int] | None) -> set[int]:
    """Returns of which texts the windows of a span are, 0 the source; all of each, and as many of each."""
    assert span is not None
    taken = own.rows()[slice(*span), 0]
    texts = set((taken // 100).tolist())
    assert all((taken // 100 == text).sum() == 5 for text in texts) and len(np.unique(taken)) == len(taken)
    return texts


@pytest.mark.parametrize("seed", range(3))
def test_a_cell_learns_its_own_text_and_replays_all_before_it(seed: int) -> None:
    own, order = course(), [1 + (seed + task) % 3 for task in range(3)]
    for task, cell in enumerate(cells(own, "replay@10", seed)):
        assert numbers(own, cell.span) == {order[task]} and numbers(own, cell.again) == {0, *order[:task]}
        assert (cell.coordinates["task"], cell.coordinates["text"]) == (task + 1, order[task]) and cell.replayed == 0.1


def test_what_is_mixed_sees_a_third_of_each_target_in_each_task() -> None:
    own = course()
    spans = [cell.span or (0, 0) for cell in cells(own, "joint", 1)]
    taken = np.concatenate([own.rows()[slice(*span), 0] for span in spans])
    assert sorted(taken.tolist()) == [100 * text + place for text in (1, 2, 3) for place in range(5)]
    for span in spans:
        assert np.bincount(own.rows()[slice(*span), 0] // 100, minlength=4)[1:].tolist() in ([2, 2, 1], [2, 1, 2], [1, 2, 2])


def test_cells_go_on_from_one_another_and_are_named_by_where_they_begin() -> None:
    own = course()
    first, second, third = cells(own, "ewc@1", 2)
    assert first.after is None and second.after == "ewc@121" and third.after == "ewc@122"
    again = own.following(second._replace(fingerprint="another"), 2)
    assert len({second.fingerprint, third.fingerprint, again.fingerprint}) == 3
    assert {cell.base for cell in (first, second, third)} == {first.base}


def test_each_that_is_pulled_has_a_start_of_its_own_and_a_fisher_of_its_own() -> None:
    own = course()
    taken: list[int | None] = []
    for arm in ("l2sp@0.01", "ewc@1", "full"):
        for seed in range(3):
            first, second, third = cells(own, arm, seed)
            assert (second.reference, second.importance) == (third.reference, third.importance)
            assert first.reference == (None if arm == "full" else first.base)
            taken += [second.reference, second.importance]
    used = [place for place in taken if place is not None]
    assert len(set(used)) == len(used) == 9 and max(used) == own.places.total - 1
    assert min(used) == len(set(own.places.bases.values())) + len(own.places.fishers)
