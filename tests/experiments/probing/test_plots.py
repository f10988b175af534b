"""Figures are drawn from findings: a panel a task, a line an initialization, and what is missing stands in the caption."""

import pytest

from experiments.probing.plots.every import figures
from experiments.probing.readings import findings
from research.figures import style
from research.findings import Finding
from tests.experiments.probing.planted import records


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records())


def test_every_figure_is_drawn_and_has_a_caption(found: list[Finding]) -> None:
    made = figures(found)
    assert list(made) == ["readable", "less_than", "selectivity", "expected_layers"]
    assert all(style.png(one.figure).startswith(b"\x89PNG") and one.caption.endswith(".") for one in made.values())


def test_a_line_goes_through_what_each_depth_says(found: list[Finding]) -> None:
    axes = figures(found)["readable"].figure.axes
    assert [one.get_title() for one in axes[:3]] == ["early", "late", "flat"]
    drawn = {tuple(round(float(y), 1) for y in line.get_ydata()) for line in axes[1].lines}
    assert (0.4, 0.4, 0.5, 0.9) in drawn and (0.4, 0.4, 0.4, 0.4) in {tuple(round(y, 1) for y in some) for some in drawn if len(some) == 4}


def test_differences_lie_where_they_are(found: list[Finding]) -> None:
    (axes,) = figures(found)["less_than"].figure.axes
    read = {round(float(x), 2) for line in axes.lines for x in line.get_xdata()}
    assert {-0.7, -0.4, 0.0} <= read
    assert [label.get_text() for label in axes.get_yticklabels()] == ["early", "late", "flat"]


def test_tasks_without_a_depth_are_named(found: list[Finding]) -> None:
    made = figures(found)["expected_layers"]
    assert "flat (pretrained)" in made.caption and "early (pretrained)" not in made.caption
    assert any(text.get_text() == "none" for text in made.figure.axes[0].texts)
    assert {1.0, 2.8} <= {round(float(x), 1) for line in made.figure.axes[0].lines for x in line.get_xdata()}


def test_without_findings_there_are_no_figures() -> None:
    assert figures([]) == {}
