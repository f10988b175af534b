"""Figures of planted ranks: every case is drawn, and what is not reached stands apart."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.planted_rank import plots
from research.findings import Estimate, finding

CASES = [("none", "flat", 1, 1.0), ("none", "decaying", 4, 4.0), ("zero", "flat", 0, 0.0), ("full_rank", "flat", 48, None)]


@pytest.fixture
def estimates() -> pd.DataFrame:
    columns = ["decoy", "spectrum", "planted_rank", "value", "strength", "seed", "tolerance", "largest"]
    return pd.DataFrame([(*case, 1e-4, seed, 0.1, 6) for case in CASES for seed in (0, 1)], columns=columns)


@pytest.fixture
def results() -> pd.DataFrame:
    rows = []
    for decoy, spectrum, planted, _ in CASES:
        case = {"decoy": decoy, "spectrum": spectrum, "planted_rank": planted, "strength": 1e-4}
        for seed in (0, 1):
            rows.append({**case, "phase": "reference", "metric": "kl", "rank": 0, "seed": seed, "step": 0, "value": 1.0})
            rows += [
                {**case, "phase": "result", "trains": "lora", "metric": "kl", "rank": r, "seed": seed, "step": 9, "value": 1 / r**3}
                for r in range(1, 7)
            ]
        rows.append({**case, "phase": "choice", "metric": "best_learning_rate", "rank": 1, "value": 0.01})
    return pd.DataFrame(rows)


def ticks(figure: Figure, axis: str) -> dict[str, float]:
    found = getattr(figure.axes[0], f"{axis}axis")
    return {label.get_text(): place for label, place in zip(found.get_ticklabels(), found.get_ticklocs(), strict=True)}


def test_points_stand_at_their_ranks_and_what_is_not_reached_above_them(estimates: pd.DataFrame) -> None:
    figure = plots.estimated_against_planted(estimates)
    drawn = {(round(float(c[0].get_xdata()[0])), float(c[0].get_ydata()[0])) for c in figure.axes[0].containers}
    top, beyond = ticks(figure, "y")["not\nreached"], ticks(figure, "x")["48"]
    assert drawn == {(1, 1.0), (4, 4.0), (0, 0.0), (round(beyond), top)}
    assert top > 6 and beyond > 6
    assert "2 seeds" in plots.estimated_caption(estimates)


def test_every_case_has_a_panel_with_its_curves_and_tolerances(estimates: pd.DataFrame, results: pd.DataFrame) -> None:
    figure = plots.divergence_against_rank(results, estimates)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == [
        "k = 1, flat, 0.0001 nats",
        "k = 4, decaying, 0.0001 nats",
        "nothing planted",
        "full rank",
    ]
    for axes, extra in zip(panels, (1, 1, 0, 0), strict=True):
        assert len(axes.lines) == 2 + 2 + extra
    assert "0.01" in plots.divergence_caption(results)


def test_another_strength_has_panels_and_no_points_among_the_weakest(estimates: pd.DataFrame, results: pd.DataFrame) -> None:
    both = [pd.concat([frame, frame.assign(strength=1e-2)]) for frame in (results, estimates)]
    assert len([axes for axes in plots.divergence_against_rank(*both).figure.axes if axes.get_visible()]) == 8
    assert len(plots.estimated_against_planted(both[1]).axes[0].containers) == len(CASES)


def test_r90_has_a_panel_a_planted_rank_and_what_is_not_reached_stands_at_the_top() -> None:
    where = {"planted_rank": 2, "decoy": "none", "spectrum": "flat"}
    found = [finding("breaks_at", {"of": "r90", "planted_rank": 2, "spectrum": "flat"}, Estimate(1e-2, None, None, 2, ""), "nats")]
    for strength, value, note in ((1e-4, 1.7, ""), (1e-2, None, "not reached at the largest rank (4)")):
        here = {**where, "strength": strength}
        read = Estimate(value, value and value - 0.1, value and value + 0.1, 3, "", note)
        found.append(finding("estimated_rank", here, Estimate(2.0, 2.0, 2.0, 3, ""), "rank"))
        for reference in ("matched", "teacher"):
            found.append(finding("planted_r90", {**here, "reference": reference, "analytic": 1.8}, read, "rank"))
            found.append(finding("planted_gain", {**here, "reference": reference}, Estimate(30 * strength, None, None, 3, ""), "bits/byte"))
    (axes,) = plots.r90_against_strength(found).axes
    assert axes.get_title() == "k = 2, flat"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.0001\n0.003", "0.01\n0.3"]
    drawn = {round(float(y), 3) for line in axes.lines for y in line.get_ydata()}
    assert {1.7, 1.8, 2.0, 5.0} <= drawn
    assert "3 seeds" in plots.r90_caption(found)
    assert plots.r90_against_strength([]).texts


def test_nothing_to_draw_is_said(estimates: pd.DataFrame, results: pd.DataFrame) -> None:
    assert plots.estimated_against_planted(estimates[:0]).texts
    assert plots.divergence_against_rank(results.query("phase == 'reference'"), estimates).texts
