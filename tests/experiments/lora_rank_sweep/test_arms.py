"""The parts of a sweep over ranks: a star around the first arm, or everything crossed."""

from collections import Counter
from typing import Any

import pytest

from configs.lora_rank_sweep import get_config
from experiments.lora_rank_sweep.arms import RankSweep
from research.errors import UsageError


def sweep(variant: str = "", **changes: Any) -> RankSweep:
    return RankSweep.of({**get_config(variant).to_dict(), **changes})


def test_the_default_is_a_star_of_about_two_hundred_cells_and_the_first_target_comes_first() -> None:
    block, other, ends = sweep().spokes()
    assert (block.target, other.target, ends.target) == ("stdlib:docs", "generated:restaurants", "stdlib:docs")
    assert [len(part.results()) for part in (block, other, ends)] == [78, 78, 42]
    assert sum(len(part.selection()) for part in (block, other, ends)) == 368
    ranks = Counter((c["init"], c["rank"]) for c in block.results() if c["trains"] == "lora")
    assert {rank for init, rank in ranks if init == "random"} == {1, 2, 4, 8, 16, 32}
    assert {rank for init, rank in ranks if init == "rotated"} == {1, 8, 32}
    assert set(ranks.values()) == {3}


def test_rank_zero_is_trained_where_something_moves_beside_the_adapter_and_everything_once() -> None:
    _, _, ends = sweep().spokes()
    by_arm = {arm: {c["rank"] for c in ends.results() if c["arm"] == arm and c["trains"] == "lora"} for arm in ends.arms}
    assert by_arm == {"block+ends": {0, 1, 8}, "all": {1, 8}}
    assert {c["rank"] for c in ends.selection() if c["arm"] == "block+ends" and c["trains"] == "lora"} == {0, 1, 16}
    assert {c["trains"] for c in ends.results()} == {"lora", "matched"} and ends.name == "block+ends and all on stdlib:docs"


def test_each_seed_has_a_base_of_its_own_and_selection_has_other_seeds() -> None:
    block = sweep().spokes()[0]
    assert {(c["seed"], c["base"]) for c in block.results()} == {(0, 0), (1, 1), (2, 2)}
    assert {c["seed"] for c in block.selection()} == {1000, 1001}
    assert {c["rank"] for c in block.selection() if c["trains"] == "lora"} == {1, 16}


def test_crossed_every_arm_has_every_rank_on_every_target() -> None:
    parts = sweep(crossed=True, rate_ranks=()).spokes()
    assert [part.target for part in parts] == ["stdlib:docs", "generated:restaurants"]
    for part in parts:
        lora = Counter((c["arm"], c["init"]) for c in part.results() if c["trains"] == "lora")
        assert len(lora) == 12 and {(arm, count // 3) for (arm, _), count in lora.items()} == {("block", 6), ("block+ends", 7), ("all", 6)}
        assert {c["rank"] for c in part.selection() if c["arm"] == "all" and c["trains"] == "lora"} == {1, 2, 4, 8, 16, 32}


def test_fewer_ranks_leave_no_part_empty() -> None:
    block, _, ends = sweep(ranks=(3,)).spokes()
    assert {c["rank"] for c in (*block.results(), *ends.results()) if c["rank"]} == {3}
    assert len(sweep(inits=("shuffled",), arms=("block",)).spokes()) == 2


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"ranks": (0, 1)}, "rank 0 is read"),
        ({"targets": ("a", "a")}, "twice"),
        ({"targets": ()}, "targets"),
        ({"inits": ("shuffled",)}, "crossed=True"),
    ],
)
def test_axes_that_cannot_be_are_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        sweep(**changes)
