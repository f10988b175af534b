import numpy as np
import pandas as pd
import pytest

from research.analysis import recovery
from research.analysis.intervals import difference_interval

RANKS = np.array([1, 2, 4, 8, 16, 32])


def losses(ends: tuple[float, float], spread: float = 0.003, seeds: int = 3) -> np.ndarray:
    """Losses that fall from the first to the second of `ends` evenly in log rank; (seeds, ranks)."""
    return np.linspace(*ends, RANKS.size) + spread * np.random.default_rng(1).standard_normal((seeds, RANKS.size))


def test_start_loss_does_not_pay_for_miscalibration() -> None:
    np.testing.assert_allclose(recovery.start_loss(np.array([12.7, 3.6]), 4.83), [4.83, 3.6])


def test_recovered_is_zero_at_the_start_and_one_at_full() -> None:
    np.testing.assert_allclose(recovery.recovered(3.5, np.array([3.5, 3.0, 2.5]), 2.5), [0.0, 0.5, 1.0])


def test_relative_reading_is_null_without_headroom() -> None:
    start, reached = np.array([2.45, 2.46, 2.44]), losses((2.44, 2.38))
    found = recovery.relative_r90(RANKS, start, reached, np.array([2.37, 2.39, 2.38]))
    assert (found.value, found.low, found.high, found.n) == (None, None, None, 3)
    assert "0.1" in found.note
    # A gain of 0.3 bits in the mean is not enough where the seeds disagree.
    wide = recovery.guard(found, recovery.headroom([2.5, 3.0, 2.6], [2.4, 2.4, 2.4]))
    assert wide.value is None and "0.300" in wide.note


def test_relative_r90_finds_the_rank() -> None:
    start, full = np.array([3.5, 3.51, 3.49]), np.array([2.4, 2.41, 2.39])
    reached = start[:, None] - (start - full)[:, None] * np.linspace(0.5, 1.0, 6)
    found = recovery.relative_r90(RANKS, start, reached, full)
    assert found.value == pytest.approx(16.0, rel=0.01)
    assert found.low <= 16 <= found.high


def test_untrained_gain_that_is_negative_is_null_too() -> None:
    found = recovery.relative_r90(RANKS, np.full(3, 2.0), losses((2.4, 2.3)), np.full(3, 2.2))
    assert found.value is None and "-0.200" in found.note


def test_rank_and_steps_needed_read_falling_losses() -> None:
    found = recovery.rank_needed(RANKS, losses((2.5, 2.0)), 2.2)
    assert found.value == pytest.approx(8.0, rel=0.05) and found.low < 8 < found.high
    assert recovery.rank_needed(RANKS, losses((2.5, 2.0)), 1.5).note.startswith("not reached at the largest rank")
    steps = np.array([50, 100, 200, 400, 800, 1600])
    assert recovery.steps_needed(steps, losses((2.5, 2.0)), 2.2).value == pytest.approx(400, rel=0.05)
    assert recovery.steps_needed(steps, losses((2.5, 2.0)), 2.6).note.startswith("at or below the smallest step")


def test_a_gap_is_paired_over_seeds() -> None:
    gap = difference_interval(pd.Series([2.4, 2.6, 2.5]), pd.Series([2.3, 2.5, 2.4]))
    assert gap.value == pytest.approx(0.1) and gap.high - gap.low < 1e-6


def test_all_inits_reach_the_shared_targets() -> None:
    curves = {"pretrained": np.array([[3.0, 2.35], [2.6, np.nan]]), "random": np.array([4.9, 3.31])}
    targets = recovery.shared_targets(curves, unigram=4.83)
    assert targets == {"worst_best": 3.31, "halfway": pytest.approx(4.07)}
    assert all(np.nanmin(reached) <= target for reached in curves.values() for target in targets.values())
    assert recovery.shared_targets({"random": np.array([5.0])}, unigram=4.83) == {"worst_best": 5.0}
    assert recovery.shared_targets({"random": np.array([5.0]), "none": np.array([np.nan])}, unigram=4.83) == {}


def test_definitions_differ_as_they_should() -> None:
    reached = losses((4.6, 3.6))
    table = recovery.definitions(
        RANKS, reached, {"untouched": np.full(3, 12.0), "unigram": 4.8}, {"full": np.full(3, 3.3), "matched": np.full(3, 3.5)}
    )
    assert list(table.columns) == recovery.DEFINITION_COLUMNS
    r90 = table[table["metric"] == "r90"].set_index(["start", "reference"])
    assert r90.loc[("untouched", "full"), "value"] < r90.loc[("unigram", "matched"), "value"]
    assert r90.loc[("unigram", "full"), "note"].startswith("not reached")
    shares = table[(table["metric"] == "recovered") & (table["start"] == "unigram") & (table["reference"] == "matched")]
    assert list(shares["rank"]) == list(RANKS)
    np.testing.assert_allclose(shares["value"].astype(float), ((4.8 - reached) / 1.3).mean(axis=0))


def test_rank_zero_may_be_an_answer_of_every_reading() -> None:
    ranks, untouched, full = np.append(0, RANKS), np.array([2.5, 2.52, 2.48]), np.array([2.0, 2.01, 1.99])
    curve = np.column_stack([untouched, losses((2.04, 2.0))])
    assert recovery.rank_needed(ranks, curve, 2.6)[:3] == (0.0, 0.0, 0.0)
    assert recovery.rank_needed(ranks, curve, 2.2).note == "above 0, at or below the smallest rank (1)"
    trained_ends = np.column_stack([losses((2.03, 2.03))[:, 0], losses((2.02, 2.0))])
    found = recovery.relative_r90(ranks, untouched, trained_ends, full)
    assert (found.value, found.low) == (0.0, 0.0) and "3 of 3 seeds at rank 0" in found.note
    table = recovery.definitions(ranks, trained_ends, {"untouched": untouched}, {"full": full})
    assert list(table["rank"][1:]) == [0, *RANKS] and table["value"][0] == 0.0


def test_sensitivity_follows_a_line_of_known_slope() -> None:
    """Losses fall by 0.1 bits an octave from 3.0 at rank 1 to 2.5 at 32; from a start of 3.5 to a reference of 2.5, r90 is where 2.6 is."""
    start, full = np.array([3.5, 3.5, 3.5]), np.array([2.5, 2.5, 2.5])
    reached = np.linspace(3.0, 2.5, 6) + np.array([-0.001, 0.0, 0.001])[:, None]
    table = recovery.sensitivity(RANKS, start, reached, full).set_index("changed")
    expected = {"reference 0.01 bits better": 2.591, "reference 0.01 bits worse": 2.609, "level 0.85": 2.65, "level 0.95": 2.55}
    assert recovery.relative_r90(RANKS, start, reached, full).value == pytest.approx(16.0)
    assert list(table.index) == list(expected)
    for changed, loss in expected.items():
        assert table.loc[changed, "value"] == pytest.approx(2 ** ((3.0 - loss) / 0.1))
        assert table.loc[changed, "low"] < table.loc[changed, "value"] < table.loc[changed, "high"]


def test_sensitivity_is_guarded_and_censored_as_the_reading_is() -> None:
    start, reached = np.array([2.45, 2.46, 2.44]), losses((2.44, 2.38))
    table = recovery.sensitivity(RANKS, start, reached, np.array([2.37, 2.39, 2.38]))
    assert table["value"].isna().all() and table["note"].str.startswith("undefined").all()
    above = recovery.sensitivity(RANKS, start + 1, reached, np.full(3, 2.2)).set_index("changed")
    assert above.loc["level 0.95", "note"].startswith("not reached")
    assert above.loc["level 0.85", "value"] == pytest.approx(2 ** (5 * (2.44 - 2.3875) / 0.06), rel=0.1)
