from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from research.analysis.learning_rates import CHOICE_COLUMNS, choose, lr_ratio, parabola_optimum, with_rates

RATES = {"lora": [1e-3, 1e-2, 1e-1, 1e0], "full": [1e-4, 1e-3, 1e-2, 1e-1], "matched": [1e-4, 1e-3, 1e-2, 1e-1]}
COORDINATES = [("block", "lora", 4), ("block", "matched", None), (None, "full", None)]
OPTIMA = {"lora": 2e-2, "full": 2e-3, "matched": 4e-3}


def table(loss: Callable[[str, float, int], float | None], seeds: int = 1) -> pd.DataFrame:
    rows = [
        ("pretrained", arm, trains, rank, rate, seed, step, "validation_loss", value)
        for arm, trains, rank in COORDINATES
        for rate in RATES[trains]
        for seed in range(seeds)
        for step, value in ((100, 9.0 + rate), (600, loss(trains, rate, seed)))
    ]
    return pd.DataFrame(rows, columns=["init", "arm", "trains", "rank", "learning_rate", "seed", "step", "metric", "value"])


def bowl(trains: str, rate: float, seed: int = 0) -> float:
    return 2.0 + 0.1 * np.log(rate / OPTIMA[trains] / 1.1**seed) ** 2


def test_the_vertex_around_the_lowest_mean_at_the_last_step_is_chosen() -> None:
    chosen = choose(table(bowl, seeds=2))
    assert list(chosen.columns) == CHOICE_COLUMNS
    between = {trains: float(f"{rate * 1.1**0.5:.3g}") for trains, rate in OPTIMA.items()}  # the seeds' optima are 1 and 1.1 times these
    assert dict(zip(chosen["trains"], chosen["learning_rate"], strict=True)) == between
    assert not chosen["on_edge"].any() and (chosen["note"] == "").all()
    full = chosen[chosen["trains"] == "full"].iloc[0]
    assert pd.isna(full["arm"]) and pd.isna(full["rank"])


def test_where_there_is_no_vertex_the_best_of_the_grid_is_taken() -> None:
    losses = {1e-3: 3.0, 1e-2: 1.0, 1e-1: None, 1e0: None}
    chosen = choose(table(lambda trains, rate, seed: losses.get(rate, 2.0 + rate)))
    assert chosen[chosen["trains"] == "lora"]["learning_rate"].item() == 1e-2


def test_a_rank_between_two_anchors_takes_a_rate_between_theirs_and_one_outside_its_nearest() -> None:
    anchors = [
        ("pretrained", "block", "lora", 2, 1e-2),
        ("pretrained", "block", "lora", 32, 1e-3),
        ("pretrained", None, "full", None, 5e-4),
    ]
    chosen = pd.DataFrame(anchors, columns=["init", "arm", "trains", "rank", "learning_rate"])
    ranks = [{"init": "pretrained", "arm": "block", "trains": "lora", "rank": rank} for rank in (0, 1, 2, 8, 32, 64)]
    full = {"init": "pretrained", "arm": None, "trains": "full", "rank": None}
    made = with_rates([*ranks, full], chosen)
    assert [c["learning_rate"] for c in made] == pytest.approx([1e-2, 1e-2, 1e-2, 10**-2.5, 1e-3, 1e-3, 5e-4], rel=5e-3)
    assert with_rates([{**full, "init": "random"}], chosen) == []


def test_so_much_of_another_arms_rate_is_taken_and_what_asked_for_it_is_gone() -> None:
    rates = [("full", 4e-3), ("anchored", 7e-2), ("burst", np.nan)]
    chosen = pd.DataFrame(
        [("pretrained", arm, "full", None, rate) for arm, rate in rates], columns=["init", "arm", "trains", "rank", "learning_rate"]
    )
    full = {"init": "pretrained", "trains": "full", "rank": None}
    asked = [
        ("slow", ("full", 0.3)),
        ("third", ("full", 1 / 3)),
        ("same", ("full", 1.0)),
        ("of none", ("missing", 0.3)),
        ("of nan", ("burst", 0.3)),
    ]
    made = with_rates([*({**full, "arm": arm, "rate_of": what} for arm, what in asked), {**full, "arm": "anchored"}], chosen)
    assert {c["arm"]: c["learning_rate"] for c in made} == {
        "slow": 0.0012,
        "third": pytest.approx(0.004 / 3, rel=1e-6),
        "same": 4e-3,
        "anchored": 7e-2,
    }
    assert all(c.keys() == {*full, "arm", "learning_rate"} for c in made)


def test_another_step_may_choose_another_rate_and_edges_are_flagged() -> None:
    chosen = choose(table(bowl), step=100)
    assert dict(zip(chosen["trains"], chosen["learning_rate"], strict=True)) == {"lora": 1e-3, "full": 1e-4, "matched": 1e-4}
    assert chosen["on_edge"].all() and chosen["note"].str.contains("smallest").all()


def test_one_diverged_seed_loses_the_rate() -> None:
    chosen = choose(table(lambda trains, rate, seed: None if rate == 1e-2 and seed == 1 else bowl(trains, rate), seeds=2))
    lora = chosen[chosen["trains"] == "lora"].iloc[0]
    assert lora["learning_rate"] == 1e-1 and "diverged at 1 of 4" in lora["note"]


def test_an_arm_that_always_diverged_has_no_rate() -> None:
    chosen = choose(table(lambda trains, rate, seed: None if trains == "full" else bowl(trains, rate)))
    full = chosen[chosen["trains"] == "full"].iloc[0]
    assert np.isnan(full["learning_rate"]) and full["note"] == "diverged at every learning rate" and not full["on_edge"]
    assert chosen["learning_rate"].notna().sum() == 2


def test_parabola_is_exact_on_a_parabola() -> None:
    rates = np.array([1e-3, 3e-3, 1e-2, 3e-2])
    found = parabola_optimum(rates[::-1], 0.3 * np.log(rates / 5e-3)[::-1] ** 2)
    assert found.learning_rate == pytest.approx(5e-3)
    assert (found.low, found.high) == (1e-3, 1e-2)


@pytest.mark.parametrize(
    ("values", "bracket", "word"),
    [
        ([1.0, 2.0, 3.0], (0.0, 2e-3), "smallest"),
        ([3.0, 2.0, 1.0], (2e-3, np.inf), "largest"),
        ([3.0, 1.0, np.nan], (1e-3, 4e-3), "diverged"),
        ([np.nan, np.nan, np.nan], (0.0, np.inf), "every"),
        ([np.nan, 1.0, 2.0], (1e-3, 4e-3), "diverged"),
    ],
)
def test_parabola_is_censored(values: list[float], bracket: tuple[float, float], word: str) -> None:
    found = parabola_optimum([1e-3, 2e-3, 4e-3], values)
    assert found.learning_rate is None and (found.low, found.high) == bracket and word in found.note


def test_a_flat_loss_has_no_optimum() -> None:
    assert parabola_optimum([1.0, 2.0, 4.0, 8.0], [2.0, 1.0, 1.0, 1.0]).learning_rate == pytest.approx(np.sqrt(8.0))
    assert parabola_optimum([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]).learning_rate is None


def test_ratio_is_that_of_the_optima() -> None:
    ratios = lr_ratio(table(bowl)).set_index("reference")
    assert ratios.loc["full", "value"] == pytest.approx(10.0)
    assert ratios.loc["matched", "value"] == pytest.approx(5.0)
    assert ratios.loc["full", "low"] is None and "no interval" in ratios.loc["full", "note"]


def test_ratio_has_an_interval_over_selection_seeds() -> None:
    shifted = {"lora": {0: 1.0, 1: 1.2, 2: 0.9}, "full": {0: 1.0, 1: 1.0, 2: 1.0}, "matched": {0: 1.0, 1: 1.0, 2: 1.0}}
    ratios = lr_ratio(table(lambda trains, rate, seed: bowl(trains, rate / shifted[trains][seed]), seeds=3)).set_index("reference")
    full = ratios.loc["full"]
    assert full["low"] < 10.0 * 1.08 ** (1 / 3) < full["high"] and full["n"] == 3
    assert full["value"] == pytest.approx(10.0 * 1.08 ** (1 / 3))


def test_a_censored_ratio_states_its_bound() -> None:
    ratios = lr_ratio(table(lambda trains, rate, seed: -rate if trains == "lora" else bowl(trains, rate))).set_index("reference")
    assert ratios["value"].isna().all()
    assert "best at the largest" in ratios.loc["full", "note"] and "ratio above 50" in ratios.loc["full", "note"]
    both = lr_ratio(table(lambda trains, rate, seed: -rate)).set_index("reference")
    assert "no bound" in both.loc["full", "note"]


def test_no_selection_gives_empty_tables() -> None:
    empty = table(bowl).iloc[:0]
    assert choose(empty).empty and lr_ratio(empty).empty
