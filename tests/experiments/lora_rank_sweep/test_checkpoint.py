"""A sweep from one base that somebody else pretrained, with fewer parts: every sentence says with what is compared and what is left out."""

import re
from collections.abc import Mapping

import pandas as pd
import pytest

from experiments import lora_rank_sweep
from experiments.lora_rank_sweep.headlines import answer, headline
from experiments.lora_rank_sweep.readings import findings
from research.figures.style import Captioned
from research.findings import Finding, find
from tests.synthetic import planted, synthetic, texts_in
from tests.synthetic_checkpoint import TARGET, WORD, of_a_checkpoint

SMALL = "8 KB of held-out text carry no interval over documents"
LEFT_OUT = {"cut_updates", "update_spectra", "learning_curves", "source_at_equal_loss"}
# What would be wrong to say: of several bases, of matrices that were not trained alone, of pretraining as if it had been seen.
WRONG = re.compile(
    r"over (\d )?bases|other pretrained|from a base of its own|same matrices|of pretraining's|factor of pretraining|cutting it"
)


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return of_a_checkpoint()


@pytest.fixture(scope="module")
def found(results: pd.DataFrame) -> list[Finding]:
    return findings(results)


@pytest.fixture(scope="module")
def drawn(results: pd.DataFrame) -> Mapping[str, Captioned]:
    return lora_rank_sweep.figures(results)


def test_gaps_are_to_training_everything_over_seeds_of_the_one_base(found: list[Finding]) -> None:
    gap = find(found, "gap", target=TARGET, init="pretrained", rank=8)
    truth = planted(TARGET, "pretrained", "block", "lora", 8) - planted(TARGET, "pretrained", None, "full")
    assert gap and gap.where["reference"] == "full" and gap.n == 3 and gap.value == pytest.approx(truth, abs=0.05)
    assert "over 3 seeds of one base: the base is left out, documents left out" in gap.note and SMALL in gap.note
    drawn = find(found, "gap", target=TARGET, init="random", rank=8)
    assert drawn and "over 3 bases" in drawn.note  # random weights are each seed's own
    assert all(f.where.get("reference", "full") == "full" for f in found)
    relative = [f for f in found if f.name in ("share_of_gain", "r90", "r90_sensitivity") and f.where.get("reading") != "absolute"]
    assert relative and all(f.where["reference"] == "full" for f in relative)


def test_untouched_weights_of_one_base_are_one_reading(found: list[Finding]) -> None:
    untouched = find(found, "untouched_loss", init="pretrained")
    assert untouched and untouched.n == 1 and untouched.low is None and "no interval over one base" in untouched.note


def test_the_answer_names_the_base_and_what_it_leaves_out(found: list[Finding]) -> None:
    words = answer(found)
    assert words.startswith(f"The base is {WORD}, pretrained elsewhere. What rank 1 costs against training everything")
    assert "gain of training everything that it recovers" in words and "in 1 of 1 comparisons" in words
    assert "over 3 seeds of one base" in words and "the base is left out" in words and words.endswith(f"{SMALL}.")
    assert not WRONG.search(words)


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_sweep_from_pretrained_weights_alone_names_its_base_too(seeds: int) -> None:
    alone = synthetic(inits=("pretrained",), ranks=(1, 8), targets=(TARGET,), bases=1, seeds=seeds)
    found = findings(of_a_checkpoint(alone))
    assert answer(found).startswith(f"The base is {WORD}, pretrained elsewhere. What a rank costs was not compared")
    assert all(not WRONG.search(table.caption) for table in headline(found))


@pytest.mark.parametrize("small", [True, False])
def test_a_single_seed_has_no_interval_over_bases(small: bool) -> None:
    one = synthetic(inits=("pretrained", "random"), ranks=(1, 8), targets=(TARGET,), bases=1, seeds=1)
    found = findings(of_a_checkpoint(one, small=small))
    end = (
        f"There is one seed of one base and no interval ({SMALL})."
        if small
        else "over documents alone: there is one base, which is left out."
    )
    assert answer(found).endswith(end)
    words = (
        f"no interval over one base; documents are left out ({SMALL})" if small else "95 % interval over documents alone: there is one base"
    )
    tables = headline(found)
    assert all(f"[{words}]" in table.caption for table in tables[:3])
    assert not any(WRONG.search(table.caption) for table in tables)


def test_tables_have_no_columns_of_what_was_not_run(found: list[Finding]) -> None:
    tables = headline(found)
    losses, costs, shares, directions = tables[:4]
    assert losses.columns[4:] == ("rank 1", "rank 8", "everything") and len(directions.columns) == 4
    assert costs.caption.endswith("by themselves.")
    assert all("of one base, which is left out" in table.caption and SMALL in table.caption for table in (losses, costs, shares))
    assert "single tokens" in losses.caption and "frequencies of tokens" in shares.caption
    for table in tables:
        assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
        assert not WRONG.search(" ".join((*table.columns, table.caption)))


def test_figures_of_what_was_not_run_are_left_out_and_the_others_say_what_they_compare(drawn: Mapping[str, Captioned]) -> None:
    every = lora_rank_sweep.figures(synthetic(inits=("pretrained", "random"), ranks=(1,), seeds=1)).keys()
    assert every - drawn.keys() == LEFT_OUT and len(every) == 11
    for name, (figure, caption) in drawn.items():
        assert all(axes.has_data() for axes in figure.axes if axes.get_visible()), name
        words = " ".join([caption, *texts_in(figure)])
        assert not WRONG.search(words), (name, WRONG.search(words))
        assert not any(missing in caption for missing in LEFT_OUT), name
    assert "everything" in texts_in(drawn["gap_against_rank"].figure)
    assert [tick.get_text() for tick in drawn["loss_against_rank"].figure.axes[0].get_xticklabels()] == [
        "untouched",
        "1",
        "8",
        "everything",
    ]
    assert "Rates were tried for 250 steps, results for 600." in drawn["learning_rates"].caption


def test_the_figure_of_costs_is_of_full_fine_tuning_and_counts_by_formula_alone(drawn: Mapping[str, Captioned]) -> None:
    left = drawn["ledger"].figure.axes[0]
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["full fine-tuning", "LoRA rank 1", "LoRA rank 8"]
    assert "1/1.48" in texts_in(left) and "pretraining was not measured here" in drawn["ledger"].caption
    costs = drawn["cost_per_arm"].figure
    assert len(costs.axes[2].patches) == 3 and costs.axes[2].get_xscale() == "linear" and not costs.legends


def test_a_larger_text_has_its_half_over_documents() -> None:
    found = findings(of_a_checkpoint(small=False))
    one = find(found, "contrast", of="gap to full", between="pretrained - random", rank=8)
    assert one and "over 3 seeds of one base: the base is left out" in one.note and "groups of documents" in one.note
    words = answer(found)
    assert words.endswith("the base is left out; arms share the base and the documents.") and "KB" not in words
    assert "seeds of one base, which is left out, and over documents]" in headline(found)[0].caption


def test_one_base_pretrained_here_is_said_to_be_left_out_too() -> None:
    found = findings(synthetic(inits=("pretrained", "random"), ranks=(1, 8), bases=1))
    words = answer(found)
    assert words.startswith("What rank 1 costs against full rank in the same matrices") and "over 3 seeds of one base" in words
    reading = find(found, "r90", init="pretrained", reading="relative")
    assert reading and reading.n == 3 and "of one base: the base is left out" in reading.note
    contrast = find(found, "contrast", of="r90")
    assert contrast and "bases" not in contrast.note


def test_the_table_of_losses_says_in_which_windows_text_was_read(results: pd.DataFrame) -> None:
    own = {**results[results["metric"] == "unigram_loss"].iloc[0].to_dict(), "metric": "window", "value": 256, "unit": "tokens"}
    found = findings(pd.concat([results, pd.DataFrame([own]).astype(object)], ignore_index=True))
    window = find(found, "window", target=TARGET)
    assert window and window.value == 256 and window.unit == "tokens"
    assert "Read in windows of 256 tokens that do not overlap." in headline(found)[0].caption
