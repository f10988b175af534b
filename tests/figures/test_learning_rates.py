"""The choice of learning rates: rings where the records say, and warnings where they must be."""

import numpy as np
import pytest
from matplotlib.text import Text

from research.figures.learning_rates import EDGE, RING, caption, loss_against_learning_rate
from tests.synthetic import BEST, TARGETS, mean_of, planted, star


def _marks(axes, color, marker):
    lines = [line for line in axes.lines if line.get_color() == color and line.get_marker() == marker and line.get_linestyle() == "None"]
    return [tuple(point) for line in lines for point in zip(*line.get_data(), strict=True)]


def test_chosen_points_are_ringed_where_they_lie(results):
    axes = loss_against_learning_rate(results).axes[0]
    rings = _marks(axes, RING, "o")
    assert len(rings) == 3  # rank 16, matched, full; rank 1 is on the edge
    assert any(
        np.isclose(rate, BEST["lora"]) and abs(loss - planted("stdlib:docs", "pretrained", "block", "lora", 16)) < 0.05
        for rate, loss in rings
    )


def test_choice_on_the_edge_is_set_apart(results):
    axes = loss_against_learning_rate(results).axes[0]
    height = mean_of(results, phase="select", init="pretrained", rank=1, learning_rate=3e-2)
    assert _marks(axes, EDGE, "s") == [pytest.approx((3e-2, height))]
    assert "3 of them on the grid's edge" in caption(results)
    assert "none of them on the grid's edge" in caption(results[results["on_edge"] != True])  # noqa: E712


def test_caption_says_where_other_ranks_have_their_rates_from(results, make_results):
    assert "theirs from these" in caption(results)
    assert "theirs from these" not in caption(make_results(ranks=(1, 16), seeds=1))


def test_diverged_members_are_crosses(results):
    figure = loss_against_learning_rate(results)
    crosses = [sum(text.get_text() == "×" for text in axes.findobj(Text)) for axes in figure.axes]
    assert crosses == [0, 0, 1]
    assert "diverged" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_wild_losses_do_not_squeeze_the_axis(results):
    frame = results.copy()
    wild = (frame["phase"] == "select") & (frame["learning_rate"] == 3e-2) & (frame["rank"] == 16) & (frame["init"] == "pretrained")
    frame.loc[wild, "value"] = 40.0
    axes = loss_against_learning_rate(frame).axes[0]
    assert axes.get_ylim()[1] < 6
    assert "▲" in [text.get_text() for text in axes.findobj(Text)]


def test_one_panel_per_init_and_arm(make_results):
    figure = loss_against_learning_rate(make_results(arms=("block", "all"), seeds=1))
    assert [axes.get_title() for axes in figure.axes if axes.get_visible()][:4] == [
        "pretrained\nblock", "shuffled\nblock", "random\nblock", "pretrained\nall",
    ]  # fmt: skip


def test_a_target_has_panels_of_its_own_and_none_is_blank(make_results):
    frame = star(make_results(inits=("pretrained", "rotated", "random"), arms=("block", "all"), ranks=(1, 8, 16), seeds=1, targets=TARGETS))
    titles = [axes.get_title().replace("\n", " ") for axes in loss_against_learning_rate(frame).axes if axes.get_visible()]
    assert titles[3] == "pretrained block · generated:restaurants" and titles[6:] == [
        "pretrained all · stdlib:docs",
        "random all · stdlib:docs",
    ]


def test_what_lies_above_the_axis_is_marked_within_it(results):
    frame = results.copy()
    frame.loc[(frame["phase"] == "select") & (frame["learning_rate"] < 2e-3), "value"] = 40.0
    axes = loss_against_learning_rate(frame).axes[0]
    marked = [text.xy[0] for text in axes.texts if text.get_text() == "▲"]
    assert marked and axes.get_xlim()[0] < min(marked) == 3e-4
