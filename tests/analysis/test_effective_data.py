import numpy as np
import pytest

from research.analysis.effective_data import ABOVE, BELOW, BEYOND, FITTED, LOST, OSSIFIED, UNSURE, Losses, Point, effective_data, needed
from research.errors import UsageError

DATA = np.geomspace(1e3, 1e6, 13)
WEIGHTS = np.linspace(3000.0, 9000.0, 12)


def curve(amounts: np.ndarray) -> np.ndarray:
    return 1.5 + 2.5 * (amounts / 1e3) ** -0.3


def losses(effective: np.ndarray, amounts: np.ndarray, noise: float = 0.0, scatter: float = 0.0, seeds: int = 3) -> Losses:
    """Losses of one size whose D_E is known, with noise by seed and scatter by group of documents."""
    generator = np.random.default_rng(0)
    scratch, tuned = (
        curve(x)[:, None] + noise * generator.standard_normal((seeds, 1, len(x), 1)) + scatter * generator.standard_normal((len(x), 12))
        for x in (DATA, effective)
    )
    return Losses(np.array([1e5]), DATA, amounts, scratch, tuned, WEIGHTS, np.arange(seeds))


def only(some: Losses, allowed: float = 0.1) -> Point:
    (point,) = effective_data(some, allowed)
    return point


def test_effective_data_of_exact_curves_is_found_between_the_amounts_from_scratch() -> None:
    truth, amounts = np.array([2.7e3, 3.3e4, 6.1e5]), np.array([1e3, 4e3, 1.5e4])
    points = effective_data(losses(truth, amounts), allowed=1.0)
    for point, effective, amount in zip(points, truth, amounts, strict=True):
        np.testing.assert_allclose(point.effective.value, effective, rtol=2e-3)
        np.testing.assert_allclose(point.transferred.value, effective - amount, rtol=5e-3)
        ends = np.clip([effective / 4, effective * 4], DATA[0], DATA[-1])
        np.testing.assert_allclose(point.slope, np.diff(curve(ends))[0] / np.log(ends[1] / ends[0]), rtol=5e-3)
    assert points[1].transferred.low is not None


def test_beyond_the_ends_there_are_bounds_and_no_number() -> None:
    above, below = (only(losses(np.array([x]), np.array([500.0]), noise=0.002)) for x in (2e6, 800.0))
    assert above.word == ABOVE and above.effective.value is None and above.effective.high is None
    assert 5e5 < above.effective.low <= 1e6 and above.transferred.low == above.effective.low - 500
    assert below.word == BELOW and below.effective.value is None and below.effective.low is None and below.effective.high < 1500
    assert "not reached at the largest amount of data" in above.effective.note


def test_one_seed_beyond_the_curve_censors_the_point_and_the_mean_curve_still_speaks() -> None:
    some = losses(np.array([7e5]), np.array([1e4]), noise=0.001)
    tuned = some.tuned.copy()
    tuned[1] -= 0.2
    point = only(some._replace(tuned=tuned))
    assert point.word == ABOVE and np.isinf(point.logs[1]).all() and np.isfinite(point.logs[0]).all()
    assert "1 of 3 seeds not reached" in point.effective.note


@pytest.mark.parametrize(("effective", "word"), [(9e4, FITTED), (1.0e4, UNSURE), (2e3, OSSIFIED), (800.0, OSSIFIED)])
def test_the_word_says_whether_anything_was_transferred(effective: float, word: str) -> None:
    point = only(losses(np.array([effective]), np.array([1e4]), noise=0.02, scatter=0.02))
    assert point.word == word
    assert (point.transferred.high is not None and point.transferred.high <= 0) == (word == OSSIFIED)


def test_low_data_is_a_share_of_what_scratch_needs() -> None:
    some = losses(np.array([2e5]), np.array([5e4]))
    end = float(curve(DATA[-1:])[0])
    exact = 1e3 * ((end / 0.99 - 1.5) / 2.5) ** (-1 / 0.3)
    np.testing.assert_allclose(needed(some), [exact], rtol=5e-3)
    share = 5e4 / exact
    assert only(some, share * 0.98).word == BEYOND and only(some, share * 1.02).word == FITTED


def test_documents_widen_the_interval_and_one_group_carries_none() -> None:
    some = losses(np.array([5e4]), np.array([1e4]), noise=0.005, scatter=0.05)
    shares = (WEIGHTS / WEIGHTS.sum())[:, None]
    alone = some._replace(scratch=some.scratch @ shares, tuned=some.tuned @ shares, weights=WEIGHTS.sum(keepdims=True))
    both, seeds = only(some).effective, only(alone).effective
    np.testing.assert_allclose(both.value, seeds.value)
    assert both.high > 1.1 * seeds.high and both.low < seeds.low / 1.1
    assert "12 groups of documents" in both.note and "documents left out" in seeds.note


def test_runs_that_are_missing_take_out_their_point_or_their_amount_alone() -> None:
    some = losses(np.array([2e4, 5e4]), np.array([1e3, 2e3]))
    scratch, tuned = some.scratch.copy(), some.tuned.copy()
    scratch[0, 0, 5], tuned[2, 0, 1] = np.nan, np.nan
    first, second = effective_data(some._replace(scratch=scratch, tuned=tuned))
    np.testing.assert_allclose(first.effective.value, 2e4, rtol=0.02)
    assert second.word == LOST and second.effective.value is None and second.effective.note == LOST
    scratch[:, :, 1:] = np.nan
    empty = some._replace(scratch=scratch)
    assert [point.word for point in effective_data(empty)] == [LOST, LOST] and np.isnan(needed(empty)).all()


def test_seeds_of_one_base_are_told_and_a_single_reading_tells_nothing_apart() -> None:
    some = losses(np.array([5e4]), np.array([1e4]), noise=0.005)
    assert "the base is left out" in only(some._replace(bases=np.zeros(3))).effective.note
    one = losses(np.array([5e4]), np.array([1e4]), seeds=1)
    assert only(one).word == FITTED  # by documents alone
    single = one._replace(scratch=one.scratch[..., :1], tuned=one.tuned[..., :1], weights=WEIGHTS[:1])
    assert only(single).word == UNSURE and only(single).effective.low is None


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    some = losses(np.array([5e4]), np.array([1e4]))
    for wrong, allowed, cause in (
        (some._replace(tuned=some.tuned[:2]), 0.1, "losses tuned of shape"),
        (some._replace(data=DATA[::-1]), 0.1, "do not ascend"),
        (some, 0.0, "leaves no point"),
    ):
        with pytest.raises(UsageError, match=cause) as raised:
            effective_data(wrong, allowed)
        assert "\n" not in str(raised.value)


def test_a_scratch_curve_that_rises_is_made_monotone_before_it_is_read() -> None:
    data = 1e3 * 4.0 ** np.arange(4)
    for loss, (low, high) in ((3.05, (data[2], data[3])), (3.15, (data[0], data[1]))):
        read = []
        for heights in ([4.0, 3.0, 3.2, 2.5], [4.0, 3.1, 3.1, 2.5]):
            scratch, tuned = np.tile(np.array(heights)[:, None], (3, 1, 1, 12)), np.full((3, 1, 1, 12), loss)
            read.append(only(Losses(np.array([1e5]), data, np.array([100.0]), scratch, tuned, WEIGHTS, np.arange(3))).effective.value)
        np.testing.assert_allclose(read[0], read[1])
        assert low < read[0] < high
