"""Figures show what was planted: a curve for each arm at its losses, published curves beside them; nothing, where nothing is."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from experiments.transfer import figures, findings, published
from experiments.transfer.plots import curves
from research.figures import style
from tests.experiments.transfer import planted


@pytest.fixture(scope="module")
def found():
    return findings(planted.records())


def heights(axes):
    """The values of each curve with error bars of a panel."""
    return [np.asarray(container[0].get_ydata(), float) for container in axes.containers]


def test_each_arm_has_its_curve_and_levels_have_lines(found):
    own, theirs = curves.transfer(found).axes
    known = planted.losses()
    for curve, name in zip(heights(own), curves.CUT, strict=True):
        assert curve == pytest.approx([known[name, n] for n in planted.BLOCKS], abs=0.06)
    lines = [line.get_ydata()[0] for line in own.lines if len(set(line.get_ydata())) == 1 and len(line.get_ydata()) == 2]
    assert sorted(lines) == pytest.approx([planted.TUNED, planted.MATCHED, planted.SCRATCH], abs=0.06)
    drawn = {tuple(np.round(line.get_ydata(), 4)) for line in theirs.lines}
    assert tuple(np.round([100 * (published.BASE - value) for value in published.ACCURACY["AnB"]], 4)) in drawn


def test_differences_have_a_panel_each_and_what_was_planted_in_it(found):
    panels = curves.differences(found).axes
    values = [heights(axes)[0] for axes in panels]
    assert values[0] == pytest.approx([planted.SPECIAL * n for n in planted.BLOCKS], abs=0.03)
    assert values[1] == pytest.approx([-planted.WORTH] * 4, abs=0.03)
    assert values[2] == pytest.approx(list(planted.CUT.values()), abs=0.03)


def test_every_figure_is_named_captioned_and_drawn_and_absent_without_records():
    frame = planted.records()
    drawn = figures(frame)
    assert list(drawn) == ["transfer", "differences", "kept", "shares"]
    for captioned in drawn.values():
        assert captioned.caption.endswith(".")
        assert imread(io.BytesIO(style.png(captioned.figure))).std() > 0.02
    assert figures(frame[frame["phase"] == "reference"]) == {}
