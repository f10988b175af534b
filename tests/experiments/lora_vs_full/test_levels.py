"""Where arms are compared: the budgets whose losses are nearest to shares of what full learns; nowhere but at their end without one."""

import itertools
from collections.abc import Mapping

import pandas as pd
import pytest

from experiments.lora_vs_full.levels import levels, place, shares, standing, steps, ways

BUDGETS = (10, 20, 30, 40)
Ways = Mapping[tuple[str, int], tuple[float | None, ...]]
# full learns 2 bits of seed 0, 1 of seed 1: half of it is at 3.0 and 4.5
WAYS: Ways = {
    ("full", 0): (3.6, 3.3, 2.9, 2.0),
    ("full", 1): (4.9, 4.45, 4.2, 4.0),
    ("lora@2", 0): (3.5, 3.2, 2.9, 2.6),
    ("lora@2", 1): (4.8, 4.6, 4.55, 4.51),
    ("lora@8", 0): (2.0, 1.5, 1.2, 3.05),  # down at once, and up again
}


def records(ways: Ways = WAYS, nulls: tuple[tuple[str, int], ...] = (("shuffled", 0), ("source", 1))) -> pd.DataFrame:
    starts = [
        {"phase": "reference", "metric": "budget_target", "seed": seed, "step": 0, "value": value} for seed, value in ((0, 4.0), (1, 5.0))
    ]
    own = [
        {"phase": "result", "metric": "budget_target", "arm": arm, "seed": seed, "step": step, "value": value}
        for (arm, seed), way in ways.items()
        for step, value in zip(BUDGETS, way, strict=True)
    ]
    none = [
        {"phase": "null", "metric": "train_loss", "arm": "full", "null": null, "seed": seed, "step": step, "value": 1.0}
        for null, seed in nulls
        for step in BUDGETS
    ]
    return pd.DataFrame([*starts, *own, *none])


def test_a_level_is_a_share_of_what_full_learns_of_each_seed() -> None:
    assert levels(records(), 0.5) == pytest.approx({0: 3.0, 1: 4.5})
    assert levels(records(), 0.9) == pytest.approx({0: 2.2, 1: 4.1})


def test_arms_are_read_at_the_budget_that_is_nearest_to_each_level() -> None:
    found = steps(records(), (0.5, 0.8))
    assert found["full", "none", 0] == {"0.5": 30, "0.8": 40, "end": 40}  # 2.9, not 3.3; 2.0
    assert found["full", "none", 1] == {
        "0.5": 20,
        "0.8": 30,
        "end": 40,
    }  # 4.45, not 4.2: the nearest of its own seed
    assert found["lora@8", "none", 0] == {"0.5": 40, "0.8": 10, "end": 40}
    assert steps(records(), (0.25,))["full", "none", 0] == {"0.25": 10, "end": 40}  # 3.6 for 3.5, from above


def test_an_arm_that_does_not_come_down_in_each_run_is_read_at_its_end_alone() -> None:
    """Though its last loss of seed 1 is nearer to the level, by 0.01, than those of arms that do; and seed 0 does come down."""
    found = steps(records(), (0.2, 0.5))
    assert found["lora@2", "none", 0] == {"0.2": 10, "end": 40} and found["lora@2", "none", 1] == {"0.2": 10, "end": 40}
    down = steps(records({**WAYS, ("lora@2", 1): (4.8, 4.6, 4.55, 4.5)}), (0.2, 0.5))
    assert down["lora@2", "none", 0] == {"0.2": 10, "0.5": 30, "end": 40} and down["lora@2", "none", 1]["0.5"] == 40


def test_nulls_of_full_are_read_where_full_is() -> None:
    found = steps(records(), (0.5, 0.8))
    assert found["full", "shuffled", 0] == found["full", "none", 0] and found["full", "source", 1] == found["full", "none", 1]
    assert ("full", "shuffled", 1) not in found and ("lora@2", "shuffled", 0) not in found


@pytest.mark.parametrize("end", [None, 4.0, 4.2])
def test_where_full_diverged_or_learned_nothing_of_a_seed_there_is_no_level(end: float | None) -> None:
    """No arm is compared then: not those without this seed either, lest places be means over other seeds than the end."""
    own = records({**WAYS, ("full", 0): (3.6, 3.3, 2.9, end), ("lora@8", 1): (4.4, 4.3, 4.2, 4.1)})
    assert levels(own, 0.5).keys() == {1}
    assert all(at == {"end": 40} for at in steps(own, (0.5,)).values())


def test_an_arm_that_diverged_is_read_before_it_did() -> None:
    own = {key: way for key, way in WAYS.items() if key[1] == 0}
    found = steps(records({**own, ("lora@2", 0): (3.5, 2.9, None, None)}), (0.5,))
    assert found["lora@2", "none", 0] == {"0.5": 20, "end": 40}
    assert steps(records({**own, ("lora@2", 0): (None,) * 4}), (0.5,))["lora@2", "none", 0] == {"end": 40}


@pytest.mark.parametrize("results", [pd.DataFrame(), records({}, ()), records({("lora@2", 0): WAYS["lora@2", 0]}, ())])
def test_without_full_there_is_no_level(results: pd.DataFrame) -> None:
    assert levels(results, 0.5) == {} and all(at == {"end": 40} for at in steps(results, (0.5,)).values())
    assert len(steps(results, (0.5,))) == len(ways(results))


def test_shares_are_told_by_records_in_ascending_order_and_are_names_of_places() -> None:
    own = [{"phase": "reference", "metric": "equal_at", "value": share, "level": level} for level, share in enumerate((0.8, 0.25, 0.5))]
    assert shares(pd.DataFrame(own)) == [0.25, 0.5, 0.8] and shares(pd.DataFrame()) == shares(records()) == []
    assert [place(share) for share in (0.25, 0.5, 0.8)] == ["0.25", "0.5", "0.8"]


def test_readings_of_an_arm_do_not_stand_at_a_level_that_one_of_its_runs_misses() -> None:
    """As of a run that was extended: lora@2 does not come down to half of what full learns of seed 1, and was read there of seed 0."""
    read = [
        *(
            {"phase": phase, "arm": arm, "at": at}
            for phase, arm, at in itertools.product(("update", "cut"), ("full", "lora@2"), ("0.2", "0.5", "end"))
        ),
        *(
            {"phase": "alike", "pair": pair, "at": at}
            for pair, at in itertools.product(("full & lora@2", "full & lora@8"), ("0.2", "0.5", "end"))
        ),
        *({"phase": "spectrum", "arm": arm} for arm in ("full", "lora@2", "shuffled")),
    ]
    equal = [{"phase": "reference", "metric": "equal_at", "value": share} for share in (0.2, 0.5)]
    own = pd.concat([records(), pd.DataFrame([*equal, *read])], ignore_index=True)
    gone = own.drop(standing(own).index)
    assert {tuple(row) for row in gone[["phase", "arm", "pair", "at"]].fillna("").to_numpy()} == {
        ("update", "lora@2", "", "0.5"),
        ("cut", "lora@2", "", "0.5"),
        ("alike", "", "full & lora@2", "0.5"),
        ("spectrum", "lora@2", "", ""),
    }
    alone = own[own["phase"] != "alike"].drop(columns="pair")  # of a run with one seed a base
    assert len(alone) - len(standing(alone)) == len(gone) - 1
    assert standing(pd.DataFrame()).empty and len(standing(records())) == len(records())
