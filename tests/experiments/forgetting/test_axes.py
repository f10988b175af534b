"""The axes: what cannot be is refused with its cause and what mends it, and each method's cells stand where they belong."""

from typing import Any

import pytest

from configs.forgetting import get_config
from experiments.forgetting.axes import ForgettingSweep
from experiments.forgetting.fishers import places
from experiments.forgetting.subject import begun, forgetting_subject
from research.cells.runs import SELECTION_SEEDS
from research.cells.study import Study
from research.errors import UsageError
from tests.commands import assert_refused


def config(**changes: Any) -> dict[str, Any]:
    """Returns the plain config of the smoke test with changes, those of a section by `section__key`."""
    made = get_config("smoke")
    for name, value in changes.items():
        section, _, key = name.partition("__")
        (made[section] if key else made)[key or section] = value
    return dict(made.to_dict())


@pytest.mark.parametrize(
    ("changes", "cause", "mend"),
    [
        ({"methods": ("lora@2", "ewc@1")}, "methods = lora@2,ewc@1", "add it"),
        ({"methods": ("full", "lora")}, "methods has 'lora'", "such as lora@8"),
        ({"methods": ()}, "methods = ", "add it"),
        ({"methods": ("full", "lora@8", "lora@8.0")}, "methods = ", "twice"),
        ({"alphas": (0.5, 0.5)}, "alphas = (0.5, 0.5)", "twice"),
        ({"equal_at": (0.0,)}, "equal_at = (0.0,)", "between 0 and 1"),
        ({"equal_at": (0.5, 1.0)}, "equal_at = (0.5, 1.0)", "between 0 and 1"),
        ({"equal_at": ()}, "equal_at is empty", "such as 0.8"),
        ({"alphas": (0.5, 1.0)}, "alphas = (0.5, 1.0)", "between 0 and 1"),
        ({"alphas": (0.0,)}, "alphas = (0.0,)", "both ends are there anyway"),
        ({"read_at": (1.0,)}, "read_at = (1.0,)", "both ends are there anyway"),
        ({"kept_at": (-0.2,)}, "kept_at = (-0.2,)", "between 0 and 1"),
        ({"fisher__sequences": 0}, "fisher.sequences = 0", "such as 256"),
        ({"selection_steps": 3}, "selection_steps = 3", "a multiple of 2"),
        ({"selection_steps": 60}, "selection_steps = 60", "0 for all 40 steps"),
        ({"learning_rates__lora": (1e-3,)}, "learning_rates.lora", "at least 3"),
    ],
)
def test_axes_that_cannot_be_are_refused(changes: dict[str, Any], cause: str, mend: str) -> None:
    with pytest.raises(UsageError) as refused:
        ForgettingSweep.of(config(**changes))
    line = str(refused.value)
    assert cause in line and mend in line and "\n" not in line


@pytest.mark.parametrize("methods", [("full", "full"), ("full", "lora@2", "lora@2.0"), ("full", "ewc@1", "ewc@1e0")])
def test_a_method_that_is_given_twice_is_refused(methods: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="twice"):
        ForgettingSweep.of(config(methods=methods))


def test_rates_of_what_nothing_trains_are_not_asked_for() -> None:
    assert ForgettingSweep.of(config(methods=("full",), learning_rates__lora=())).methods == ("full",)


@pytest.mark.parametrize(("scan", "depth"), [(False, 1), (True, 2)])
def test_more_top_layers_than_there_are_are_refused(scan: bool, depth: int) -> None:
    wanted = {"model__scan": scan, "model__n_layers": depth}
    with pytest.raises(UsageError, match=f"methods has top@{depth + 1}, and the model has {depth} layers"):
        forgetting_subject(config(methods=("full", f"top@{depth + 1}"), **wanted))
    plain = config(methods=("full", f"top@{depth}"), **wanted)
    moves = ForgettingSweep.of(plain).tasks(Study.of(plain))[f"top@{depth}"].moves
    assert ("^params/head/" in moves) and (f"^params/layers/@0-{depth - 1}" in moves) == scan


def test_a_rank_that_the_model_has_not_is_refused_before_anything_is_written(tmp_path: Any, capsys: pytest.CaptureFixture) -> None:
    assert_refused("--config=configs/forgetting.py:smoke", "methods=full,lora@64", "64", tmp_path, capsys)
    assert_refused("--config=configs/forgetting.py:smoke", "methods=lora@2", "add it", tmp_path, capsys)


def test_each_method_has_cells_of_its_own_and_slow_ones_choose_no_rate() -> None:
    sweep = ForgettingSweep.of(config())
    by_arm = {arm: [c for c in sweep.selection() if c["arm"] == arm] for arm in sweep.methods}
    assert {arm for arm, cells in by_arm.items() if not cells} == {"slow@0.3"}
    assert [c["learning_rate"] for c in by_arm["lora@2"]] == list(sweep.learning_rates["lora"])
    assert [c["learning_rate"] for c in by_arm["ewc@1"]] == list(sweep.learning_rates["full"])
    assert {c["seed"] for cells in by_arm.values() for c in cells} == {SELECTION_SEEDS}
    results = sweep.results()
    assert [(c["arm"], c["seed"]) for c in results] == [(arm, seed) for arm in sweep.methods for seed in (0, 1)]
    assert {(c["arm"], c["rate_of"]) for c in results if "rate_of" in c} == {("slow@0.3", ("full", 0.3))}
    assert {c["arm"]: (c["trains"], c["rank"], c["method"], c["strength"]) for c in results}["lora@2"] == ("lora", 2, "lora", 2.0)


def test_members_that_are_pulled_have_programs_of_their_own_beside_fulls() -> None:
    plain = config(methods=("full", "l2sp@0.1", "l2sp@1", "ewc@1", "replay@10", "slow@0.3"))
    tasks = ForgettingSweep.of(plain).tasks(Study.of(plain))
    further = {shape: task.further for shape, task in tasks.items()}
    pulled = ("reference", "strength")
    assert further == {"full": (), "pulled": pulled, "weighted": (*pulled, "importance")}
    lora = config(methods=("full", "lora@2", "lora@8"))
    adapted = ForgettingSweep.of(lora).tasks(Study.of(lora))["lora"]
    assert adapted.adapter is not None and adapted.adapter.rank == 8 and adapted.moves == ("^adapter/",)


def test_both_fishers_of_a_base_stand_behind_all_bases_and_each_method_takes_its_own() -> None:
    sweep = ForgettingSweep.of(config(methods=("full", "empirical@1", "ewc@1", "ewc@10", "l2sp@1")))
    at = places(sweep.labels, 2)
    assert sorted(at.values()) == [2, 3, 4, 5] and set(at) == {(labels, base) for labels in ("data", "model") for base in (0, 1)}
    cells = {(c["arm"], base): begun({**c, "learning_rate": 1e-3}, base, at) for c in sweep.results() for base in (0, 1)}
    taken = {key: (cell.reference, cell.importance) for key, cell in cells.items()}
    for base in (0, 1):
        assert taken["empirical@1", base] == (base, at["data", base]) and taken["l2sp@1", base] == (base, None)
        assert taken["ewc@1", base] == taken["ewc@10", base] == (base, at["model", base])
    assert ForgettingSweep.of(config(methods=("full", "l2sp@1"))).labels == []
