"""What a sweep over ranks says: contrasts that hold their planted values, levels, and what hangs on one choice."""

import numpy as np
import pandas as pd
import pytest

from experiments.lora_rank_sweep.forgetting import source_at_equal_loss
from experiments.lora_rank_sweep.headlines import answer, headline
from experiments.lora_rank_sweep.readings import findings
from research.findings import Finding, find
from tests.synthetic import planted, synthetic

DOCS, FOOD = "stdlib:docs", "generated:restaurants"


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return synthetic(arms=("block", "block+ends"), targets=(DOCS, FOOD))


@pytest.fixture(scope="module")
def found(results: pd.DataFrame) -> list[Finding]:
    return findings(results)


def part(results: pd.DataFrame, target: str) -> pd.DataFrame:
    """Returns the records of one arm on one target: what other targets and arms say is read apart, and takes as long again."""
    return results[results["target"].isin([target]) & (results["arm"] != "block+ends")]


def gap(target: str, init: str, rank: int, arm: str = "block") -> float:
    return planted(target, init, arm, "lora", rank) - planted(target, init, arm, "matched")


@pytest.mark.parametrize("target", [DOCS, FOOD])
@pytest.mark.parametrize("rank", [1, 32])
def test_what_a_rank_costs_and_how_that_differs_is_what_was_planted(found: list[Finding], target: str, rank: int) -> None:
    at = {"target": target, "arm": "block", "rank": rank}
    for init in ("pretrained", "random"):
        one = find(found, "gap", **at, init=init, reference="matched")
        assert one and one.low <= gap(target, init, rank) <= one.high and one.n == 3
    contrast = find(found, "contrast", of="gap to matched", between="pretrained - random", **at)
    truth = gap(target, "pretrained", rank) - gap(target, "random", rank)
    assert contrast and contrast.low <= truth <= contrast.high
    assert "over 3 bases" in contrast.note and "groups of documents" in contrast.note


def test_the_sign_of_a_contrast_differs_between_targets_and_the_answer_says_so(found: list[Finding]) -> None:
    signs = {
        target: find(found, "contrast", of="gap to matched", between="pretrained - random", target=target, arm="block", rank=1)
        for target in (DOCS, FOOD)
    }
    assert signs[DOCS].high < 0 < signs[FOOD].low
    words = answer(found)
    assert DOCS in words and FOOD in words and ", more in" in words
    assert "The same at rank 0" in words and "Before any rank counts" in words


def test_a_share_is_counted_from_what_the_arm_reaches_at_rank_zero_or_from_the_unigram(found: list[Finding]) -> None:
    for arm, init in (("block", "pretrained"), ("block", "random"), ("block+ends", "pretrained")):
        reached = {rank: planted(DOCS, init, arm, "lora", rank) for rank in (0, 1)}
        reached[0] = planted(DOCS, init, None, "nothing") if arm == "block" else reached[0]
        matched, at = planted(DOCS, init, arm, "matched"), {"target": DOCS, "arm": arm, "init": init, "rank": 1}
        for start, ceiling in (("rank 0", np.inf), ("unigram", 4.83)):
            first = min(reached[0], ceiling)
            share = find(found, "share_of_gain", **at, start=start)
            assert share and (share.value is None) == (first - matched < 0.2)
            assert share.value is None or share.low - 0.02 <= (first - reached[1]) / (first - matched) <= share.high + 0.02
    contrasts = [
        find(found, "contrast", of="share of the gain", target=DOCS, arm="block", rank=1, between="pretrained - random", start=start)
        for start in ("rank 0", "unigram")
    ]
    assert contrasts[0] and contrasts[0].value is not None
    assert (
        contrasts[1] and contrasts[1].value is None and "not clearly above" in contrasts[1].note
    )  # random gains next to nothing from there


def test_who_ends_lower_is_a_contrast_of_its_own(found: list[Finding]) -> None:
    for target in (DOCS, FOOD):
        one = find(found, "contrast", of="loss", between="pretrained untouched - random everything", target=target)
        truth = planted(target, "pretrained", None, "nothing") - planted(target, "random", None, "full")
        assert one and one.low <= truth <= one.high


def test_a_contrast_of_one_base_is_over_its_seeds_and_leaves_the_base_out() -> None:
    found = findings(synthetic(bases=1))
    one = find(found, "contrast", of="gap to matched", between="pretrained - random", target=DOCS, rank=1)
    assert one and one.n == 3 and "over 3 seeds of one base: the base is left out" in one.note
    single = findings(synthetic(seeds=1))
    alone = find(single, "contrast", of="gap to matched", between="pretrained - random", target=DOCS, rank=1)
    assert alone and alone.n == 1 and "no interval over one base" in alone.note
    assert "less from pretrained weights in 0 of 1" in answer(single)  # documents alone tell nothing apart


def test_without_documents_the_interval_is_over_bases_alone_and_says_so(results: pd.DataFrame) -> None:
    docs = part(results, DOCS)
    without = findings(docs[~docs["metric"].isin(["document_loss", "document_bytes"])])
    one = find(without, "contrast", of="gap to matched", between="pretrained - random", target=DOCS, rank=1)
    assert one and "documents left out" in one.note


def test_rank_zero_is_the_untouched_loss_unless_something_else_moves(found: list[Finding]) -> None:
    block = find(found, "gap", target=DOCS, arm="block", init="pretrained", rank=0, reference="matched")
    ends = find(found, "gap", target=DOCS, arm="block+ends", init="pretrained", rank=0, reference="matched")
    assert block and ends and block.value == pytest.approx(3.57 - 2.354, abs=0.1)
    assert ends.value == pytest.approx(gap(DOCS, "pretrained", 0, "block+ends"), abs=0.1)


def test_targets_of_absolute_readings_come_from_validation_text(results: pd.DataFrame) -> None:
    docs = part(results, DOCS)
    moved = docs.copy()
    validation = (moved["metric"] == "validation_loss") & (moved["phase"] == "result")
    moved.loc[validation, "value"] = moved.loc[validation, "value"].astype(float) + 0.2

    def bits(frame: pd.DataFrame) -> float:
        return next(
            f.where["bits"]
            for f in findings(frame)
            if f.name == "r90" and f.where.get("loss") == "worst_best" and f.where["target"] == DOCS
        )

    assert bits(moved) - bits(docs) == pytest.approx(0.2, abs=1e-3)


def test_r90_is_given_over_the_width_and_with_one_choice_changed(found: list[Finding]) -> None:
    at = {"target": DOCS, "init": "pretrained", "arm": "block"}
    reading, share = find(found, "r90", **at, reading="relative"), find(found, "r90_over_width", **at)
    assert reading and share and share.value == pytest.approx(reading.value / 64)
    changed = {f.where["changed"] for f in found if f.name == "r90_sensitivity" and at.items() <= f.where.items()}
    assert len(changed) >= 3


def test_source_loss_is_read_where_all_have_learned_the_same(found: list[Finding], results: pd.DataFrame) -> None:
    own = [f for f in found if f.name == "source_at_equal_loss" and f.where["target"] == DOCS]
    assert len({f.where["validation_bits"] for f in own}) == 1 and {f.where["init"] for f in own} == {"pretrained"}
    rows = results.query("phase == 'result' and metric == 'validation_loss' and init == 'pretrained' and target == @DOCS")
    last = rows[rows["step"] == rows["step"].max()].astype({"value": float})
    assert own[0].where["validation_bits"] == pytest.approx(last.groupby("seed")["value"].max().mean(), abs=1e-3)
    assert find(found, "contrast", of="source loss at equal target loss", between="rank 1 - everything", target=DOCS) is not None


def test_a_run_that_learned_more_is_read_before_it_forgot_more() -> None:
    """One run forgets a bit for each bit learned, another two: at the loss that both reach they differ by that alone."""
    rows = []
    for trains, final, price in (("lora", 2.0, 1.0), ("full", 1.0, 2.0)):
        for seed in range(3):
            for step, learned in ((0, 4.0), (50, (4.0 + final) / 2), (100, final)):
                phase = "reference" if step == 0 else "result"
                row = {"target": "t", "init": "pretrained", "arm": None, "trains": trains, "rank": None, "seed": seed, "base": seed}
                row |= {"step": step, "phase": phase, "chosen_for": 100}
                rows += [
                    {**row, "metric": "validation_loss", "value": learned},
                    {**row, "metric": "source_loss", "value": 1 + price * (4 - learned)},
                ]
    read = {
        f.where["trains"]: f.value for f in source_at_equal_loss(pd.DataFrame(rows), "t", "pretrained") if f.name == "source_at_equal_loss"
    }
    assert read == pytest.approx({"lora": 3.0, "full": 5.0})  # at 2.0 bits: after two bits learned


def test_r90_of_two_initializations_is_read_at_the_ranks_they_share(results: pd.DataFrame) -> None:
    food = part(results, FOOD)
    few = (food["trains"] == "lora") & food["rank"].isin([2, 4, 16])
    sparse, thinned = food[~(few & (food["init"] == "random"))], food[~few]
    of = {"of": "r90", "between": "pretrained / random", "target": FOOD, "arm": "block"}
    one, other = (find(findings(some), "contrast", **of) for some in (sparse, thinned))
    assert one and other and one.value == pytest.approx(other.value) and one.low == pytest.approx(other.low)


def test_what_results_are_compared_with_are_findings_too(found: list[Finding]) -> None:
    base, drawn = (find(found, "untouched_loss", target=DOCS, init=init) for init in ("pretrained", "random"))
    assert base and drawn and base.low < 3.57 < base.high and drawn.low < 7.94 < drawn.high
    assert find(found, "floor_loss", target=FOOD).value == pytest.approx(0.72) and find(found, "floor_loss", target=DOCS) is None
    update, noise = (find(found, "first_singular_value", target=DOCS, init="pretrained", null=null) for null in ("none", "noise"))
    assert update and noise and update.value > noise.value > 0


def test_cuts_are_read_beside_the_whole_update(found: list[Finding]) -> None:
    at = {"target": DOCS, "init": "pretrained", "arm": "block", "rank": 1}
    best, random = (find(found, "cut_update", **at, directions=which) for which in ("best", "random"))
    contrast = find(found, "contrast", of="loss of the update cut to a rank", **at)
    assert best and random and contrast and contrast.value == pytest.approx(best.value - random.value, abs=1e-6)


def test_tables_are_rectangular_and_an_early_report_has_them_too(results: pd.DataFrame, found: list[Finding]) -> None:
    for made in (found, findings(part(results, DOCS))):
        for table in headline(made):
            assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
        assert answer(made).startswith("What rank 1 costs") and "counted from rank 0" in answer(made)
    assert headline([]) == () and answer([]) == ""


def test_one_seed_one_init_and_diverged_runs_are_read_as_far_as_they_go() -> None:
    assert answer(findings(synthetic(seeds=1, targets=(DOCS,))))
    alone = findings(synthetic(inits=("pretrained",), targets=(DOCS,)))
    assert not [f for f in alone if f.name == "contrast" and "pretrained" in f.where["between"]] and "was not compared" in answer(alone)
    frame = synthetic(targets=(DOCS,))
    lost = (frame["init"] == "random") & (frame["phase"] == "result") & (frame["seed"] == 1)
    frame.loc[lost, "value"] = None
    contrast = find(findings(frame), "contrast", of="gap to matched", between="pretrained - random", rank=1)
    assert contrast and contrast.n == 2 and np.isfinite(contrast.value)
