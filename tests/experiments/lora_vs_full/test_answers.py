"""The answer's words: each hangs on a verdict, none on a difference without an interval over bases; and the table of the report."""

import re

import pytest

from experiments.lora_vs_full.answers import CLAIM, EQUAL_TARGET, NOTHING, answer
from experiments.lora_vs_full.headlines import COLUMNS, headline
from experiments.lora_vs_full.readings import findings
from research.analysis.contrasts import BASE_LEFT_OUT
from research.figures.report import paragraphs
from research.findings import Finding
from tests.experiments.lora_vs_full.planted import OTHERWISE, records

ROTATED, NOISE = "its own singular values in random directions", "Gaussian noise of its norm"
SHUFFLED, SOURCE = "full training on shuffled labels", "full training on the source, where nothing is new"
UNJUDGED = "no verdict (no interval of any width over bases) beside"


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records(intruders={("lora@2", "none"): 4.0}))


@pytest.fixture(scope="module")
def otherwise() -> list[Finding]:
    ranks = {("full", "source"): 15.0, ("full", "shuffled"): 20.0, ("full", "noise"): 12.0, ("full", "noise", "end"): 30.0}
    return findings(records(ranks=ranks, intruders=OTHERWISE))


def of(said: str, begins: str) -> str:
    """Returns the one sentence of an answer that begins so."""
    (sentence,) = (each for each in re.split(r"\.\s+(?=[A-Z9])", said) if each.startswith(begins))
    return sentence


def at_each(*values: str) -> str:
    """Returns a pattern of values with their intervals at each place."""
    return ", ".join(rf"{re.escape(value)} \[[^]]+\] at {at}" for value, at in zip(values, ("50 %", "80 %", "the end"), strict=True))


def test_the_rank_of_a_full_update_stands_beside_each_null_at_each_place(found: list[Finding], otherwise: list[Finding]) -> None:
    told, other = (of(answer(some), "90 % of the energy") for some in (found, otherwise))
    assert re.search(rf"so many directions of a matrix: {at_each('20.0', '30.0', '40.0')}; fewer than", told)
    for null, values in ((NOISE, ("40.0", "60.0", "80.0")), (SHUFFLED, ("30.0", "45.0", "60.0")), (SOURCE, ("25.0", "37.5", "50.0"))):
        assert re.search(rf"; fewer than {null} \({at_each(*values)}\)", told), null
    assert re.search(rf"; not told apart from {SHUFFLED} \({at_each('20.0', '30.0', '40.0')}\)", other)
    assert re.search(rf"; more than {SOURCE} \({at_each('15.0', '22.5', '30.0')}\)", other)
    assert re.search(
        rf"; beside {NOISE} more than its 12\.0 \[.*\] at 50 %, more than its 18\.0 \[.*\] at 80 %, fewer than its 60\.0", other
    )


def test_intruders_are_compared_with_fulls_and_with_their_own_null(found: list[Finding], otherwise: list[Finding]) -> None:
    told, other = (
        {arm: of(answer(some), f"Intruders a matrix of {arm}") for arm in ("full", "slow@0.1", "lora@2", "lora@8")}
        for some in (found, otherwise)
    )
    full = at_each("4.0", "6.0", "8.0")
    assert re.search(rf"full: {full}; fewer than {ROTATED} \({at_each('5.0', '7.5', '10.0')}\)$", told["full"])
    assert re.search(rf"lora@2: {full}; not told apart from full training \({full}\); fewer than {ROTATED} \(6\.0", told["lora@2"])
    assert re.search(
        rf"lora@8: {at_each('6.0', '9.0', '12.0')}; more than full training \({full}\); not told apart from {ROTATED} \(6", told["lora@8"]
    )
    assert re.search(rf"; not told apart from {ROTATED} \({full}\)$", other["full"])
    assert re.search(rf"; more than full training \({full}\); more than {ROTATED} \({at_each('2.0', '3.0', '4.0')}\)$", other["lora@2"])
    assert re.search(rf"; fewer than full training \({full}\); fewer than {ROTATED} \({at_each('5.0', '7.5', '10.0')}\)$", other["lora@8"])
    assert "at 50 %, 12.0" in told["slow@0.1"] and "80 %" not in told["slow@0.1"]
    assert of(answer(found), "Not compared") == "Not compared: slow@0.1 at 80 % (does not come down to it in 3 of 3 runs)"


def test_what_scaling_intruders_is_worth_is_told_of_each_arm_and_factor(found: list[Finding]) -> None:
    told = of(answer(found), "The source's loss where a part is scaled down, less that where the whole update is")
    first, *parts = told.split("; ")
    assert first.endswith("at the same loss on the target")
    named = {"intruders": 0.0, "as many other directions": 0.08, "only the update's part along the intruders": -0.2}
    for part, (name, beside) in zip(parts, named.items(), strict=True):
        assert part.startswith(f"{name}: ")
        for arm, value in (("full", 0.0), ("lora@2", -0.1), ("lora@8", 0.1)):
            assert f"{arm} x0.25 {value + beside:.2f} [" in part and f"{arm} x0.5 {value + beside:.2f} [" in part
    assert "a part is scaled" not in answer([f for f in found if f.where.get("what") != EQUAL_TARGET])


def test_other_sentences_say_what_was_read(found: list[Finding]) -> None:
    said = answer(found)
    assert said.startswith(f"The target is a text. {CLAIM}.")
    needed = of(said, "Cut to its best directions")
    assert re.search(
        r"so many of them: 4\.0 \[.*\] at 80 %, random ones of the same norm 8\.0 \[.*\]; 4\.0 \[.*\] at the end, random", needed
    )
    assert "by their end others gain of what full gains slow@0.1 0.60 [0.60, 0.60], lora@2 0.90 [0.90, 0.90], lora@8 1.50 [" in said
    noise = of(said, "The detector is not without fault: Gaussian noise of the norm of lora@8's update at the end (0.56 [")
    assert re.search(r"of the start's\) makes 12\.0 \[.*\] a matrix$", noise)
    shared = of(said, "What the leading output directions of two updates have in common at 80 %")
    assert "full & another seed's 0.62 [0.58, 0.67] (permuted 0.10 [" in shared and "full & lora@2 0.12 [" in shared
    assert "0.82" not in shared
    assert "over that of random ones, at 80 %: full 2.83 [2.21, 3.63], lora@2 2.83 [" in said
    assert said.endswith("where a better one may lie outside, for lora@2.")


def test_intervals_that_are_verdicts_are_counted(found: list[Finding]) -> None:
    """Those of which the answer tells verdicts: on ranks, intruders and scaling."""
    told = [f for f in found if f.name == "contrast" and f.where["what"] in ("energy_rank", "intruders", EQUAL_TARGET)]
    assert len(told) > 70 and all(f.low is not None and f.n == 3 for f in told) and "matched_loss" in {f.where.get("what") for f in found}
    said = f"Of {{}} intervals on ranks, intruders and scaling, each at 95 %, chance alone tells about {0.05 * len(told):.2g} apart."
    assert said.format(len(told)) in answer(found)
    unread = [f._replace(low=None, high=None) if f is told[0] else f for f in found]
    assert f"Of {len(told) - 1} intervals on ranks" in answer(unread)


def test_none_beside_none_is_no_verdict_and_is_not_counted(found: list[Finding]) -> None:
    """At half of what full learns neither adapter nor full has an intruder: what is said of them is said of the other share."""
    own = records()
    own = own[own["phase"].isin(["reference", "result", "null", "update"])]
    without = (own["metric"] == "intruders") & (own["at"] == "0.5") & (own["like"] == "own") & own["arm"].isin(["full", "lora@2", "lora@8"])
    some = findings(own.assign(value=own["value"].mask(without & (own["null"] == "none"), 0.0)))
    short, long = paragraphs(answer(some))
    assert "At the learning rates at which each learns best LoRA has more intruders than full training" in short
    assert "beside full training none, as has its 0.0 [0.0, 0.0] at 50 %, more than its 6.0 [" in of(long, "Intruders a matrix of lora@2")
    both = [f for f in some if f.name == "contrast" and f.where["what"] == "intruders" and f.value == f.low == f.high == 0]
    assert [f.where["between"] for f in both] == ["lora@2 - full", "lora@8 - full"]
    told = sum(f.name == "contrast" and f.where["what"] in ("energy_rank", "intruders") for f in some)
    assert f"Of {told - 2} intervals on" in long


@pytest.fixture(scope="module")
def one_base() -> list[Finding]:
    return findings(records(bases=1))


@pytest.mark.parametrize("made", ["one base", "seeds of one base", "without an interval"])
def test_without_an_interval_over_bases_no_sentence_has_a_verdict(found: list[Finding], one_base: list[Finding], made: str) -> None:
    some = {
        "one base": one_base,
        "seeds of one base": [f._replace(note=f"{f.note}; {BASE_LEFT_OUT}") if f.name in ("contrast", "intruders") else f for f in found],
        "without an interval": [f._replace(low=None, high=None) for f in found],
    }[made]
    short, long = paragraphs(answer(some))
    assert short == f"The target is a text. {CLAIM}."
    words = ("more than", "fewer than", "not told apart", "chance alone", "as has")
    assert not [word for word in words if word in long]
    assert all(f"; {UNJUDGED} {other} (" in long for other in (NOISE, ROTATED, SHUFFLED, SOURCE, "full training"))
    assert "at the same loss on the target; intruders: full x0.25" in long


def test_counts_that_are_the_same_on_all_bases_have_no_verdict_unless_they_are_alike() -> None:
    """Their interval has no width; of a difference of 0 that is a verdict, of any other it is a want of resolution."""
    own = records(intruders={("lora@2", "none"): 4.0})
    own = own[own["phase"].isin(["reference", "result", "null", "update"])]
    same = own.groupby(["metric", "arm", "null", "like", "at", "matrix"])["value"].transform("mean")
    said = answer(findings(own.assign(value=own["value"].mask(own["metric"] == "intruders", same))))
    assert "; not told apart from full training (4.0 at" in of(said, "Intruders a matrix of lora@2").replace(" [4.0, 4.0]", "")
    assert f"; {UNJUDGED} full training (4.0" in of(said, "Intruders a matrix of lora@8")
    assert "intruders" not in paragraphs(said)[0].replace(CLAIM, "")


def test_where_full_learned_nothing_nothing_is_compared() -> None:
    said = findings(records(learns={"full": -0.1}))
    assert answer(said) == f"The target is a text. {CLAIM}. {NOTHING}." and not headline(said)
    assert answer([]) == "" and not headline([])


def test_the_headline_has_a_row_for_each_arm_and_each_null_of_full_at_each_place(found: list[Finding], one_base: list[Finding]) -> None:
    (table,) = headline(found)
    assert table.columns == COLUMNS
    rows = {row[:2]: row[2:] for row in table.rows}
    names = ["full", "slow@0.1", "lora@2", "lora@8", "full, shuffled labels", "full, on the source"]
    assert list(rows) == [(name, at) for at in ("50 %", "80 %", "the end") for name in names]
    values = {key: [cell.split(" [")[0] for cell in row] for key, row in rows.items()}
    assert values["full", "50 %"] == ["3.20", "0.28", "20.0", "40.0", "4.0", "5.0", "6.0"]
    assert values["full", "80 %"] == ["2.70", "0.42", "30.0", "60.0", "6.0", "7.5", "9.0"]
    assert values["full", "the end"] == ["2.25", "0.56", "40.0", "80.0", "8.0", "10.0", "12.0"]
    assert rows["slow@0.1", "80 %"] == ("does not come down to it in 3 of 3 runs", *["–"] * 6)
    assert values["full, on the source", "80 %"] == ["–", "0.42", "37.5", "–", "6.8", "–", "–"]
    for level in ("50 % of what full learns is 3.20 [", "80 % of what full learns is 2.60 ["):
        assert level in table.caption
    assert "at the end: 95 % interval over bases" in table.caption
    (single,) = headline(one_base)
    assert "no interval over one base" in single.caption and "[" not in "".join("".join(row) for row in single.rows)
