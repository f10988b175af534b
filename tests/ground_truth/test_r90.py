"""The r90 estimator on simulated curves of known r90: bias and coverage beside first-crossing's, and a decoy that must fail.

Truths: a saturating exponential (the interpolation between ranks is then wrong), a logistic in log rank, and a line in log rank. Noise:
independent per seed and rank, a shift per seed (its own L0 and L_full), and a sine of random phase and frequency per seed, which makes
curves non-monotone.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from research.analysis.intervals import log_t_interval
from research.analysis.inversion import crossing, invert, isotonic_curve
from research.analysis.rank_curves import r90
from research.findings import Estimate

RANKS = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
LEAST_COVERAGE = 0.93
SIMULATIONS = 300
FEWER = 100


class Truth(NamedTuple):
    """A curve of recovered against rank with its r90."""

    curve: Callable[[np.ndarray], np.ndarray]
    r90: float


TRUTHS = {
    "exponential": Truth(lambda r: 1 - 0.1 ** (r / 6.0), 6.0),
    "logistic": Truth(lambda r: 1 / (1 + (11.0 / r) ** 1.5 / 9), 11.0),
    "log-linear": Truth(lambda r: 0.9 + 0.08 * np.log2(r / 5.0), 5.0),
}


# Low noise is the hard case where interpolation errs, high noise where the seeds do.
CASES = (("exponential", 0.005), ("exponential", 0.03), ("logistic", 0.02), ("log-linear", 0.02))


def simulate(truth: Truth, seeds: int, noise: float, simulations: int = SIMULATIONS) -> np.ndarray:
    """Returns recovered (simulations, seeds, ranks)."""
    generator = np.random.default_rng([seeds, int(1000 * noise)])
    shape = (simulations, seeds, 1)
    wiggle = np.sin(generator.uniform(1, 4, shape) * np.log(RANKS) + generator.uniform(0, 2 * np.pi, shape))
    spread = generator.standard_normal((simulations, seeds, RANKS.size)) + 0.5 * generator.standard_normal(shape)
    return truth.curve(RANKS) + noise * (spread + wiggle)


def first_crossing(curves: np.ndarray, level: float = 0.9) -> np.ndarray:
    """Returns per seed the log2 rank at which the raw curve first reaches the level, interpolated: the estimator that r90 replaces."""
    answers = []
    for curve in curves:
        right = int((curve >= level).argmax()) if (curve >= level).any() else curve.size - 1
        left = max(right - 1, 0)
        share = 1.0 if right == left else (level - curve[left]) / (curve[right] - curve[left])
        answers.append(np.log2(RANKS[left]) + np.clip(share, 0, 1) * np.log2(RANKS[right] / RANKS[left]))
    return np.array(answers)


def percentile_bootstrap(curves: np.ndarray) -> tuple[float, float]:
    """Returns the percentile interval over all resamples of the seeds, of the isotonic inversion: the decoy."""
    answers = []
    for chosen in itertools.product(range(len(curves)), repeat=len(curves)):
        rank, note = invert(RANKS, isotonic_curve(RANKS, curves[list(chosen)].mean(axis=0)), 0.9)
        answers.append(rank if rank is not None else (np.inf if note.startswith("not") else 0.0))
    low, high = np.quantile(answers, [0.025, 0.975], method="nearest")
    return low, high


def covers(low: float | None, high: float | None, truth: float) -> bool:
    return (low is None or low <= truth) and (high is None or truth <= high)


def shown(found: Sequence[Estimate], crude: Sequence[Estimate], truth: Truth) -> str:
    """Returns one line of the table: coverage, median bias in octaves and median width of r90, and of first-crossing."""
    parts = []
    for name, answers in (("r90", found), ("first crossing", crude)):
        bias = np.median([np.log2(one.value or 2 * RANKS[-1]) for one in answers]) - np.log2(truth.r90)
        width = np.median([np.log2((one.high or RANKS[-1]) / (one.low or RANKS[0])) for one in answers])
        coverage = np.mean([covers(one.low, one.high, truth.r90) for one in answers])
        parts.append(f"{name}: coverage {coverage:.3f}, bias {bias:+.3f}, width {width:.2f}")
    return "; ".join(parts)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_interval_covers_and_bias_is_small(seeds: int) -> None:
    for name, noise in CASES:
        truth = TRUTHS[name]
        samples = simulate(truth, seeds, noise)
        found = [r90(RANKS, curves) for curves in samples]
        crude = [log_t_interval(2 ** first_crossing(curves)) for curves in samples]
        print(f"n={seeds:2d} noise={noise:.3f} {name:11s} {shown(found, crude, truth)}")
        bias = np.median([np.log2(one.value) for one in found if one.value is not None]) - np.log2(truth.r90)
        assert np.mean([covers(one.low, one.high, truth.r90) for one in found]) >= LEAST_COVERAGE, (name, noise)
        assert abs(bias) < 0.1, (name, noise)


def test_interval_covers_answers_beyond_the_ranks() -> None:
    for r90_true, end in ((40.0, "above"), (0.8, "below")):
        truth = Truth(lambda r, c=r90_true: 0.9 + 0.08 * np.log2(r / c), r90_true)
        found = [r90(RANKS, curves) for curves in simulate(truth, 3, 0.01, FEWER)]
        assert np.mean([covers(one.low, one.high, r90_true) for one in found]) >= LEAST_COVERAGE, end
        assert np.mean([one.value is None for one in found]) > 0.9, end


def test_interval_is_not_bought_by_width() -> None:
    samples = simulate(TRUTHS["log-linear"], 10, 0.02, FEWER)
    widths = [np.log2(one.high / one.low) for one in (r90(RANKS, curves) for curves in samples) if one.low and one.high]
    assert len(widths) > 0.95 * FEWER
    assert np.median(widths) < 1.0


def test_decoy_percentile_bootstrap_of_three_seeds_is_caught() -> None:
    truth = TRUTHS["log-linear"]
    samples = simulate(truth, 3, 0.02, FEWER)
    coverage = np.mean([covers(*percentile_bootstrap(curves), truth.r90) for curves in samples])
    print(f"n= 3 percentile bootstrap: coverage {coverage:.3f}")
    assert coverage < 0.90


def test_steps_of_a_learning_curve_are_covered() -> None:
    steps, needed = np.array([50.0, 100.0, 200.0, 400.0, 600.0]), 260.0
    generator = np.random.default_rng(4)
    losses = (steps / needed) ** -0.3 + 0.02 * generator.standard_normal((2 * FEWER, 3, steps.size))
    found = [crossing(steps, -one, -1.0, what="step") for one in losses]
    assert np.mean([covers(one.low, one.high, needed) for one in found]) >= LEAST_COVERAGE
