"""The axes: what cannot be is refused with its cause and what mends it; which cells there are, and which of them are read."""

from typing import Any

import pytest

from configs.lora_vs_full import get_config
from experiments.lora_vs_full.axes import VersusSweep
from experiments.lora_vs_full.subject import versus_subject
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
        ({"arms": ("lora@2", "slow@0.1")}, "arms = lora@2,slow@0.1", "add it"),
        ({"arms": ()}, "arms = ", "add it"),
        ({"arms": ("full", "lora")}, "arms has 'lora'", "such as lora@8"),
        ({"arms": ("full", "lora@0")}, "arms has 'lora@0'", "such as lora@8"),
        ({"arms": ("full", "dora@4")}, "arms has 'dora@4'", "choose among full, lora, slow"),
        ({"arms": ("full", "slow@2")}, "arms has 'slow@2'", "such as slow@0.1"),
        ({"arms": ("full", "slowlora@0.3")}, "arms has slowlora@0.3", "rate from lora@16; add that one"),
        ({"arms": ("full", "lora@8", "slowlora@0.3")}, "arms has slowlora@0.3", "rate from lora@16; add that one"),
        ({"arms": ("full", "lora@2", "lora@2.0")}, "arms = ", "twice"),
        ({"arms": ("full", "full")}, "arms = ", "twice"),
        ({"nulls": ("rotated",)}, "nulls has 'rotated'", "choose among shuffled, source"),
        ({"nulls": ("source", "source")}, "nulls = ('source', 'source')", "twice"),
        ({"batch_size": 1}, "batch_size = 1", "2 at least, or leave it out"),
        ({"cut_ranks": (1, 1)}, "cut_ranks = (1, 1)", "twice"),
        ({"cut_ranks": (0, 4)}, "cut_ranks = (0, 4)", "1 at least"),
        ({"cut_ranks": ()}, "cut_ranks = ()", "1 at least"),
        ({"subspaces": (-1,)}, "subspaces = (-1,)", "1 at least"),
        ({"subspaces": (2, 2)}, "subspaces = (2, 2)", "twice"),
        ({"factors": (1.0,)}, "factors = (1.0,)", "between 0 and 1"),
        ({"factors": (0.5, 0.5)}, "factors = (0.5, 0.5)", "twice"),
        ({"alphas": (0.0,)}, "alphas = (0.0,)", "both ends are there anyway"),
        ({"alphas": (0.5, 0.5)}, "alphas = (0.5, 0.5)", "twice"),
        ({"read_at": (0.5, 1.0)}, "read_at = (0.5, 1.0)", "between 0 and 1"),
        ({"read_at": (float("nan"),)}, "read_at = (nan,)", "between 0 and 1"),
        ({"equal_at": (0.0, 0.5)}, "equal_at = (0.0, 0.5)", "between 0 and 1"),
        ({"equal_at": (0.5, 1.0)}, "equal_at = (0.5, 1.0)", "between 0 and 1"),
        ({"equal_at": (0.5, 0.5)}, "equal_at = (0.5, 0.5)", "twice"),
        ({"equal_at": ()}, "equal_at is empty", "such as 0.8"),
        ({"intruders__eps": 0.0}, "intruders.eps", "between 0 and 1"),
        ({"intruders__eps": 1.0}, "intruders.eps", "between 0 and 1"),
        ({"intruders__top": 0}, "intruders.top", "1 at least"),
        ({"selection_steps": 3}, "selection_steps = 3", "a multiple of 2"),
        ({"selection_steps": 60}, "selection_steps = 60", "0 for all 40 steps"),
        ({"learning_rates__lora": (1e-3, 1e-2)}, "learning_rates.lora", "at least 3"),
        ({"learning_rates__full": (0.0, 1e-3, 1e-2)}, "learning_rates.full", "above 0"),
        ({"seeds": 0}, "seeds = 0", "at least 1"),
    ],
)
def test_axes_that_cannot_be_are_refused(changes: dict[str, Any], cause: str, mend: str) -> None:
    with pytest.raises(UsageError) as refused:
        VersusSweep.of(config(**changes))
    line = str(refused.value)
    assert cause in line and mend in line and "\n" not in line


def test_what_is_not_trained_is_not_asked_for() -> None:
    assert VersusSweep.of(config(arms=("full",), learning_rates__lora=())).arms == ("full",)
    assert VersusSweep.of(config(nulls=("source",), batch_size=1)).batch_size == 1
    assert VersusSweep.of(config(nulls=())).nulls == ()


@pytest.mark.parametrize(
    ("override", "word"),
    [("arms=full,lora@64", "64"), ("adapter.targets=nowhere/", "nowhere/"), ("nulls=noise", "choose among"), ("arms=lora@2", "add it")],
)
def test_what_the_model_has_not_is_refused_before_anything_is_written(
    override: str, word: str, tmp_path: Any, capsys: pytest.CaptureFixture
) -> None:
    assert_refused("--config=configs/lora_vs_full.py:smoke", override, word, tmp_path, capsys)


def test_slow_arms_and_nulls_choose_no_rate_and_take_that_of_the_arm_they_slow() -> None:
    sweep = VersusSweep.of(config(arms=("full", "slow@0.3", "lora@8", "lora@16", "slowlora@0.5")))
    slowed = {"slow@0.3", "slowlora@0.5"}
    assert {c["arm"] for c in sweep.selection()} == set(sweep.arms) - slowed
    assert {c["seed"] for c in sweep.selection()} == {SELECTION_SEEDS} and {c["null"] for c in sweep.selection()} == {"none"}
    assert [c["learning_rate"] for c in sweep.selection() if c["arm"] == "lora@8"] == list(sweep.learning_rates["lora"])
    results = sweep.results()
    rates = {(c["phase"], c["arm"], c["null"]): c["rate_of"] for c in results if "rate_of" in c}
    assert rates == {
        ("result", "slow@0.3", "none"): ("full", 0.3),
        ("result", "slowlora@0.5", "none"): ("lora@16", 0.5),
        ("null", "full", "shuffled"): ("full", 1.0),
        ("null", "full", "source"): ("full", 1.0),
    }
    own = [(c["arm"], c["seed"], c["base"]) for c in results if c["phase"] == "result"]
    seeds = {arm: range(2 if arm in slowed else 4) for arm in sweep.arms}  # slowed arms have no second seed of a base
    assert own == [(arm, seed, seed % 2) for arm in sweep.arms for seed in seeds[arm]]
    trained = {c["arm"]: (c["trains"], c["rank"]) for c in results}
    assert trained["lora@8"] == ("lora", 8) and trained["slowlora@0.5"] == ("lora", 16)


@pytest.mark.parametrize(("bases", "seeds", "read"), [(2, 4, [0, 1]), (2, 1, [0]), (3, 3, [0, 1, 2]), (1, 3, [0, 1, 2])])
def test_one_seed_of_each_base_is_read_and_has_nulls(bases: int, seeds: int, read: list[int]) -> None:
    """Of one base all seeds are read, for there is nothing else to have an interval over."""
    sweep = VersusSweep.of(config(pretraining__bases=bases, seeds=seeds))
    results = sweep.results()
    assert [c["seed"] for c in results if c["arm"] == "full" and c["phase"] == "result" and sweep.reads(c)] == read
    assert [(c["null"], c["seed"]) for c in results if c["phase"] == "null"] == [(null, seed) for null in sweep.nulls for seed in read]
    assert all(sweep.reads(c) for c in results if c["phase"] == "null")
    assert not any(sweep.reads(c) for c in sweep.selection())


def test_labels_are_shuffled_in_a_program_of_their_own() -> None:
    plain = config()
    tasks = VersusSweep.of(plain).tasks(Study.of(plain))
    assert set(tasks) == {"full", "shuffled", "source", "lora"}
    assert tasks["source"] == tasks["full"]  # the same program, and populations of its own: of a null no loss is read
    assert tasks["shuffled"].moves == tasks["full"].moves and tasks["shuffled"].to_batch is not tasks["full"].to_batch
    assert tasks["lora"].adapter is not None and tasks["lora"].adapter.rank == 8 and tasks["lora"].moves == ("^adapter/",)
    without = config(nulls=("source",), arms=("full",))
    assert set(VersusSweep.of(without).tasks(Study.of(without))) == {"full", "source"}


def test_all_cells_have_a_place_in_the_layout() -> None:
    plain = config()
    sweep = VersusSweep.of(plain)
    assert versus_subject(plain).layout.cells == len(sweep.selection()) + len(sweep.results())
