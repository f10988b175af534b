"""Words of differences: which are told apart from 0, which have no verdict; and sentences as paragraphs."""

import pytest

from research.analysis.contrasts import BASE_LEFT_OUT
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, sentences, verdict
from research.figures.report import paragraphs
from research.findings import Finding


def difference(value: float | None, low: float | None, high: float | None, n: int = 3, note: str = "") -> Finding:
    return Finding("contrast", {}, value, low, high, "1", n, "t", note)


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (1.0, 0.5, 1.5, MORE),
        (-1.0, -1.5, -0.5, LESS),
        (1.0, -0.5, 2.5, ALIKE),
        (0.5, 0.0, 1.0, ALIKE),  # an end at 0 is not apart from it
        (-0.5, -1.0, 0.0, ALIKE),
    ],
)
def test_a_difference_is_told_apart_by_its_interval(value: float, low: float, high: float, expected: str) -> None:
    assert verdict(difference(value, low, high)) == expected
    assert verdict(difference(value, low, high, n=1)) == verdict(difference(value, low, high, note=f"t; {BASE_LEFT_OUT}")) == UNJUDGED
    assert (
        verdict(difference(value, None, high)) == verdict(difference(value, low, None)) == verdict(difference(None, low, high)) == UNJUDGED
    )


@pytest.mark.parametrize("value", [2.0, -2.0, 1e-3, -1e6])
def test_an_interval_of_no_width_is_a_verdict_around_0_alone(value: float) -> None:
    """Bases that read the same say nothing of how far others would lie apart; a width within rounding is none."""
    assert verdict(difference(value, value, value)) == UNJUDGED
    rounding = abs(value) * 2e-10
    assert verdict(difference(value, value - rounding, value + rounding)) == UNJUDGED
    assert verdict(difference(value, value - 1e4 * rounding, value + 1e4 * rounding)) == (MORE if value > 0 else LESS)
    assert verdict(difference(0.0, 0.0, 0.0)) == ALIKE


def test_sentences_have_periods_and_paragraphs_an_empty_line() -> None:
    assert sentences(["One", "two 0.5"], ["Three"]) == "One. two 0.5.\n\nThree."
    assert sentences(iter(["One"]), (), ["Two"]) == "One.\n\nTwo." and sentences([]) == sentences() == ""


def test_an_answers_paragraphs_are_those_of_its_sentences() -> None:
    assert paragraphs(sentences(["In short", "so"], ["At length"])) == ["In short. so.", "At length."]
