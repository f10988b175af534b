"""What planted matrices of losses say: transfer, forgetting, what was learned, differences, and the words of every verdict."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from experiments.forgetting import answer, findings, headline
from experiments.forgetting.answers_of_sequences import NOTHING
from experiments.forgetting.plots.every import figures
from experiments.forgetting.readings_of_sequences import matrices
from research.findings import Finding, find

TEXTS = ("a source", "one", "two", "three")
START, LEARNED, SPREAD = 5.0, 2.0, 0.1  # of all texts untouched, and right after a task; over bases, of what is forgotten
FORGOTTEN = {"full": 1.0, "slow@0.1": 0.4, "lora@8": 0.6, "replay@10": 0.1}  # a task, of each target that was learned before
WORSE = {"full": 0.0, "slow@0.1": 0.5, "lora@8": 0.5, "replay@10": 0.2}  # of what is learned
BOUND = 2.2  # of all mixed


def ordered(seed: int) -> list[int]:
    return [1 + (seed + task) % 3 for task in range(3)]


def records(forgotten: dict[str, float] | None = None, seeds: int = 3, bases: int = 3) -> pd.DataFrame:
    """Returns the records of a run whose losses after each task are planted, those of a base apart by SPREAD."""
    found: list[dict[str, Any]] = []
    for number, text in enumerate(TEXTS):
        found.append({"phase": "reference", "metric": "text", "text": number, "value": float(number), "note": text})
        found += [
            {"phase": "reference", "metric": "unigram_bits", "text": number, "known": k, "value": 4.0 + abs(k - number)} for k in range(4)
        ]
    for seed in range(seeds):
        where = {"seed": seed, "base": seed % bases}
        found += [{**where, "phase": "reference", "metric": m, "value": START} for m in _metrics()]
        for arm, rise in {**FORGOTTEN, **(forgotten or {}), "joint": 0.0}.items():
            found += _run({**where, "phase": "result", "arm": arm}, arm, rise * (1 + SPREAD * (seed - 1)))
    return pd.DataFrame(found).assign(experiment="forgetting", unit="bits/byte")


def _metrics() -> list[str]:
    return ["source_loss", *(f"target_{number}_loss" for number in (1, 2, 3))]


def _run(where: dict[str, Any], arm: str, rise: float) -> list[dict[str, Any]]:
    method, _, strength = arm.partition("@")
    own, order = {**where, "method": method, "strength": float(strength) if strength else None}, ordered(where["seed"])
    found = []
    for task in (1, 2, 3):
        known = {"source_loss": START + 0.5 * task}
        for place, text in enumerate(order, 1):
            after = LEARNED + WORSE.get(arm, 0.0) + rise * (task - place) if place <= task else START
            known[f"target_{text}_loss"] = BOUND if arm == "joint" else after
        found += [{**own, "task": task, "text": order[task - 1], "metric": metric, "value": value} for metric, value in known.items()]
    return found


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records())


def one(found: list[Finding], name: str, arm: str, **where: Any) -> Finding:
    method, _, strength = arm.partition("@")
    f = find(found, name, method=method, strength=float(strength) if strength else None, **where)
    assert f is not None
    return f


@pytest.mark.parametrize("arm", FORGOTTEN)
def test_what_is_planted_is_read(found: list[Finding], arm: str) -> None:
    rise, learned = FORGOTTEN[arm], LEARNED + WORSE[arm]
    assert one(found, "learned_loss", arm).value == pytest.approx(learned)
    assert one(found, "bwt", arm).value == pytest.approx(-1.5 * rise)  # the first is two tasks old, the second one
    assert one(found, "average_forgetting", arm).value == pytest.approx(1.5 * rise)
    assert one(found, "end_loss", arm).value == pytest.approx(learned + rise)
    assert one(found, "source_rise", arm).value == pytest.approx(1.5)
    half = t.ppf(0.975, 2) * SPREAD * 1.5 * rise / np.sqrt(3)
    for name in ("bwt", "average_forgetting"):
        f = one(found, name, arm)
        assert f.n == 3 and (f.high - f.low) / 2 == pytest.approx(half)


def test_matrices_are_in_the_order_in_which_a_seed_learns() -> None:
    read = matrices(records())
    assert len(read) == 3 * 5
    full = read["full", 1]  # 10 % around the middle base, which is its own
    np.testing.assert_allclose(full, [[5, 5, 5, 5], [5.5, 2, 5, 5], [6, 3, 2, 5], [6.5, 4, 3, 2]])
    np.testing.assert_allclose(read["full", 2][3], [6.5, 2 + 2.2, 2 + 1.1, 2])


def test_differences_are_paired_by_seed_beside_full_and_full_at_a_lower_rate(found: list[Finding]) -> None:
    pairs = {f.where["between"] for f in found if f.name == "contrast" and f.where["what"] == "average_forgetting"}
    assert pairs == {"slow@0.1 - full", *(f"{arm} - {other}" for arm in ("lora@8", "replay@10") for other in ("full", "slow@0.1"))}
    f = find(found, "contrast", what="bwt", between="replay@10 - slow@0.1")
    assert (
        f is not None
        and f.value == pytest.approx(1.5 * 0.3)
        and f.high - f.low == pytest.approx(2 * t.ppf(0.975, 2) * SPREAD * 1.5 * 0.3 / np.sqrt(3))
    )


def test_what_is_mixed_has_learned_nothing_before(found: list[Finding]) -> None:
    assert one(found, "end_loss", "joint").value == pytest.approx(BOUND)
    assert {f.name for f in found if f.where.get("method") == "joint"} == {"end_loss", "source_rise"}


def test_a_run_that_diverged_is_missed_and_one_that_was_cut_short_is_not_read() -> None:
    own = records()
    gone = (own["arm"] == "replay@10") & (own["seed"] == 1) & (own["task"] == 3)
    f = one(findings(own.assign(value=own["value"].where(~gone))), "average_forgetting", "replay@10")
    assert f.n == 2 and "1 of 3 seeds without a value (diverged)" in f.note
    short = findings(own[~((own["arm"] == "replay@10") & (own["task"] == 3))])
    assert find(short, "bwt", method="replay") is None and one(short, "bwt", "full").value == pytest.approx(-1.5)
    other = findings(own[~((own["arm"] == "replay@10") & (own["seed"] == 1))])  # no pairs
    assert one(other, "bwt", "replay@10").n == 2 and find(other, "contrast", what="bwt", between="replay@10 - full") is None
    nothing = findings(own[own["phase"] == "reference"])
    assert NOTHING in answer(nothing) and not headline(nothing)


VERDICTS = {0.9: "More is forgotten than by", 0.4: "In what is forgotten, not told apart from", 0.1: "Less is forgotten than by"}


@pytest.mark.parametrize("rise", VERDICTS)
def test_the_answer_says_who_forgets_less_and_learns_what_lora_first(rise: float) -> None:
    own = records({"lora@8": rise})
    apart = (own["arm"] == "lora@8") * (own["metric"] != "source_loss") * (own["task"] == 3) * (own["seed"] - 1).fillna(0) * 1e-3
    told = answer(findings(own.assign(value=own["value"].astype(float) + apart.astype(float))))
    slow = told.index("full training at 10 % of its rate")
    sentence = next(part for part in told[slow - 80 :].split(". ") if "10 % of its rate" in part and "lora@8" in part)
    assert VERDICTS[rise] in sentence and "lora@8" in sentence.split(" by ")[-1].split(" are ")[-1][:8]
    assert "The targets are one, two, three" in told and "costs 1.00 to 2.00 bits/byte more" in told and "The source is a source." in told
    assert "Full training forgets 1.50 [" in told and "backward transfer of -1.50 [" in told
    assert "lowest for replay@10, 2.30 [" in told and "(less beside full training at 10 % of its rate: -0.60 [" in told
    assert "All targets mixed, as many steps in all, end with 2.20" in told
    assert told.index("10 % of its rate") < told.index(" full training by")


def test_the_answer_counts_the_intervals_that_it_tells(found: list[Finding]) -> None:
    """Five of what is forgotten; of what was learned, one that is 0 to the digit, while the others differ by one number in all bases."""
    assert answer(found).endswith("Of 6 intervals, each at 95 %, chance alone tells about 0.3 apart.")


def test_the_answer_says_whether_intervals_hold_what_orders_differ_in(found: list[Finding]) -> None:
    assert "interval over bases, each in an order of its own, whose differences it holds]" in answer(found)
    every = findings(records(seeds=6, bases=2))  # seeds 0, 2, 4 begin with another target each, and so do 1, 3, 5
    assert "interval over bases, each in 3 orders]" in answer(every) and one(every, "bwt", "full").n == 2
    assert "each in an order of its own" in answer(findings(records(seeds=4)))  # of one base two, of the others one


def test_no_verdict_of_one_base() -> None:
    told = answer(findings(records(seeds=1)))
    assert "without an interval over bases, which is no verdict," in told
    assert not [words for words in VERDICTS.values() if words in told]


def test_the_headline_has_a_row_for_each_arm(found: list[Finding]) -> None:
    (table,) = headline(found)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(rows) == ["untouched", *FORGOTTEN, "joint"] and rows["untouched"]["loss at the end"].startswith("5.00")
    assert rows["lora@8"]["forgotten"].startswith("0.90 [") and rows["lora@8"]["backward transfer"].startswith("-0.90 [")
    own = [cell for column, cell in zip(table.columns, table.rows[3], strict=True) if "slow@0.1's" in column]
    assert [cell[:5] for cell in own] == ["0.30 ", "0.20 "]
    assert rows["joint"]["forgotten"] == "–" and rows["joint"]["loss at the end"].startswith("2.20")


def test_the_figure_has_a_panel_for_the_source_and_for_each_place() -> None:
    (name,) = drawn = figures(records())
    figure, caption = drawn[name]
    titles = [axes.get_title() for axes in figure.axes]
    assert name == "sequence" and titles == ["source", *(f"target learned {place}" for place in ("first", "second", "third"))]
    (star,) = [line for line in figure.axes[1].lines if line.get_marker() == "*"]
    np.testing.assert_allclose(star.get_ydata(), [5, 2, 3, 4])
    assert "n = 3" in caption and not figures(records().query("phase == 'reference'"))
