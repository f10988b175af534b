"""What planted records say: rises at the end and at equal loss, contrasts, fronts, what explains them; and the words of every verdict."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from experiments.forgetting.answers import NOTHING, answer, overall, verdict
from experiments.forgetting.headlines import COLUMNS, headline
from experiments.forgetting.methods import parse
from experiments.forgetting.readings import findings
from research.analysis.contrasts import BASE_LEFT_OUT
from research.findings import Finding, find
from tests.experiments.forgetting import planted
from tests.experiments.forgetting.planted import FIRST, GROUPS, LEARNED, LEARNS, RISES, SHARE, TARGET, records

EQUAL = "source_rise_at_equal_target"
LEVEL = TARGET + 0.2 - SHARE * LEARNED  # mean over bases
REACH = [arm for arm in RISES if LEARNS[arm] >= SHARE]


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records())


def one(found: Sequence[Finding], name: str, arm: str = "", **where: object) -> Finding:
    if arm:
        method, _, strength = arm.partition("@")
        where = {**where, "method": method, "strength": float(strength) if strength else None}
    where |= {"share": SHARE} if name == EQUAL and "share" not in where else {}
    f = find(found, name, **where)
    assert f is not None
    return f


def difference(found: Sequence[Finding], arm: str, what: str = EQUAL) -> Finding:
    share = {"share": SHARE} if what == EQUAL else {}
    return one(found, "contrast", what=what, between=f"{arm} - full", **share)


@pytest.mark.parametrize("arm", RISES)
def test_rises_and_losses_at_the_end_are_those_planted(found: list[Finding], arm: str) -> None:
    assert one(found, "source_rise", arm).value == pytest.approx(RISES[arm])
    assert one(found, "target_loss", arm).value == pytest.approx(TARGET + 0.2 + 0.05 - LEARNED * LEARNS[arm])
    if arm != "full":
        assert difference(found, arm, "source_rise").value == pytest.approx(RISES[arm] - RISES["full"])


def test_intervals_of_rises_are_over_bases_and_documents(found: list[Finding]) -> None:
    """Student's t over three bases and over ten groups, in squares; of full's rises nothing differs, so LoRA's difference has LoRA's."""
    bases = t.ppf(0.975, 2) * planted.SPREAD / np.sqrt(3)
    documents = t.ppf(0.975, GROUPS - 1) * planted.APART * np.std(np.arange(GROUPS), ddof=1) / np.sqrt(GROUPS)
    for f in (one(found, "source_rise", "lora@2"), difference(found, "lora@2", "source_rise")):
        assert (f.high - f.low) / 2 == pytest.approx(np.hypot(bases, documents)) and f.n == 3
    full = one(found, "source_rise", "full")
    assert full.high - full.low == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("read", ["by document", "not by document", "of one group"])
def test_intervals_at_equal_loss_are_over_bases_and_the_documents_of_the_first_chunk(read: str) -> None:
    """Along the way of LoRA, straight in all, rises of documents lie apart in proportion to it; of full's none do."""
    own = records()
    kept = {"by document": own, "not by document": own[~own["metric"].str.startswith("budget_document")]}
    kept["of one group"] = own[~(own["metric"].str.startswith("budget_document") & (own["document"] > 0))]
    found, share = findings(kept[read]), SHARE / LEARNS["lora@2"]
    bases = t.ppf(0.975, 2) * planted.SPREAD / np.sqrt(3) * share
    documents = t.ppf(0.975, FIRST - 1) * planted.FIRST_APART * np.std(np.arange(FIRST), ddof=1) / np.sqrt(FIRST) * share
    for f in (one(found, EQUAL, "lora@2"), difference(found, "lora@2")):
        half = np.hypot(bases, documents if read == "by document" else 0.0)
        assert (f.high - f.low) / 2 == pytest.approx(half) and ("9 groups of documents" in f.note) == (read == "by document")
    assert one(found, EQUAL, "lora@2").value == pytest.approx(RISES["lora@2"] * share)
    caption = headline(found)[0].caption
    assert ("over bases and documents; no interval holds documents of the target" in caption) == (read == "by document")
    assert ("documents are left out; of the rise on the source at the end, over documents, too" in caption) == (read != "by document")


@pytest.mark.parametrize("arm", REACH)
def test_rises_where_all_have_learned_equally_much(found: list[Finding], arm: str) -> None:
    f = one(found, EQUAL, arm)
    expected = {each: RISES[each] * SHARE / LEARNS[each] for each in (arm, "full")}
    assert f.value == pytest.approx(expected[arm]) and f.where["bits"] == pytest.approx(LEVEL, abs=1e-3)
    if arm != "full":
        assert difference(found, arm).value == pytest.approx(expected[arm] - expected["full"])


def test_the_line_to_fulls_end_is_read_along_alpha(found: list[Finding]) -> None:
    """Between alpha = 0.75, where the planted rise is 0.75^2 of full's, and full's end."""
    assert one(found, EQUAL, method="wise").value == pytest.approx(RISES["full"] * (0.75**2 + (SHARE - 0.75) / 0.25 * (1 - 0.75**2)))
    assert find(found, "source_rise", method="wise") is None


def test_an_arm_that_does_not_reach_the_loss_is_told_so_and_compared_with_nothing(found: list[Finding]) -> None:
    f = one(found, EQUAL, "slow@0.1")
    assert f.value is None and f.note == "does not reach it in 3 of 3 runs"
    assert find(found, "contrast", what=EQUAL, between="slow@0.1 - full", share=SHARE) is None
    assert one(found, EQUAL, "slow@0.1", share=0.4).value == pytest.approx(0.2 * 0.8)
    beside = one(found, "contrast", what=EQUAL, between="replay@5 - slow@0.1", share=0.4)  # full at a lower rate, where it learns enough
    assert beside.value == pytest.approx(0.1 * 0.4 - 0.2 * 0.8)
    assert difference(found, "slow@0.1", "source_rise").value is not None
    assert "Not compared, for a run did not learn so much: slow@0.1 (80 %)." in answer(found)


def test_a_base_on_which_an_arm_diverged_is_missed() -> None:
    own = records()
    gone = (own["arm"] == "replay@5") & (own["seed"] == 1) & (own["step"] == 40)
    found = findings(own.assign(value=own["value"].astype(object).where(~gone, None)))
    f = one(found, EQUAL, "replay@5")
    assert f.value is None and f.note == "does not reach it in 1 of 3 runs"
    end = one(found, "source_rise", "replay@5")
    assert end.value == pytest.approx(RISES["replay@5"]) and end.n == 2 and "1 of 3 seeds without a value (diverged)" in end.note
    assert difference(found, "lora@2").value is not None


def test_fronts_leave_behind_them_what_is_worked_out_by_hand(found: list[Finding]) -> None:
    """In units of full's last rise and of what it learns: ways are straight, and leave triangles and trapezoids behind them."""
    volumes = {f.where["method"]: f.value for f in found if f.name == "hypervolume"}
    assert volumes["full"] == pytest.approx(0.5, abs=0.005)
    assert volumes["slow"] == pytest.approx(0.5 - 0.5**2 / 3, abs=0.005)
    assert volumes["top"] == pytest.approx(0.85 / 1.5 / 2, abs=0.005)  # more lost for less: its way leaves the rectangle before its end
    assert volumes["top"] < volumes["slow"] < volumes["full"] < volumes["replay"]
    assert difference(found, "top", "hypervolume").value == pytest.approx(volumes["top"] - volumes["full"])
    only = findings(records().query("arm != 'lora@8'"))  # strengths of a method have one front
    assert one(only, "hypervolume", method="lora").value < volumes["lora"]


def test_one_curve_explains_what_lies_on_one_and_heights_what_lies_on_parallels(found: list[Finding]) -> None:
    explained = {(f.where["on"], f.where["curve"]): f.value for f in found if f.name == "kl_r2"}
    assert explained["target", "one"] == pytest.approx(1, abs=1e-6)
    assert explained["source", "one"] < 0.8 and explained["source", "one height per method"] == pytest.approx(1, abs=1e-6)
    assert explained["distance", "one"] < 0.8


VERDICTS = {
    "less": (0.3, "LoRA forgets less than full training at its best rate"),
    "alike": (0.54, "LoRA is not told apart from full training at its best rate"),
    "more": (0.9, "LoRA forgets more than full training at its best rate"),
}


def test_no_interval_without_several_bases_is_a_verdict() -> None:
    told = Finding("contrast", {"between": "lora@2 - full"}, -0.2, -0.3, -0.1, "bits/byte", 3, "")
    assert verdict(told) == "less" and verdict(told._replace(high=0.0)) == "alike"
    for less in ({"n": 1}, {"note": BASE_LEFT_OUT}, {"low": None}, {"high": None}, {"value": None}):
        assert verdict(told._replace(**less)) == "unjudged"


def test_losses_that_do_not_agree_make_no_verdict() -> None:
    less = Finding("contrast", {"between": "lora@2 - full"}, -0.2, -0.3, -0.1, "bits/byte", 3, "")
    assert overall([less, less]) == "less"
    assert overall([less, less._replace(high=0.1)]) == overall([less, less._replace(low=0.1, high=0.3)]) == "mixed"


@pytest.mark.parametrize("said", VERDICTS)
def test_the_answer_says_what_is_planted(said: str) -> None:
    rise, words = VERDICTS[said]
    own = records({"lora@2": rise, "lora@8": rise}).query("arm != 'lora@8'")
    moved = (own["phase"] == "result") * own["seed"].fillna(0).astype(float)  # bases that read one number to the digit have no interval
    told = answer(findings(own.assign(value=own["value"].astype(float) * (1 + 1e-6 * moved))))
    at = f"lora@2 {0.4 * (rise / 0.9 - 0.6):.2f} ["
    assert f"{words}, where both have learned equally much (a share of what full learns): {at.replace('-0.00', '0.00')}" in told
    assert [other for other, (_, sentence) in VERDICTS.items() if sentence in told] == [said]
    assert "Full training ends with a rise of 0.60" in told and "The target is a text." in told
    assert "Than by full training at its best rate, less is forgotten by replay@5" in told and "more is forgotten by top@1 0.37" in told
    assert "; somebody who knew no more than how often each byte occurs would end with 0.30, so that part of the rise" in told
    assert told.index("at 10 % of its best rate") < told.index("full training at its best rate")  # what anything has to beat


def test_of_one_base_the_others_are_told_too() -> None:
    told = answer(findings(records(seeds=1)))
    assert "replay@5 -0.40" in told and "top@1 0.37" in told


def test_no_verdict_of_one_base_and_none_without_another_method() -> None:
    told = answer(findings(records(seeds=1)))
    assert "without an interval over bases, which is no verdict, where both have learned equally much" in told
    assert "-0.23 [-0.27, -0.19] at 80 %" in told  # of the first base alone, over documents
    assert not [words for _, words in VERDICTS.values() if words in told]
    alone = findings(records().query("arm != arm or arm == 'full'"))
    assert NOTHING in answer(alone) and one(alone, EQUAL, "full").value == pytest.approx(SHARE * RISES["full"])


def test_the_headline_has_a_row_for_each_arm(found: list[Finding]) -> None:
    table, *_ = headline(found)
    assert table.columns == (*COLUMNS, "the same, less full's", "the same, less slow@0.1's")
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert {row["the same, less slow@0.1's"] for row in rows.values()} == {"–"}  # it does not learn so much
    assert list(rows) == [*RISES, "wise"] and len(table.rows) == len(rows)
    assert rows["full"]["the same, less full's"] == "–" and rows["replay@5"]["rise on the source"].startswith("0.10 [")
    assert rows["lora@8"]["rise on the source"].startswith("0.45 [")
    assert rows["lora@2"]["the same, less full's"].startswith("-0.21 [")
    assert rows["slow@0.1"]["rise at equal loss on the target"].startswith("does not reach") and f"{LEVEL:g} bits/byte" in table.caption
    assert rows["wise"]["rise at equal loss on the target"].startswith("0.39 [")


def test_fronts_have_a_row_for_each_method_the_largest_volume_first(found: list[Finding]) -> None:
    _, table, _ = headline(found)
    volumes = {row[0]: float(row[1].split()[0]) for row in table.rows}
    assert set(volumes) == {f.where["method"] for f in found if f.name == "hypervolume"} and volumes["full"] == 0.5
    assert list(volumes.values()) == sorted(volumes.values(), reverse=True)
    less = {row[0]: row[2] for row in table.rows}
    assert less["full"] == "–" and float(less["top"].split()[0]) == pytest.approx(volumes["top"] - 0.5, abs=0.011)


@pytest.mark.parametrize("word", ["l2sp@1e-3", "l2sp@0.0010"])
def test_the_headline_finds_the_difference_of_a_strength_however_it_is_written(word: str) -> None:
    own = records()
    table, *_ = headline(
        findings(own.assign(arm=own["arm"].replace("replay@5", parse(word).word)).assign(**_at(own, "replay@5", "l2sp", 1e-3)))
    )
    rows = {row[0]: row for row in table.rows}
    assert rows["l2sp@0.001"][4].startswith("-0.40 [")


def _at(own: pd.DataFrame, arm: str, method: str, strength: float) -> dict[str, pd.Series]:
    mine = own["arm"] == arm
    return {"method": own["method"].mask(mine, method), "strength": own["strength"].mask(mine, strength)}


@pytest.mark.parametrize("phases", [["reference"], ["reference", "result"]])
def test_a_run_that_was_cut_short_is_read_as_far_as_it_came(phases: list[str]) -> None:
    own = records()
    found = findings(own[own["phase"].isin(phases)])
    done = "result" in phases
    assert bool(headline(found)) == done and (NOTHING in answer(found)) != done
    names = {
        "window",
        "target",
        "unigram_rise",
        "noise_rank",
        *(("source_rise", "target_loss", "contrast", "hypervolume", EQUAL) if done else ()),
    }
    assert {f.name for f in found} == names
    if done:
        assert find(found, EQUAL, method="wise") is None and difference(found, "lora@2").value is not None
