"""Costs and the trade-off: each panel shows its own records."""

import numpy as np
import pytest

from experiments.lora_rank_sweep.plots.costs import cost_per_arm
from experiments.lora_rank_sweep.plots.ledger import caption, ledger
from experiments.lora_rank_sweep.plots.tradeoff import source_against_target
from tests.synthetic import mean_of, texts_in


def test_costs_show_each_count_by_formula_and_compiled(results):
    figure = cost_per_arm(results)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [*(f"rank {2**i}" for i in range(6)), "same matrices, full rank", "everything trained"]
    assert [patch.get_width() for patch in figure.axes[0].patches][:2] == [1024, 2048]
    assert len(figure.axes[2].patches) == 2 * len(names)
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log", "linear"]


def test_cost_that_could_not_be_had_is_a_dash(results):
    frame = results.copy()
    frame.loc[frame["metric"] == "flops_per_token_compiled", "value"] = None
    figure = cost_per_arm(frame)
    assert texts_in(figure.axes[2]).count("–") == 8


def test_the_ledger_puts_factors_end_to_end(results):
    figure = ledger(results)
    left = figure.axes[0]
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == ["pretraining", "full fine-tuning", *(f"LoRA rank {2**i}" for i in range(6)), "same matrices, full rank"]
    tokens, step = left.patches[2 * 2 : 2 * 2 + 2]
    assert (tokens.get_x(), tokens.get_x() + tokens.get_width()) == pytest.approx((0.0375, 1.0))
    factor = (4 * 115_000 + 6 * 1024) / (6 * 115_000)
    assert (step.get_x(), step.get_x() + step.get_width()) == pytest.approx((0.0375 * factor, 0.0375))
    assert left.lines[2].get_xdata()[0] == pytest.approx(0.0375 * factor) and "1/39.5" in texts_in(left)
    held = [line.get_xdata()[0] for line in figure.axes[1].lines if line.get_marker() == "D"]
    assert held[:3] == pytest.approx([1.0, 1.0, 1024 / 140_544])
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log"]


def test_the_ledger_s_caption_says_what_multiplies_and_what_does_not(results):
    words = caption(results)
    assert "tokens (1/26.7), times FLOPs a token, make the FLOPs" in words and "no factors of the FLOPs" in words
    assert "a choice, not a finding" in words


def test_a_ledger_without_pretraining_says_what_it_needs(results):
    figure = ledger(results[results["trains"] != "pretraining"])
    assert not figure.axes and "pretraining" in texts_in(figure)[0]


def test_tradeoff_puts_target_across_and_source_up(results):
    axes = source_against_target(results).axes[0]
    where = {"phase": "result", "step": 600, "init": "pretrained", "trains": "full"}
    x, y = (mean_of(results, metric=metric, **where) for metric in ("target_loss", "source_loss"))
    points = [point for line in axes.lines for point in zip(*line.get_data(), strict=True)]
    assert any(np.allclose(point, (x, y)) for point in points)


def test_tradeoff_names_the_untouched_that_is_too_far(results):
    figure = source_against_target(results)
    assert "untouched (12.7, 12.9) ↗" in texts_in(figure.axes[1])
    near = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert len(near) == 1 and near[0].get_xdata()[0] == pytest.approx(3.57, abs=0.05)
