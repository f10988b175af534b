"""Figures show what was planted: a panel for each place, a mark for each setting, theories where they belong; nothing, where nothing is."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from experiments.learning_rate_law import figures
from experiments.learning_rate_law.plots import laws, losses, rates
from experiments.learning_rate_law.readings import findings
from research.figures import style
from tests.experiments.learning_rate_law import planted


@pytest.fixture(scope="module")
def frame():
    return planted.records()


@pytest.fixture(scope="module")
def found(frame):
    return findings(frame)


def points(axes):
    """The places of all marks with error bars of a panel, (n, 2)."""
    return np.concatenate([np.asarray(container[0].get_xydata(), float) for container in axes.containers])


def test_best_rates_stand_over_their_ranks_and_full_training_is_a_line(found):
    panels = rates.against_rank(found).axes
    assert len(panels) == len(planted.PLACES)
    marks = points(panels[0])
    assert len(marks) == 12
    for rank, alpha in planted.settings():
        there = marks[marks[:, 0] == rank]
        assert np.abs(np.log(there[:, 1]) - planted.best(rank, alpha)).min() < 0.1
    full = [line for line in panels[0].lines if line.get_linestyle() == "--"]
    assert full and np.log(full[0].get_ydata()[0]) == pytest.approx(np.log(0.1) - 4, abs=0.1)


def test_against_curvature_the_line_has_the_slope_of_its_law(found):
    axes = rates.against_curvature(found).axes[0]
    marks = points(axes)
    assert len(marks) == 12
    assert sorted(1 / marks[:, 0]) == pytest.approx(sorted([32, 16, 4, 1, 1, 1, 1, 1, 8, 8 / 2**0.5, 8 / 8**0.5, 8 / 32**0.5]), rel=1e-3)
    (line,) = (line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None")
    x, y = np.log(np.asarray(line.get_xydata(), float)).T
    assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(1)


def test_laws_have_a_panel_for_what_was_left_out_and_a_mark_for_each_place(found):
    figure = laws.missed(found)
    assert [axes.get_title() for axes in figure.axes] == list(laws.SAID.values())
    first, second, third, fourth, _ = (points(axes) for axes in figure.axes)
    assert len(first) == 10 * 3 and len(second) == 9 * 3 and len(third) == 8 * 3
    assert len(fourth) == 10
    assert (first[:, 0] >= 1).all()


def test_the_plane_has_measured_powers_filled_and_those_of_the_eigenvalue_hollow(found):
    axes = laws.powers(found).axes[0]
    marks = points(axes)
    assert len(marks) == 6
    assert np.abs(marks - [0.3, -0.8]).sum(axis=1).min() < 0.1
    assert np.abs(marks - [0.0, -1.0]).sum(axis=1).min() < 0.01  # the planted eigenvalue is the scale
    assert any(np.allclose(line.get_xydata(), [[-0.5, -1.0]]) for line in axes.lines)


def test_curves_have_the_losses_of_the_records_and_their_marks_lie_on_them(frame, found):
    figure = losses.losses(frame, found)
    assert len(figure.axes) == 9
    axes = figure.axes[0]
    curves = [line.get_xydata() for line in axes.lines if len(line.get_xdata()) == len(planted.FACTORS)]
    assert len(curves) == 4
    own = frame[(frame["metric"] == "target_loss") & (frame["rank"] == 1) & (frame["alpha"] == 32) & (frame["target"] == "first")]
    own = own[own["init"] == "pretrained"].groupby("learning_rate")["value"].mean()
    assert any(np.allclose(curve[:, 1], own.to_numpy(float)) for curve in curves)
    assert len(points(axes)) == 4


def test_every_figure_is_named_captioned_and_drawn_and_absent_without_records(frame):
    drawn = figures(frame)
    assert list(drawn) == ["best_rates", "powers", "laws", "curvature", "losses"]
    for captioned in drawn.values():
        assert captioned.caption.endswith(".")
        assert imread(io.BytesIO(style.png(captioned.figure))).std() > 0.02
    assert figures(frame[frame["phase"] == "reference"]) == {}


def test_an_earlier_reading_is_drawn_nowhere(frame, found):
    middle = frame[(frame["metric"] == "target_loss")].assign(metric="budget_loss", step=50)
    late = frame[(frame["metric"] == "target_loss")].assign(metric="budget_loss")
    both = findings(planted.first_place(pd.concat([frame, middle, late], ignore_index=True)))
    assert {f.where.get("step") for f in both if f.name == "best_rate"} == {50, 100}
    drawn = figures(planted.first_place(pd.concat([frame, middle], ignore_index=True)))
    assert len(points(drawn["best_rates"].figure.axes[0])) == 12
    same = [f for f in both if f.name == "contrast" and f.where["what"] == "rate_exponent" and "step" in f.where["between"]]
    assert len(same) == 3 and all(abs(f.value) < 0.05 for f in same)
