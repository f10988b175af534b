"""Rises at equal loss on simulated ways of known truth: intervals over bases and documents cover it, those over bases alone do not.

Of the first chunk's documents each has an effect of its own on what an arm loses, in proportion to it, and one with each base; both ways
are read at a few budgets, and both arms at half of what full learns. At 800 simulations a coverage of 0.95 has a standard error of 0.008.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from experiments.forgetting.paths import Arm, Ways, lost_at, lost_without
from experiments.forgetting.readings import Read, over_documents
from research.analysis.contrasts import without_each

SIMULATIONS, BASES, GROUPS, SHARE = 800, 3, 12, 0.5
READ_AT = np.array([0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0])
FULL, OTHER = Arm("full", "full", None), Arm("lora@8", "lora", 8.0)
LEARNED, LOST = {FULL: 2.0, OTHER: 1.7}, {FULL: 2.5, OTHER: 2.0}  # by the end, bits/byte
LEAST_COVERAGE = 0.934  # two standard errors below 0.95


class Spread(NamedTuple):
    """Standard deviations of what is lost, over its mean: between bases, documents, and documents of one base."""

    base: float
    document: float
    residual: float


REGIMES = {"bases": Spread(0.1, 0.05, 0.02), "documents": Spread(0.01, 0.4, 0.05), "both": Spread(0.1, 0.4, 0.1)}


def mean_way(arm: Arm) -> tuple[np.ndarray, np.ndarray]:
    """Returns what an arm has learned and lost at each budget, of a mean base and document: neither in proportion to the steps."""
    return LEARNED[arm] * READ_AT**0.5, LOST[arm] * READ_AT**0.8


def expected(arm: Arm) -> float:
    """Returns the mean rise between the budgets around the level, worked out apart from the code under test."""
    learned, lost = mean_way(arm)
    return float(np.interp(SHARE * LEARNED[FULL], learned, lost))


def simulated(rng: np.random.Generator, spread: Spread) -> tuple[dict[Arm, Read], pd.Series, np.ndarray]:
    """Returns what is read of one simulated run, its bases, and the bytes of its groups."""
    sizes = rng.uniform(500, 2000, GROUPS)
    start = pd.Series(4 + 0.2 * rng.standard_normal(BASES))
    bits, read = start - SHARE * LEARNED[FULL], {}
    for arm in (FULL, OTHER):
        learned, lost = mean_way(arm)
        effects = 1 + spread.base * rng.standard_normal((BASES, 1)) + spread.document * rng.standard_normal(GROUPS)
        effects += spread.residual * rng.standard_normal((BASES, GROUPS))
        by_document = lost[:, None] * effects[:, None, :]  # base, budget, group
        ways: Ways = {(arm.word, base): (start[base] - learned, by_document[base] @ sizes / sizes.sum()) for base in range(BASES)}
        without = {(arm.word, base): without_each(by_document[base], sizes) for base in range(BASES)}
        read[arm] = Read(lost_at(ways, arm, bits), lost_without(ways, without, arm, bits))
    return read, pd.Series(range(BASES)), sizes


@pytest.mark.parametrize("regime", ["documents", *(pytest.param(name, marks=pytest.mark.slow) for name in REGIMES if name != "documents")])
def test_bases_and_documents_together_cover_and_bases_alone_do_not_where_documents_vary(regime: str) -> None:
    rng = np.random.default_rng(len(regime))
    truth = {"rise": expected(OTHER), "difference": expected(OTHER) - expected(FULL)}
    held = {(what, over): 0 for what in truth for over in ("both", "bases alone")}
    for _ in range(SIMULATIONS):
        read, bases, sizes = simulated(rng, REGIMES[regime])
        for what, own in (("rise", read[OTHER]), ("difference", read[OTHER].less(read[FULL]))):
            for over, some in (("both", own), ("bases alone", own._replace(without=pd.DataFrame()))):
                f = over_documents(some, bases, sizes)
                held[what, over] += f.low is not None and f.high is not None and f.low <= truth[what] <= f.high
    covered = {key: count / SIMULATIONS for key, count in held.items()}
    print(f"{regime}, {GROUPS} groups: {covered}")
    for what in truth:
        assert covered[what, "both"] >= LEAST_COVERAGE
        assert regime == "bases" or covered[what, "bases alone"] < 0.9
