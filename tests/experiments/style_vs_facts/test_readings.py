"""What planted records say: bits, steps, what is lost, contrasts, prices; and the table of a report."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from experiments.style_vs_facts.headlines import ABSENT, COLUMNS, headline
from experiments.style_vs_facts.readings import findings
from research.findings import Finding, find
from tests.experiments.style_vs_facts.planted import (
    APART,
    BITS,
    COSTS,
    GROUPS,
    LOST,
    MARGINAL,
    PARAMETERS,
    QUERY,
    RETRIEVED,
    SCORES,
    SPREAD,
    TRAINING,
    records,
    scaled,
)


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records())


def one(found: Sequence[Finding], name: str, word: str = "", **where: object) -> Finding:
    lesson, _, how = word.partition("/")
    f = find(found, name, **({"arm": lesson, "how": how} if word else {}), **where)
    assert f is not None
    return f


@pytest.mark.parametrize("arm", BITS)
def test_bits_are_read_in_all_and_for_each_step_parameter_and_flop(found: list[Finding], arm: str) -> None:
    bits, how = BITS[arm][0], arm.split("/")[1]
    divisors = {"total": 1, "step": 40, "parameter": PARAMETERS[how], "flop": TRAINING[how]}
    for per, divisor in divisors.items():
        assert one(found, "bits_learned", arm, per=per, asked="trained").value == pytest.approx(bits / divisor)
    if arm.startswith("facts"):
        assert one(found, "bits_per_parameter", arm).value == pytest.approx(bits / PARAMETERS[how])


def test_who_is_taught_no_facts_is_asked_them_all_the_same(found: list[Finding]) -> None:
    for arm in ("known:64/full", "style:capitals:64/full"):
        assert one(found, "bits_learned", arm, per="total", asked="untaught").value == pytest.approx(-10)
        assert find(found, "bits_learned", arm=arm.split("/")[0], how="full", asked="trained") is None


def test_the_note_says_whether_a_way_of_training_is_saturated(found: list[Finding]) -> None:
    assert one(found, "bits_per_parameter", "facts:64:4/one@1").note.startswith("saturated: +1% since step 20")
    assert one(found, "bits_per_parameter", "facts:64:1/full").note.startswith("not saturated: +50% since step 20")
    assert one(found, "bits_per_parameter", "facts:64:4/full").note.startswith("all there is was learned")


def test_steps_are_those_to_half_of_what_there_is_between_readings_from_nothing(found: list[Finding]) -> None:
    """Half of a score of 1, and of the 16 bits of each of 64 and 4 entities, whatever an arm ends with."""
    style, adapter, few = 10 + 10 * (0.5 - 0.45) / 0.45, 20 + 20 * (0.5 - 0.435) / 0.435, 10 + 10 * (0.5 - 0.48) / 0.32
    facts, less = 20 + 20 * (512 - 500) / 500, 10 + 10 * (512 - 320) / (0.99 * 640 - 320)
    assert one(found, "steps_to_style", "style:capitals:64/full").value == pytest.approx(style)
    assert one(found, "steps_to_style", "style:capitals:64/one@1").value == pytest.approx(adapter)
    assert one(found, "steps_to_facts", "facts:64:4/full").value == pytest.approx(facts)
    assert one(found, "steps_to_facts", "facts:4:4/full").value == pytest.approx(10 + 10 * (32 - 30) / 30)
    assert find(found, "steps_to_style", arm="facts:64:4") is None
    times = {f.where["between"] + f.where["how"]: f.value for f in found if f.name == "contrast" and f.where["what"].startswith("steps")}
    assert times == {
        "style:capitals:64 / style:capitals:4full": pytest.approx(style / few),
        "facts:64:4 / facts:4:4full": pytest.approx(facts / (32 / 3)),
        "facts:64:4 / style:capitals:64full": pytest.approx(facts / style),
        "facts:64:4 / style:capitals:64one@1": pytest.approx(less / adapter),
        "facts:4:4 / style:capitals:4full": pytest.approx(32 / 3 / few),
    }


def test_the_first_reading_may_be_above_the_level() -> None:
    found = findings(scaled("style:capitals:64/full", "style_score", 1.5))
    assert one(found, "steps_to_style", "style:capitals:64/full").value == pytest.approx(10 * 0.5 / (0.45 * 1.5))


def test_steps_of_which_one_run_falls_short_are_not_compared() -> None:
    own = scaled("style:capitals:64/full", "style_score", 0.5)
    found = findings(own.assign(value=own["value"].where(own["seed"] == 0, records()["value"])))
    f = one(found, "steps_to_style", "style:capitals:64/full")
    assert f.value is None and f.note == "not reached in 1 of 3 runs"
    for what, between in (("steps_to_style", "style:capitals:64 / style:capitals:4"), ("steps", "facts:64:4 / style:capitals:64")):
        f = one(found, "contrast", what=what, between=between, how="full")
        assert f.value is None and f.low is None and f.note == "half is not reached in 1 of 3 pairs of runs"


@pytest.mark.parametrize("arm", LOST)
def test_what_is_lost_is_told_at_the_end(found: list[Finding], arm: str) -> None:
    f = one(found, "old_recall", arm, at="end", asked="plain")
    assert f.value == pytest.approx(-LOST[arm])
    if arm.startswith("facts"):
        bases = t.ppf(0.975, 2) * SPREAD / np.sqrt(3)
        entities = t.ppf(0.975, GROUPS - 1) * APART * np.std(np.arange(GROUPS), ddof=1) / np.sqrt(GROUPS)
        assert (f.high - f.low) / 2 == pytest.approx(np.hypot(bases, entities))


def test_of_a_style_old_facts_are_asked_in_it_too(found: list[Finding]) -> None:
    assert one(found, "old_recall", "style:capitals:64/full", at="end", asked="in the style").value == pytest.approx(-0.5)
    assert find(found, "old_recall", arm="facts:64:4", asked="in the style") is None


def test_at_equal_bits_each_is_read_where_it_has_half_of_fulls(found: list[Finding]) -> None:
    """Full has 500 of its 1,000 bits at step 20, the adapter between steps 10 (320 bits) and 20 (633.6)."""
    step = 10 + 10 * (500 - 320) / (633.6 - 320)
    full, less = (one(found, "old_recall", f"facts:64:4/{how}", at="equal bits").value for how in ("full", "one@1"))
    assert full == pytest.approx(-LOST["facts:64:4/full"] * 0.5) and less == pytest.approx(-LOST["facts:64:4/one@1"] * step / 40)
    f = one(found, "contrast", what="old_recall", at="equal bits", between="one@1 - full", arm="facts:64:4")
    assert f.value == pytest.approx(less - full)


def test_who_does_not_learn_so_much_is_not_compared_at_equal_bits() -> None:
    own = records()
    low = (own["arm"] == "facts:64:4/one@1") & (own["metric"] == "new_bits")
    found = findings(own.assign(value=own["value"].where(~low, own["value"] / 2)))
    f = one(found, "old_recall", "facts:64:4/one@1", at="equal bits")
    assert f.value is None and f.note == "does not learn so much in 3 of 3"
    assert find(found, "contrast", what="old_recall", at="equal bits", between="one@1 - full") is None


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"what": "old_recall", "between": "facts:64:4 - noise:64", "how": "full"}, -0.8),
        ({"what": "old_recall", "between": "facts:64:4 - known:64", "how": "full"}, -1.0),
        ({"what": "old_recall", "between": "noise:64 - known:64", "how": "full"}, -0.2),
        ({"what": "old_recall", "between": "conflict:64 - known:64", "how": "full"}, -1.2),
        ({"what": "old_correct", "between": "facts:64:4 - noise:64", "how": "full"}, -0.08),
        ({"what": "old_correct", "between": "noise:64 - known:64", "how": "full"}, -0.02),
        ({"what": "old_recall", "at": "end", "between": "one@1 - full", "arm": "facts:64:4"}, 0.9),
        ({"what": "bits_learned", "between": "one@1 - full", "arm": "facts:64:4"}, -360.0),
        ({"what": "bits_learned", "asked": "trained", "between": "facts:64:4 - facts:64:1"}, 200.0),
        ({"what": "bits_learned", "asked": "withheld", "between": "facts:64:4 - facts:64:1"}, 600.0),
        ({"what": "bits_learned", "asked": "trained", "between": "facts:64:4 - retrieval", "how": "full"}, 1000 - RETRIEVED),
        ({"what": "bits_learned", "asked": "withheld", "between": "facts:64:4 - retrieval", "how": "full"}, 700 - RETRIEVED),
        ({"what": "style_score", "between": "style:capitals:64 - style:capitals:4", "how": "full"}, 0.1),
        ({"what": "style_score", "between": "one@1 - full", "arm": "style:capitals:64"}, -0.03),
    ],
)
def test_contrasts_are_differences_of_what_is_planted(found: list[Finding], where: dict[str, object], expected: float) -> None:
    assert one(found, "contrast", **where).value == pytest.approx(expected)


def test_controls_of_fewer_entities_serve_where_there_are_none_of_as_many_and_none_of_more() -> None:
    own = records()
    words = {"known:64/full": "known:16/full", "known:64": "known:16"}
    fewer = own.replace({"arm": words, "lesson": words}).assign(entities=own["entities"].where(own["kind"] != "known", 16))
    found = findings(fewer)
    assert one(found, "contrast", what="old_recall", between="facts:64:4 - known:16", how="full").value == pytest.approx(-1.0)
    assert one(found, "contrast", what="old_recall", between="noise:64 - known:16", how="full").value == pytest.approx(-0.2)
    assert find(found, "contrast", what="old_recall", between="facts:4:4 - known:16") is None


def test_only_alike_arms_are_contrasted() -> None:
    """A style, of another learning rate, is beside nothing but styles, nor is facts in fewer paraphrases beside a control."""
    found = findings(records({"mixed:capitals:64/full": 1.9}))
    told = [f.where["between"] for f in found if f.name == "contrast" and f.where["what"] == "old_recall" and "how" in f.where]
    controls = ["facts:64:4 - noise:64", "facts:64:4 - known:64", "noise:64 - known:64", "conflict:64 - known:64"]
    assert sorted(told) == sorted([*controls, "mixed:capitals:64 - facts:64:4", "mixed:capitals:64 - known:64"])
    assert sorted(told) == sorted(f.where["between"] for f in found if f.name == "contrast" and f.where["what"] == "old_correct")
    assert one(found, "contrast", what="old_recall", between="mixed:capitals:64 - facts:64:4").value == pytest.approx(-0.4)
    assert "facts:4:4 - retrieval" not in {f.where["between"] for f in found if f.name == "contrast"}


def test_how_often_values_occur_is_told_by_how_many_entities_there_are(found: list[Finding]) -> None:
    for entities, bits in MARGINAL.items():
        assert one(found, "marginal_bits", entities=entities).value == pytest.approx(bits)


def test_how_many_old_facts_are_right_is_told_beside_their_bits(found: list[Finding]) -> None:
    for arm, lost in LOST.items():
        assert one(found, "old_correct", arm, at="end").value == pytest.approx(-COSTS * lost)


def test_of_bases_that_were_asked_of_more_entities_later_the_last_reading_counts() -> None:
    own = records()
    before = own[own["phase"] == "reference"].assign(entities=16)
    found = findings(pd.concat([own.assign(entities=own["entities"].where(own["phase"] != "reference", 64)), before.assign(value=1.0)]))
    assert one(found, "untouched", what="retrieved_bits").value == pytest.approx(RETRIEVED)


def test_training_pays_from_so_many_questions_on(found: list[Finding]) -> None:
    for how, flops in TRAINING.items():
        assert one(found, "breakeven_queries", how=how).value == pytest.approx(flops / QUERY)


def test_the_headline_has_a_row_for_each_arm_and_one_for_retrieval(found: list[Finding]) -> None:
    (table,) = headline(found)
    rows = {(row[0], row[1]): dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert table.columns == COLUMNS and set(rows) == {*(tuple(arm.split("/")) for arm in LOST), ("nothing", "retrieval")}
    full, noise, style = (rows[word, "full"] for word in ("facts:64:4", "noise:64", "style:capitals:64"))
    assert full["bits of new facts"].startswith("1,000 [") and full["the same, asked anew"].startswith("700 [")
    assert full["steps to half"].startswith("20.5 [") and style["steps to half"].startswith("11.1 [")
    assert full["old facts (bits/fact)"].startswith("-1.50 [") and full["less known facts'"].startswith("-1.00 [")
    assert full["the same, less noise's"].startswith("-0.80 [") and full["old facts right"].startswith("-0.15 [")
    assert noise["less known facts'"].startswith("-0.20 [") and noise["the same, less noise's"] == ABSENT
    assert style["less known facts'"] == style["the same, less noise's"] == ABSENT and style["general text (bits/byte)"].startswith(
        "1.00 ["
    )
    assert style["style"].startswith("0.90 [") and SCORES["style:capitals:64/full"][0] == 0.9
    assert rows["facts:64:4", "one@1"]["the same, less noise's"] == ABSENT  # noise was not taught so
    assert rows["nothing", "retrieval"]["bits of new facts"].startswith("900 [")
