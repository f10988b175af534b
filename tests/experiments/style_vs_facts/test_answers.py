"""The answer in words: every verdict needs what it says, in short, in full, and in what stands behind it."""

import re

import pandas as pd
import pytest

from experiments.style_vs_facts.answers import AGAINST, FOR, NOTHING, OPEN, UNJUDGED, above, answer, below, judged
from experiments.style_vs_facts.readings import findings
from research.analysis.contrasts import BASE_LEFT_OUT
from research.findings import Finding
from tests.experiments.style_vs_facts.planted import records, scaled


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records())


def part(said: str, verdict: str) -> str:
    """Returns what an answer says under a verdict, in its second paragraph."""
    return next((each for each in said.split("\n\n")[-1].split(". ") if each.startswith(f"{verdict}: ")), "")


def test_verdicts_need_an_interval_over_bases() -> None:
    told = Finding("contrast", {}, -0.2, -0.3, -0.1, "1", 3, "")
    assert judged(told, below) == FOR and judged(told, above) == AGAINST
    assert judged(told._replace(high=0.1), below) == judged(told._replace(high=0.1), above) == OPEN
    for less in ({"n": 1}, {"note": BASE_LEFT_OUT}, {"low": None}, {"high": None}, {"value": None}):
        assert judged(told._replace(**less), below) == UNJUDGED


def short(frame: pd.DataFrame) -> dict[str, str]:
    """Returns what the first paragraph of a run's answer says of each prediction."""
    first = answer(findings(frame)).split("\n\n")[0]
    return dict(re.findall(r"(?<=\. )(Style|Facts|Old facts|Retrieval): (.*?)\.(?= |$)", first))


FARED = {"Facts": "as predicted 1 of 1", "Old facts": "as predicted 1 of 1", "Retrieval": "as predicted 1 of 1"}
FARED["Style"] = "against the prediction 1, as predicted 4 of 5"


def test_the_first_paragraph_counts_what_was_found_of_each_prediction() -> None:
    assert short(records()) == FARED


@pytest.mark.parametrize(
    ("arm", "metric", "by", "fared"),
    [  # each time one comparison, or those in which an arm stands, changes its verdict
        ("facts:64:4/one@1", "new_bits", 1.7, {"Facts": "against the prediction 1 of 1", "Style": FARED["Style"]}),
        ("style:capitals:64/one@1", "style_score", 0.95, {"Style": "against the prediction 1, as predicted 4 of 5"}),
        ("style:capitals:64/one@1", "style_score", 0.8, {"Style": "against the prediction 2, as predicted 3 of 5"}),
        ("style:capitals:64/full", "style_score", 0.5, {"Style": "against the prediction 1, as predicted 2, no verdict 2 of 5"}),
        ("facts:64:4/full", "old_correct", 1.2, {"Old facts": "against the prediction 1 of 1"}),
        ("conflict:64/full", "old_bits", 9.0, {}),  # beside what is known: told, and not judged
    ],
)
def test_a_comparison_that_turns_out_otherwise_is_counted_otherwise(arm: str, metric: str, by: float, fared: dict[str, str]) -> None:
    assert short(scaled(arm, metric, by)) == {**FARED, **fared}


def test_where_bases_disagree_nothing_is_told_apart() -> None:
    own = records()
    right = (own["arm"] == "facts:64:4/full") & (own["metric"] == "old_correct")
    less = (own["arm"] == "facts:64:4/one@1") & (own["metric"] == "new_bits")
    apart = own.assign(value=own["value"] + (own["seed"] - 1) * (1.0 * right + 2000.0 * less * (own["step"] == 40)))
    assert short(apart) == {**FARED, "Facts": "not told apart 1 of 1", "Old facts": "not told apart 1 of 1"}


def test_less_is_learned_for_want_of_capacity_only_where_it_has_come_to_rest() -> None:
    own = records()
    halfway = (own["arm"] == "facts:64:4/one@1") & (own["metric"] == "new_bits") & (own["step"] < 40)
    rising = own.assign(value=own["value"].mask(halfway, own["value"] * 0.9))
    assert short(rising)["Facts"] == "not told apart 1 of 1"
    said = part(answer(findings(rising)), OPEN)
    assert "of facts:64:4 one@1 learns -360" in said and "says nothing of capacity: not saturated: +11% since step 20" in said
    both = part(answer(findings(scaled("facts:64:4/one@1", "new_bits", 0.98 * 1024 / 640).replace(1000.0, 1024.0))), OPEN)
    assert "says nothing of capacity: all there is was learned" in both
    full = (own["arm"] == "facts:64:4/full") & (own["metric"] == "new_bits") & (own["step"] < 40)
    assert short(own.assign(value=own["value"].mask(full, own["value"] * 0.9)))["Facts"] == "as predicted 1 of 1"


def test_the_answer_says_what_is_planted_and_first_what_contradicts(found: list[Finding]) -> None:
    said = answer(found)
    assert "facts:64:4 (full) changes old facts by -0.80 [" in part(said, FOR) and "that is right by -0.08 [" in part(said, FOR)
    assert "of facts:64:4 one@1 learns -360" in part(said, FOR) and "retrieval reads 900" in part(said, FOR)
    assert "facts take 1.84 [1.84, 1.84] times the steps of a style (facts:64:4 / style:capitals:64, full)" in part(said, FOR)
    hardly = "takes 1.05 [1.05, 1.05] times the steps (hardly: less than 4), and ends 0.10"
    assert f"a style (style:capitals:64 / style:capitals:4, full) {hardly}" in part(said, FOR)
    assert "one@1 ends -0.03" in part(said, FOR) and "facts take 0.70" in part(said, AGAINST)
    assert "behind a fact of somebody else: it copies" in part(said, FOR)
    assert said.index(f"{AGAINST}: ") < said.index(f"{FOR}: ")
    less = answer(findings(records({"facts:64:4/full": 0.1})))
    assert "facts:64:4 (full) changes old facts by 0.60" in part(less, AGAINST)


def test_controls_prices_of_a_style_and_most_bits_a_parameter_are_told(found: list[Finding]) -> None:
    said = answer(found)
    assert re.search(r"Beside training on what is known, old facts change after .*noise:64 -0.20 \[.*?\] bits and -0.02", said)
    assert "style:capitals:4 by full 1.00 [1.00, 1.00] bits/byte and -0.50 [-0.50, -0.50] bits/fact" in said
    assert "reads so many bits of new facts: 20.0 [20.0, 20.0] of 64, 90.0 [90.0, 90.0] of 1,024" in said
    assert "Most bits a parameter has one@1 (facts:64:4): 2.00" in said


def test_training_has_a_price_only_where_it_learned_more_than_how_often_values_occur(found: list[Finding]) -> None:
    price = "facts:64:4 by full 100 [100, 100], asked in a paraphrase that it was not trained on -200 [-200, -200]"
    costs = " (a run costs as much as 3,000 questions"
    assert price + costs in answer(found)
    own = records()
    said = answer(findings(own.assign(value=own["value"].mask(own["metric"] == "marginal_bits", 1000.0))))
    assert price in said and costs not in said


def test_retrieval_that_reads_nothing_contradicts() -> None:
    said = answer(findings(records(retrieved_bits=-3.0)))
    assert "retrieval reads -3.00" in part(said, AGAINST)


def test_retrieval_that_one_base_of_three_does_not_know_is_not_told_apart() -> None:
    own = records()
    apart = own.assign(value=own["value"].mask((own["metric"] == "retrieved_bits") & (own["seed"] == 0), -100.0))
    assert short(apart)["Retrieval"] == "not told apart 1 of 1"


def test_steps_that_fall_short_are_named_and_judged_by_nobody() -> None:
    said = part(answer(findings(scaled("style:capitals:64/full", "style_score", 0.5))), UNJUDGED)
    for between in ("style:capitals:64 / style:capitals:4", "facts:64:4 / style:capitals:64"):
        assert f"steps of {between} (full) cannot be compared: half is not reached in 3 of 3 pairs of runs" in said


def test_of_one_base_nothing_is_judged_and_without_contrasts_nothing_is_compared() -> None:
    said = answer(findings(records(seeds=1)))
    assert not part(said, FOR) and not part(said, AGAINST) and not part(said, OPEN) and part(said, UNJUDGED)
    assert {name: fared.partition(" of ")[0] for name, fared in short(records(seeds=1)).items()} == {
        name: f"no verdict {fared.rpartition(' of ')[2]}" for name, fared in FARED.items()
    }
    assert answer([]) == "" and NOTHING in answer([Finding("window", {}, 64, None, None, "tokens", 1, "")])
