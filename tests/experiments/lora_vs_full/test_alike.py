"""Which updates are compared by their subspaces: of two seeds of one base, never of one seed, whose adapters begin alike."""

from collections.abc import Iterable

from experiments.lora_vs_full.alike import TWIN, _pairs
from experiments.lora_vs_full.axes import VersusSweep
from research.cells.setting import Cell
from tests.experiments.lora_vs_full.test_axes import config

ARMS = ("full", "slow@0.3", "lora@8", "lora@16", "slowlora@0.5")


def pairs(seeds: int, arms: Iterable[str] = ARMS, bases: int = 2) -> list[tuple[str, int, int]]:
    """Returns the name and both seeds of each pair."""
    sweep = VersusSweep.of(config(arms=tuple(arms), seeds=seeds, pretraining__bases=bases))
    cells = [Cell("", c, c["trains"], c["base"], c["rank"] or 0, 1e-3, c["seed"]) for c in sweep.results()]
    made = list(_pairs(sweep, cells))
    assert all(pair.first.base == pair.second.base for pair in made)
    assert all(pair.first.coordinates["null"] == pair.second.coordinates["null"] == "none" for pair in made)
    return [(pair.name, pair.first.seed, pair.second.seed) for pair in made]


def test_pairs_are_of_two_seeds_of_each_base_and_slowed_arms_have_no_second_one() -> None:
    names = [f"{arm} & {TWIN}" for arm in ("full", "lora@8", "lora@16")]
    names += ["full & lora@8", "full & lora@16", "lora@8 & lora@16"]
    assert pairs(4) == [(name, seed, seed + 2) for name in names for seed in (0, 1)]


def test_a_base_without_a_second_seed_has_no_pair() -> None:
    assert pairs(2) == []
    assert pairs(3, ("full", "lora@8")) == [(name, 0, 2) for name in (f"full & {TWIN}", f"lora@8 & {TWIN}", "full & lora@8")]


def test_of_one_base_slowed_arms_have_all_seeds_and_are_compared() -> None:
    assert ("full & slow@0.3", 0, 1) in pairs(2, bases=1) and (f"slow@0.3 & {TWIN}", 0, 1) in pairs(2, bases=1)
