"""Learning curves and spectra: each panel shows its own records."""

import pandas as pd
import pytest

from research.figures.learning_curves import learning_curves
from research.figures.spectra import update_spectra
from tests.synthetic import TARGETS, mean_of, star


def test_learning_curves_show_smallest_and_largest_rank_and_references(results):
    figure = learning_curves(results)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["rank 1", "rank 32", "everything trained", "same matrices, full rank"]
    ends = [line.get_ydata()[-1] for line in figure.axes[0].lines if len(line.get_xdata()) == 5]
    where = {"phase": "result", "metric": "budget_loss", "step": 600, "init": "pretrained"}
    means = mean_of(results, **where, rank=1), mean_of(results, **where, trains="matched")
    assert (ends[0], ends[3]) == pytest.approx(means)


def test_learning_curves_keep_their_axis_when_a_member_fails(results):
    frame = results.copy()
    frame.loc[(frame["phase"] == "result") & (frame["init"] == "random") & (frame["rank"] == 1), "value"] = 300.0
    assert learning_curves(frame).axes[0].get_ylim()[1] < 8


def test_a_panel_shows_its_own_largest_rank_and_its_targets_floor(make_results):
    frame = star(make_results(inits=("pretrained", "random"), arms=("block", "all"), seeds=1, targets=TARGETS))
    figure = learning_curves(frame)
    assert [text.get_text() for text in figure.legends[0].get_texts()][:3] == ["rank 1", "rank 8", "rank 32"]
    titles = {axes.get_title().split("\n")[1]: axes for axes in figure.axes if axes.get_visible()}
    curves = {name: [line for line in axes.lines if len(line.get_xdata()) == 5] for name, axes in titles.items()}
    assert [len(lines) for lines in curves.values()] == [4, 4, 4]
    assert titles["block · generated:restaurants"].get_ylim()[0] < 0.72 < titles["block · stdlib:docs"].get_ylim()[0]
    assert titles["block · stdlib:docs"].get_ylim() == titles["all · stdlib:docs"].get_ylim()


def test_step_zero_has_no_place_on_a_log_axis(results):
    extra = results[(results["phase"] == "result") & (results["step"] == 50)].assign(step=0, value=12.0)
    frame = learning_curves(type(results)(results.to_dict("records") + extra.to_dict("records")))
    assert frame.axes[0].get_xlim()[0] > 1


def test_spectra_show_update_and_noise(results):
    axes = update_spectra(results).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    lines = {line.get_linestyle(): line for line in axes.lines if line.get_linewidth() > 1}
    assert lines["-"].get_ydata()[0] > lines["--"].get_ydata()[0]
    expected = mean_of(results, phase="spectrum", init="pretrained", null="noise", index=1)
    assert lines["--"].get_ydata()[0] == pytest.approx(expected)


def test_spectra_cut_off_numerical_zeros(results):
    frame = results.copy()
    frame.loc[(frame["phase"] == "spectrum") & (frame["index"] > 40) & (frame["null"] == "none"), "value"] = 1e-9
    assert update_spectra(frame).axes[0].get_ylim()[0] > 1e-5


def test_spectra_are_drawn_at_the_last_step_and_by_target(results):
    rows = results[results["phase"] == "spectrum"]
    last = rows[rows["step"] == rows["step"].max()]
    assert len(last) < len(rows)
    drawn, once = ([line.get_ydata()[0] for line in update_spectra(some).axes[0].lines] for some in (results, last))
    assert drawn == once
    two = update_spectra(pd.concat([results, rows.assign(target="restaurants", value=rows["value"] / 2)]))
    assert len(two.axes) == 2 * len(update_spectra(results).axes)
    assert two.axes[3].lines[0].get_ydata()[0] == pytest.approx(drawn[0] / 2)
