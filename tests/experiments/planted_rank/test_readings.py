"""Estimated ranks from records: known curves, decoys, runs that diverged, and the words of the answer."""

import numpy as np
import pandas as pd
import pytest

from experiments.planted_rank.headlines import answer, headline
from experiments.planted_rank.readings import estimated_rank, estimates, findings, tolerance

CASES = {("none", "flat", 2): 2, ("zero", "flat", 0): 0, ("full_rank", "flat", 8): None}
CURVES = {("none", "flat", 2): [4.0, 1.8, 0.01, 0.02], ("zero", "flat", 0): [0.0, 0.0, 1e-9, 0.0], ("full_rank", "flat", 8): [8, 7, 6, 5.5]}


def rows() -> list[dict]:
    found = []
    for (decoy, spectrum, planted), curve in CURVES.items():
        case = {"decoy": decoy, "spectrum": spectrum, "planted_rank": planted, "strength": 1e-4, "metric": "kl"}
        for seed in (0, 1):
            found.append({**case, "phase": "reference", "rank": 0, "seed": seed, "step": 0, "value": curve[0]})
            cost = 2.0 if planted else 0.0
            found.append({**case, "phase": "reference", "rank": 0, "seed": seed, "step": 0, "metric": "kl_without_last", "value": cost})
            result = {**case, "phase": "result", "seed": seed, "step": 9}
            found += [{**result, "trains": "lora", "rank": r, "value": v} for r, v in enumerate(curve[1:], 1)]
            found.append({**result, "trains": "matched", "rank": None, "value": 0.0})
    for side in ("inputs", "outputs"):
        overlap = {
            "decoy": "none",
            "spectrum": "flat",
            "planted_rank": 2,
            "strength": 1e-4,
            "phase": "subspace",
            "metric": "overlap",
            "side": side,
        }
        found += [{**overlap, "seed": seed, "null": "none", "value": 0.9 + seed / 50} for seed in (0, 1)]
    linear = {"phase": "linear", "spectrum": "flat", "planted_rank": 1, "rank": 0}
    found += [{**linear, "metric": "floor", "value": 1.001}, {**linear, "metric": "exact_floor", "value": 1.0}]
    simulated = {"phase": "simulation", "truth": "line", "noise": 0.02, "seeds": 3, "estimator": "r90", "n": 1000}
    return [*found, {**simulated, "metric": "coverage", "value": 0.95}]


def test_the_smallest_rank_below_the_tolerance_is_the_answer() -> None:
    assert estimated_rank(pd.Series([4.0, 1.0, 0.4, 0.6], index=[0, 1, 2, 3]), 0.5) == 2
    assert estimated_rank(pd.Series([4.0, None, 0.4], index=[0, 1, 2]), 0.5) == 2
    assert estimated_rank(pd.Series([4.0, 1.0], index=[0, 1]), 0.5) is None
    assert tolerance(3.0) == 1.5 and 0 < tolerance(0.0) < 1e-5


def test_planted_ranks_are_found_and_decoys_told_apart() -> None:
    table = estimates(pd.DataFrame(rows()))
    for key, expected in CASES.items():
        own = table[[tuple(row) == key for row in table[["decoy", "spectrum", "planted_rank"]].itertuples(index=False)]]
        assert len(own) == 2
        assert own["value"].isna().all() if expected is None else (own["value"] == expected).all()


def test_findings_state_values_intervals_and_what_was_not_reached() -> None:
    found = findings(pd.DataFrame(rows()))
    by_name = {name: [f for f in found if f.name == name] for name in ("estimated_rank", "overlap", "floor_error", "coverage")}
    ranks = {f.where["decoy"]: f for f in by_name["estimated_rank"]}
    assert (ranks["none"].value, ranks["none"].low, ranks["none"].high, ranks["none"].n) == (2, 2, 2, 2)
    assert ranks["zero"].value == 0
    assert ranks["full_rank"].value is None and "largest rank (3) in 2 of 2" in ranks["full_rank"].note
    assert by_name["floor_error"][0].value == pytest.approx(1e-3)
    assert by_name["overlap"][0].value == pytest.approx(0.91)
    coverage = by_name["coverage"][0]
    assert coverage.low is not None and 0.93 < coverage.low < 0.95 < coverage.high < 0.97
    words = answer(found)
    assert words.startswith("The planted rank is recovered by every seed in 1 of 1 cases at 0.0001 nats, 2 of 2 decoys are told apart")
    assert "There r90 is within half an octave of the analytic value in 1 of 1 cases with a value (errors -17.0% to -17.0%)" in words
    assert "its interval over seeds holds the analytic value in 1. Of 2 decoys 2 have no r90, as they should." in words
    assert "breaks" not in words and "exact floors" not in words


def test_margins_are_shares_of_what_the_last_component_costs_and_stand_in_the_table() -> None:
    found = findings(pd.DataFrame(rows()))
    margins = {f.where["student"]: f.value for f in found if f.name == "margin"}
    assert margins == {1: pytest.approx(0.9), 2: pytest.approx(0.005)}
    ranks, rulers, floors = headline(found)
    assert ranks.rows == (
        ("rank 2, flat", "0.0001", "2 [2, 2]", "0.90 [0.90, 0.90]", "0.0050 [0.0050, 0.0050]"),
        ("nothing", "–", "0 [0, 0]", "–", "–"),
        ("full rank (8)", "0.0001", "not reached at the largest rank (3) in 2 of 2 seeds", "–", "–"),
    )
    assert [row[:4] for row in rulers.rows] == [
        ("rank 2, flat", "0.0001", "4.0 [4.0, 4.0]", "1.8"),
        ("nothing", "–", "0.0 [0.0, 0.0]", "–"),
        ("full rank (8)", "0.0001", "8.0 [8.0, 8.0]", "7.2"),
    ]
    assert rulers.rows[0][-2:] == ("-17%", "1.00 [1.00, 1.00]")
    assert rulers.rows[2][4].startswith("not reached at the largest rank (3)")
    assert floors.rows == (("rank 1, flat", "0.9", "at or below the smallest rank (1)", "at or below the smallest rank (1)"),)
    assert headline([]) == ()


def test_an_answer_says_where_strength_breaks_the_rulers() -> None:
    weak = [row for row in rows() if row.get("decoy") == "none"]
    scaled = {"reference": 100, "result": 10}  # rank 1 recovers 0.955 of it
    strong = [{**row, "strength": 1e-2, "value": row["value"] * scaled.get(row["phase"], 1)} for row in weak]
    words = answer(findings(pd.DataFrame([*weak, *strong])))
    assert "in 1 of 1 cases at 0.0001 nats" in words
    assert "r90 breaks for flat rank 2 from 0.01 nats on, at a matched gain of 4e+02 bits/byte." in words
    assert "The estimated rank breaks for flat rank 2 from 0.01 nats on" in words


def test_one_seed_has_no_interval_and_is_right_all_the_same() -> None:
    frame = pd.DataFrame(rows())
    found = findings(frame[frame["seed"].isna() | (frame["seed"] == 0)])
    assert answer(found).startswith("The planted rank is recovered by every seed in 1 of 1 cases")


def test_an_answer_counts_what_is_wrong() -> None:
    wrong = pd.DataFrame(rows())
    wrong.loc[(wrong["phase"] == "result") & (wrong["decoy"] == "none") & (wrong["seed"] == 1), "value"] = 0.5
    wrong.loc[(wrong["phase"] == "result") & (wrong["decoy"] == "full_rank") & (wrong["rank"] == 3), "value"] = np.float64(0.1)
    words = answer(findings(wrong))
    assert "in 0 of 1 cases" in words and "1 of 2 decoys" in words and "Of 2 decoys 1 have no r90" in words
