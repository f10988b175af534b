"""Figures of data show what was planted: both arms' losses, D_E at their height, the law's lines; and say where there is nothing."""

import io

import pytest
from matplotlib.image import imread

from experiments.transfer import figures, findings
from experiments.transfer.plots import data
from research.figures import style
from tests.experiments.transfer import planted_data

MARKS = {"amounts": ">", "transferred": r"$\uparrow$"}  # of bounds


@pytest.fixture(scope="module")
def found():
    return findings(planted_data.records())


def test_each_size_has_both_curves_and_a_line_to_the_data_that_scratch_needs(found):
    panels = data.amounts(found).axes
    assert len(panels) == len(planted_data.SIZES)
    worth = planted_data.transferred()
    for axes, size in zip(panels, planted_data.SIZES, strict=True):
        scratch, tuned = (container[0].get_xydata() for container in axes.containers[-2:])
        assert scratch[:, 1] == pytest.approx([planted_data.loss(x) for x in (*planted_data.AMOUNTS, *planted_data.FURTHER)], rel=0.05)
        assert tuned[:, 1] == pytest.approx([planted_data.loss(x + worth[size, x]) for x in planted_data.AMOUNTS], rel=0.05)
        across = [line.get_xydata() for line in axes.lines if len(line.get_xydata()) == 2 and len(set(line.get_ydata())) == 1]
        for (start, end), height in zip((line[:, 0] for line in across), tuned[:, 1], strict=True):
            assert end == pytest.approx(start + worth[size, int(start)], rel=0.3)
            assert any(line[0, 1] == height for line in across)


def test_points_and_lines_of_the_law_stand_where_they_were_planted(found):
    left, right = data.transferred(found).axes
    worth = planted_data.transferred()
    lines = [line.get_xydata() for line in left.lines if len(line.get_xydata()) == len(planted_data.AMOUNTS)]
    for line, size in zip(lines, planted_data.SIZES, strict=False):
        assert line[:, 1] == pytest.approx([worth[size, int(x)] for x in line[:, 0]], rel=0.3)
    assert len(lines) == len(planted_data.SIZES) + 1
    drawn = [container[0].get_ydata()[0] for container in right.containers]
    assert drawn == pytest.approx([1 + value / amount for (_, amount), value in worth.items()], rel=0.3)


def test_bounds_are_arrows_and_every_figure_is_captioned_and_drawn():
    beyond = planted_data.records({key: 1e4 * value for key, value in planted_data.transferred().items()})
    drawn = figures(beyond)
    arrows = {name: [line for line in drawn[name].figure.axes[0].lines if line.get_marker() == mark] for name, mark in MARKS.items()}
    assert {name: len(some) for name, some in arrows.items()} == {"amounts": 3, "transferred": 9}
    usual = figures(planted_data.records())
    assert list(usual) == ["amounts", "transferred"]
    for captioned in usual.values():
        assert captioned.caption.endswith(".") and imread(io.BytesIO(style.png(captioned.figure))).std() > 0.02
    none = planted_data.records()
    assert figures(none[none["phase"] == "reference"]) == {}
