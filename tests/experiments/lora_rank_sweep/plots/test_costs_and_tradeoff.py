"""Costs and the trade-off: each panel shows its own records."""

import numpy as np
import pytest

from experiments.lora_rank_sweep.plots.costs import cost_per_arm
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
