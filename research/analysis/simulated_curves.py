"""Simulated curves of known r90: how often its interval covers the truth, beside first-crossing's.

Truths: a saturating exponential (the interpolation between ranks is then wrong), a logistic in log rank, lines in log rank, two of which
reach the level outside the ranks tried, and flat curves, whose monotone fits are biased at their ends: a plateau and a slow rise that start
just above the level, and a step to just above it. Noise: independent per seed and rank, a shift per seed (its own L0 and L_full), and a
sine of random phase and frequency per seed, which makes curves non-monotone.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from research.analysis.intervals import log_t_interval
from research.analysis.recovery import r90
from research.findings import Estimate

RANKS = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
LEVEL = 0.9
UNITS = {"coverage": "1", "bias": "octaves", "width": "octaves"}


class Truth(NamedTuple):
    """A curve of recovered against rank with its r90 (below the ranks tried any number says the same)."""

    curve: Callable[[np.ndarray], np.ndarray]
    r90: float


def _line(at: float) -> Truth:
    return Truth(lambda rank: LEVEL + 0.08 * np.log2(rank / at), at)


TRUTHS = {
    "exponential": Truth(lambda rank: 1 - 0.1 ** (rank / 6.0), 6.0),
    "logistic": Truth(lambda rank: 1 / (1 + (11.0 / rank) ** 1.5 / 9), 11.0),
    "log-linear": _line(5.0),
    "above the ranks": _line(40.0),
    "below the ranks": _line(0.8),
    "plateau": Truth(lambda rank: np.full(rank.shape, LEVEL + 0.015), 0.5),
    "start above": Truth(lambda rank: LEVEL + 0.005 + 0.01 * np.log2(rank), 0.5),
    "flat, then a step": Truth(lambda rank: np.interp(np.log2(rank), [2, 3], [LEVEL - 0.1, LEVEL + 0.01]), float(2 ** (2 + 10 / 11))),
}


class Case(NamedTuple):
    """A truth's name, the noise on it and the numbers of seeds with which `coverage_records` reads it."""

    truth: str
    noise: float
    seeds: tuple[int, ...] = (3, 5, 10)


# Low noise is the hard case where interpolation errs, high noise where the seeds do, many seeds where a fit is biased.
CASES = (
    Case("exponential", 0.005),
    Case("exponential", 0.03),
    Case("logistic", 0.02),
    Case("log-linear", 0.02),
    Case("above the ranks", 0.01),
    Case("below the ranks", 0.01),
    Case("plateau", 0.05, (3, 10, 40)),
    Case("start above", 0.03, (3, 10, 40)),
    Case("flat, then a step", 0.03, (10,)),
)


def simulate(truth: Truth, seeds: int, noise: float, simulations: int) -> np.ndarray:
    """Returns recovered (simulations, seeds, ranks)."""
    generator = np.random.default_rng([seeds, int(1000 * noise)])
    shape = (simulations, seeds, 1)
    wiggle = np.sin(generator.uniform(1, 4, shape) * np.log(RANKS) + generator.uniform(0, 2 * np.pi, shape))
    spread = generator.standard_normal((simulations, seeds, RANKS.size)) + 0.5 * generator.standard_normal(shape)
    return truth.curve(RANKS) + noise * (spread + wiggle)


def first_crossing(curves: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Returns per seed the log2 rank at which the raw curve first reaches the level, interpolated: the estimator that r90 replaces."""
    reached, seeds, last = curves >= level, np.arange(len(curves)), RANKS.size - 1
    right = np.where(reached.any(axis=1), reached.argmax(axis=1), last)
    left = np.maximum(right - 1, 0)
    rise = curves[seeds, right] - curves[seeds, left]
    share = np.divide(level - curves[seeds, left], rise, out=np.ones(len(curves)), where=rise != 0)
    return np.log2(RANKS[left]) + np.clip(share, 0, 1) * np.log2(RANKS[right] / RANKS[left])


def covers(low: float | None, high: float | None, truth: float) -> bool:
    """Returns whether an interval, open where a bound is None, holds the truth."""
    return (low is None or low <= truth) and (high is None or truth <= high)


ESTIMATORS: dict[str, Callable[[np.ndarray], Estimate]] = {
    "r90": lambda curves: r90(RANKS, curves, LEVEL),
    "first crossing": lambda curves: log_t_interval(2 ** first_crossing(curves)),
}


def summarize(found: list[Estimate], truth: Truth) -> dict[str, float | None]:
    """Returns the share of intervals that cover, the median bias and the median width, octaves.

    The bias is null where all answers are censored, or the truth is.
    """
    within = RANKS[0] <= truth.r90 <= RANKS[-1]
    values = [np.log2(one.value / truth.r90) for one in found if one.value is not None and within]
    widths = [np.log2((one.high or RANKS[-1]) / (one.low or RANKS[0])) for one in found]
    coverage = float(np.mean([covers(one.low, one.high, truth.r90) for one in found]))
    return {"coverage": coverage, "bias": float(np.median(values)) if values else None, "width": float(np.median(widths))}


def coverage_records(experiment: str, simulations: int) -> Iterator[dict[str, Any]]:
    """Yields coverage, bias and width of both estimators for every case and number of seeds."""
    for name, noise, seeds in ((case.truth, case.noise, seeds) for case in CASES for seeds in case.seeds):
        samples = simulate(TRUTHS[name], seeds, noise, simulations)
        where = {"experiment": experiment, "cell": "", "phase": "simulation", "truth": name, "noise": noise, "seeds": seeds}
        for estimator, estimate in ESTIMATORS.items():
            for metric, value in summarize([estimate(curves) for curves in samples], TRUTHS[name]).items():
                yield {**where, "estimator": estimator, "n": simulations, "metric": metric, "value": value, "unit": UNITS[metric]}
