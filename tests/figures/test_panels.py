"""Learning curves, spectra, costs and the trade-off: each panel shows its own records."""

import numpy as np
import pytest
from matplotlib.text import Text

from research.figures.costs import cost_per_arm
from research.figures.learning_curves import learning_curves
from research.figures.spectra import update_spectra
from research.figures.tradeoff import source_against_target


def _texts(axes):
    return [text.get_text() for text in axes.findobj(Text)]


def _mean(results, **where):
    rows = results
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return rows["value"].mean()


def test_learning_curves_show_smallest_and_largest_rank_and_references(results):
    figure = learning_curves(results)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["rank 1", "rank 32", "everything trained", "same matrices, full rank"]
    ends = [line.get_ydata()[-1] for line in figure.axes[0].lines if len(line.get_xdata()) == 5]
    where = {"phase": "result", "metric": "target_loss", "step": 600, "init": "pretrained"}
    assert ends[0] == pytest.approx(_mean(results, **where, rank=1)) and ends[3] == pytest.approx(_mean(results, **where, trains="matched"))


def test_learning_curves_keep_their_axis_when_a_member_fails(results):
    frame = results.copy()
    frame.loc[(frame["phase"] == "result") & (frame["init"] == "random") & (frame["rank"] == 1), "value"] = 300.0
    assert learning_curves(frame).axes[0].get_ylim()[1] < 8


def test_step_zero_has_no_place_on_a_log_axis(results):
    extra = results[(results["phase"] == "result") & (results["step"] == 50)].assign(step=0, value=12.0)
    frame = learning_curves(type(results)(results.to_dict("records") + extra.to_dict("records")))
    assert frame.axes[0].get_xlim()[0] > 1


def test_spectra_show_update_and_noise(results):
    axes = update_spectra(results).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    lines = {line.get_linestyle(): line for line in axes.lines if line.get_linewidth() > 1}
    assert lines["-"].get_ydata()[0] > lines["--"].get_ydata()[0]
    expected = _mean(results, phase="spectrum", init="pretrained", null="noise", index=1)
    assert lines["--"].get_ydata()[0] == pytest.approx(expected)


def test_spectra_cut_off_numerical_zeros(results):
    frame = results.copy()
    frame.loc[(frame["phase"] == "spectrum") & (frame["index"] > 40) & (frame["null"] == "none"), "value"] = 1e-9
    assert update_spectra(frame).axes[0].get_ylim()[0] > 1e-5


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
    assert _texts(figure.axes[2]).count("–") == 8


def test_tradeoff_puts_target_across_and_source_up(results):
    axes = source_against_target(results).axes[0]
    where = {"phase": "result", "step": 600, "init": "pretrained", "trains": "full"}
    x, y = (_mean(results, metric=metric, **where) for metric in ("target_loss", "source_loss"))
    points = [point for line in axes.lines for point in zip(*line.get_data(), strict=True)]
    assert any(np.allclose(point, (x, y)) for point in points)


def test_tradeoff_names_the_untouched_that_is_too_far(results):
    figure = source_against_target(results)
    assert "untouched (12.7, 12.9) ↗" in _texts(figure.axes[1])
    near = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert len(near) == 1 and near[0].get_xdata()[0] == pytest.approx(3.57)
