"""Findings as a reader sees them."""

import pytest

from research.findings import Estimate, Finding, find, finding, shown


def made(value: float | None, low: float | None, high: float | None, note: str = "") -> Finding:
    return finding("loss", {"init": "random", "rank": 1}, Estimate(value, low, high, 3, "t", note), "bits/byte")


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (made(2.876, 2.84, 2.92), "2.88 [2.84, 2.92]"),
        (made(9.0, 8.5, 9.5), "9.00 [8.50, 9.50]"),
        (made(99.6, 88, 1234.5), "99.6 [88.0, 1,234]"),
        (made(3.35, None, None, "one seed: no interval"), "3.35"),
        (made(10, 4.3, None, "interval open above the largest rank"), "10.0 [4.30, open]"),
        (made(10, None, None, "interval open below the smallest rank; interval open above the largest rank"), "10.0 [open, open]"),
        (made(None, 32, None, "not reached at the largest rank (32); 3 of 3 seeds not reached"), "not reached at the largest rank (32)"),
        (made(None, None, None), "–"),
        (None, "–"),
    ],
)
def test_a_number_is_shown_with_its_interval_and_a_censored_one_in_words(estimate: Finding | None, text: str) -> None:
    assert shown(estimate) == text


def test_form_is_that_of_small_numbers() -> None:
    assert shown(made(4.0, 3.52, 1e5), ".3g") == "4 [3.52, 100,000]"


def test_the_first_that_fits_is_found() -> None:
    first, second = made(1, None, None), made(2, None, None)
    assert find([first, second], "loss", rank=1) is first
    assert find([first], "loss", rank=2) is None and find([first], "gain") is None
