"""Simulated curves of known r90: how often its interval covers the truth, beside first-crossing's.

Truths: a saturating exponential (the interpolation between ranks is then wrong), a logistic in log rank, lines in log rank, two of which
reach the level outside the ranks tried. Noise: independent per seed and rank, a shift per seed (its own L0 and L_full), and a sine of
random phase and frequency per seed, which makes curves non-monotone.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from research.analysis.intervals import log_t_interval
from research.analysis.recovery import r90
from research.findings import Estimate

RANKS = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
LEVEL = 0.9
SEEDS = (3, 5, 10)
UNITS = {"coverage": "1", "bias": "octaves", "width": "octaves"}


class Truth(NamedTuple):
    """A curve of recovered against rank with its r90."""

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
}
# Low noise is the hard case where interpolation errs, high noise where the seeds do.
CASES = (
    ("exponential", 0.005),
    ("exponential", 0.03),
    ("logistic", 0.02),
    ("log-linear", 0.02),
    ("above the ranks", 0.01),
    ("below the ranks", 0.01),
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
    answers = []
    for curve in curves:
        right = int((curve >= level).argmax()) if (curve >= level).any() else curve.size - 1
        left = max(right - 1, 0)
        share = 1.0 if right == left else (level - curve[left]) / (curve[right] - curve[left])
        answers.append(np.log2(RANKS[left]) + np.clip(share, 0, 1) * np.log2(RANKS[right] / RANKS[left]))
    return np.array(answers)


def covers(low: float | None, high: float | None, truth: float) -> bool:
    """Returns whether an interval, open where a bound is None, holds the truth."""
    return (low is None or low <= truth) and (high is None or truth <= high)


ESTIMATORS: dict[str, Callable[[np.ndarray], Estimate]] = {
    "r90": lambda curves: r90(RANKS, curves, LEVEL),
    "first crossing": lambda curves: log_t_interval(2 ** first_crossing(curves)),
}


def summarize(found: list[Estimate], truth: Truth) -> dict[str, float | None]:
    """Returns the share of intervals that cover, the median bias and the median width (octaves; null where all are censored)."""
    values = [np.log2(one.value / truth.r90) for one in found if one.value is not None]
    widths = [np.log2((one.high or RANKS[-1]) / (one.low or RANKS[0])) for one in found]
    coverage = float(np.mean([covers(one.low, one.high, truth.r90) for one in found]))
    return {"coverage": coverage, "bias": float(np.median(values)) if values else None, "width": float(np.median(widths))}


def coverage_records(experiment: str, simulations: int) -> Iterator[dict[str, Any]]:
    """Yields coverage, bias and width of both estimators for every case and number of seeds."""
    for (name, noise), seeds in itertools.product(CASES, SEEDS):
        samples = simulate(TRUTHS[name], seeds, noise, simulations)
        where = {"experiment": experiment, "cell": "", "phase": "simulation", "truth": name, "noise": noise, "seeds": seeds}
        for estimator, estimate in ESTIMATORS.items():
            for metric, value in summarize([estimate(curves) for curves in samples], TRUTHS[name]).items():
                yield {**where, "estimator": estimator, "n": simulations, "metric": metric, "value": value, "unit": UNITS[metric]}
