"""What planted records say: bits, steps, what is lost, contrasts, prices; and the words of every verdict."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from experiments.style_vs_facts.answers import AGAINST, FOR, NOTHING, OPEN, UNJUDGED, above, answer, below, judged
from experiments.style_vs_facts.headlines import COLUMNS, headline
from experiments.style_vs_facts.readings import findings
from research.analysis.contrasts import BASE_LEFT_OUT
from research.findings import Finding, find
from tests.experiments.style_vs_facts.planted import (
    APART,
    BITS,
    GROUPS,
    LOST,
    PARAMETERS,
    QUERY,
    RETRIEVED,
    SCORES,
    SPREAD,
    TRAINING,
    records,
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


def test_steps_are_those_to_nine_tenths_of_the_end_between_readings(found: list[Finding]) -> None:
    assert one(found, "steps_to_style", "style:capitals:64/full").value == pytest.approx(10 + 10 * (0.9 - 0.5) / 0.5)
    assert one(found, "steps_to_style", "style:capitals:64/one@1").value == pytest.approx(20 + 20 * (0.9 - 0.5) / 0.5)
    assert one(found, "steps_to_facts", "facts:64:4/full").value == pytest.approx(20 + 20 * (0.9 - 0.5) / 0.5)
    f = one(found, "contrast", what="steps_to_style", between="style:capitals:64 / style:capitals:4", how="full")
    assert f.value == pytest.approx(18 / 17.5)
    assert find(found, "steps_to_style", arm="facts:64:4") is None


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
        ({"what": "old_recall", "between": "facts:64:4 - style:capitals:64", "how": "full"}, -0.5),
        ({"what": "old_recall", "between": "facts:64:4 - style:capitals:64", "how": "one@1"}, 0.3),
        ({"what": "old_recall", "between": "facts:64:4 - known:64", "how": "full"}, -1.0),
        ({"what": "old_recall", "between": "style:capitals:64 - known:64", "how": "full"}, -0.5),
        ({"what": "old_recall", "between": "conflict:64 - known:64", "how": "full"}, -1.2),
        ({"what": "old_recall", "at": "end", "between": "one@1 - full", "arm": "facts:64:4"}, 0.9),
        ({"what": "bits_learned", "between": "one@1 - full", "arm": "facts:64:4"}, -360.0),
        ({"what": "bits_learned", "asked": "trained", "between": "facts:64:4 - facts:64:1"}, 200.0),
        ({"what": "bits_learned", "asked": "withheld", "between": "facts:64:4 - facts:64:1"}, 600.0),
        ({"what": "bits_learned", "between": "facts:64:4 - retrieval", "how": "full"}, 1000 - RETRIEVED),
        ({"what": "style_score", "between": "one@1 - full", "arm": "style:capitals:64"}, -0.03),
    ],
)
def test_contrasts_are_differences_of_what_is_planted(found: list[Finding], where: dict[str, object], expected: float) -> None:
    assert one(found, "contrast", **where).value == pytest.approx(expected)


def test_known_facts_and_styles_of_fewer_entities_serve_where_there_are_none_of_as_many() -> None:
    own = records()
    words = {"known:64/full": "known:16/full", "known:64": "known:16"}
    fewer = own.replace({"arm": words, "lesson": words}).assign(entities=own["entities"].where(own["kind"] != "known", 16))
    found = findings(fewer)
    assert one(found, "contrast", what="old_recall", between="facts:64:4 - known:16", how="full").value == pytest.approx(-1.0)
    assert find(found, "contrast", what="old_recall", between="facts:4:4 - known:16") is None


def test_only_alike_arms_are_contrasted(found: list[Finding]) -> None:
    pairs = {f.where["between"] for f in found if f.name == "contrast" and f.where["what"] == "old_recall"}
    assert not {"facts:4:4 - style:capitals:64", "facts:64:1 - known:64", "facts:64:1 - style:capitals:64"} & pairs
    assert "facts:4:4 - retrieval" not in {f.where["between"] for f in found if f.name == "contrast"}


def test_of_bases_that_were_asked_of_more_entities_later_the_last_reading_counts() -> None:
    own = records()
    before = own[own["phase"] == "reference"].assign(entities=16)
    found = findings(pd.concat([own.assign(entities=own["entities"].where(own["phase"] != "reference", 64)), before.assign(value=1.0)]))
    assert one(found, "untouched", what="retrieved_bits").value == pytest.approx(RETRIEVED)


def test_training_pays_from_so_many_questions_on(found: list[Finding]) -> None:
    for how, flops in TRAINING.items():
        assert one(found, "breakeven_queries", how=how).value == pytest.approx(flops / QUERY)


def test_verdicts_need_an_interval_over_bases() -> None:
    told = Finding("contrast", {}, -0.2, -0.3, -0.1, "1", 3, "")
    assert judged(told, below) == FOR and judged(told, above) == AGAINST
    assert judged(told._replace(high=0.1), below) == judged(told._replace(high=0.1), above) == OPEN
    for less in ({"n": 1}, {"note": BASE_LEFT_OUT}, {"low": None}, {"high": None}, {"value": None}):
        assert judged(told._replace(**less), below) == UNJUDGED


def part(said: str, verdict: str) -> str:
    """Returns what an answer says under a verdict."""
    return next((each for each in said.split(". ") if each.startswith(f"{verdict}: ")), "")


def test_the_answer_says_what_is_planted_and_first_what_contradicts(found: list[Finding]) -> None:
    said = answer(found)
    assert "facts:64:4 (full) changes old facts by -1.00 [" in part(said, FOR)
    assert "of facts:64:4 one@1 learns -360" in part(said, FOR) and "retrieval reads 900" in part(said, FOR)
    assert "a style (style:capitals:64 / style:capitals:4, full) takes 1.03" in part(said, FOR)
    assert "one@1 ends -0.03" in part(said, FOR)
    assert "changes old facts by 0.30" in part(said, OPEN) + part(said, AGAINST)
    assert "facts:64:4 by full 100 [100, 100] (a run costs as much as 3,000 questions" in said
    less = answer(findings(records({"facts:64:4/full": 0.1})))
    assert "facts:64:4 (full) changes old facts by 0.40" in part(less, OPEN) + part(less, AGAINST)
    assert part(less, AGAINST) == "" or less.index(AGAINST) < less.index(f"{FOR}: ")


def test_retrieval_that_reads_nothing_contradicts() -> None:
    said = answer(findings(records(retrieved_bits=-3.0)))
    assert "retrieval reads -3.00" in part(said, AGAINST)


def test_of_one_base_nothing_is_judged_and_without_contrasts_nothing_is_compared() -> None:
    said = answer(findings(records(seeds=1)))
    assert not part(said, FOR) and not part(said, AGAINST) and part(said, UNJUDGED)
    assert answer([]) == "" and NOTHING in answer([Finding("window", {}, 64, None, None, "tokens", 1, "")])


def test_the_headline_has_a_row_for_each_arm_and_one_for_retrieval(found: list[Finding]) -> None:
    (table,) = headline(found)
    rows = {(row[0], row[1]): dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert table.columns == COLUMNS and set(rows) == {*(tuple(arm.split("/")) for arm in LOST), ("nothing", "retrieval")}
    full = rows["facts:64:4", "full"]
    assert full["bits of new facts"].startswith("1,000 [") and full["the same, asked anew"].startswith("700 [")
    assert full["old facts (bits/fact)"].startswith("-1.50 [") and full["less control"].startswith("-1.00 [")
    assert rows["style:capitals:64", "full"]["style"].startswith("0.90 [") and SCORES["style:capitals:64/full"][0] == 0.9
    assert rows["nothing", "retrieval"]["bits of new facts"].startswith("900 [")
