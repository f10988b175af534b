"""What a sweep over ranks says beside its curves, the answer, and the tables with which its report begins."""

import pytest

from experiments.lora_rank_sweep.headlines import headline
from experiments.lora_rank_sweep.readings import answer, findings
from research.findings import Finding, find
from tests.synthetic import synthetic


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(synthetic())


def test_what_results_are_compared_with_are_findings_too(found: list[Finding]) -> None:
    base, drawn = (find(found, "untouched_loss", init=init) for init in ("pretrained", "random"))
    assert base and (base.value, base.low, base.n) == (pytest.approx(3.57), None, 1) and "one base" in base.note
    assert drawn and drawn.low is not None and drawn.low < 7.94 < drawn.high and drawn.n == 3
    assert [f.value for f in found if f.name in ("unigram_loss", "bigram_loss")] == [4.83, 3.44]
    update, noise = (find(found, "first_singular_value", init="pretrained", null=null) for null in ("none", "noise"))
    assert update and noise and update.value > noise.value > 0 and update.low < update.value < update.high


def test_without_spectra_there_is_no_singular_value() -> None:
    results = synthetic(inits=("pretrained",), ranks=(1, 4), seeds=2).query("phase != 'spectrum'").drop(columns=["index", "null"])
    assert find(findings(results), "first_singular_value") is None


def test_the_answer_compares_the_smallest_rank_with_training_everything(found: list[Finding]) -> None:
    first, second = answer(found).split(". Rank for")
    assert first.startswith("LoRA of rank 1 from pretrained weights reaches 2.6") and "from shuffled weights and 3." in first
    assert second.count("from ") == 3 and second.endswith(".")
    assert answer([]) == ""


def test_the_table_has_a_row_for_each_initialization_and_three_ranks(found: list[Finding]) -> None:
    losses, directions = headline(found)
    assert losses.columns == ("from", "untouched", "rank 1", "rank 4", "rank 32", "same matrices, full rank", "everything")
    assert [row[0] for row in losses.rows] == [row[0] for row in directions.rows] == ["pretrained", "shuffled", "random"]
    assert losses.rows[0][1] == "3.57" and losses.rows[0][2].startswith("2.6") and "[" in losses.rows[0][2]
    assert "4.83" in losses.caption and "3 seeds" in losses.caption
    assert all(len(row) == len(table.columns) for table in (losses, directions) for row in table.rows)
    assert headline([]) == ()


def test_several_arms_are_told_apart_and_few_ranks_all_shown() -> None:
    losses, _ = headline(findings(synthetic(inits=("pretrained", "random"), arms=("block", "all"), ranks=(1, 4), seeds=2)))
    assert [row[0] for row in losses.rows] == ["pretrained, block", "random, block", "pretrained, all", "random, all"]
    assert losses.columns[2:4] == ("rank 1", "rank 4")
    assert losses.rows[0][2] != losses.rows[2][2] and losses.rows[0][-1] == losses.rows[2][-1]
