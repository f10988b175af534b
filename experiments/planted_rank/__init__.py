"""Teachers of known rank and decoys, students of every rank: composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.planted_rank import headlines, plots, readings
from experiments.planted_rank.linear_floors import floor_records
from experiments.planted_rank.subject import planted_subject
from research.analysis.simulated_curves import coverage_records
from research.cells.phases import measured
from research.cells.subject import planned
from research.errors import UsageError
from research.figures.style import Captioned
from research.findings import Finding, Table
from research.runtime.conclusions import Milestone
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.sweeps import Plan

NAME = "planted_rank"
QUESTION = "Does the ruler of lora_rank_sweep measure the rank that is there?"
STAGE = 1  # raise by hand when the meaning of a cell changes
EXTENDABLE = ("planted_ranks", "strengths", "strength_ranks", "seeds")
SECONDS_OF_A_SIMULATION = 0.04


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    if config.simulations < 1:
        raise UsageError(f"simulations = {config.simulations}: must be at least 1")
    planted_subject(config.to_dict())


def plan(config: Any) -> Plan:
    """Returns what would run."""
    return planned([planted_subject(config.to_dict())], SECONDS_OF_A_SIMULATION * config.simulations)


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]] | Milestone]:
    """Yields the records: linear floors and simulations, then references, selection, choice, results, subspaces."""

    def rulers() -> Iterator[list[dict[str, Any]]]:
        with timed("floors and simulations", workdir.timings.append):
            yield list(floor_records(NAME, config.planted_ranks, config.spectra))
            yield list(coverage_records(NAME, config.simulations))

    yield from measured(NAME, STAGE, [planted_subject(config.to_dict())], workdir, rulers)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns estimated ranks, r90 beside its analytic value, where both break, overlaps, errors of linear floors, and coverage."""
    return readings.findings(results)


def headline(findings: Sequence[Finding]) -> Sequence[Table]:
    """Returns the tables with which the report begins."""
    return headlines.headline(findings)


def answer(findings: Sequence[Finding]) -> str:
    """Returns the answer, generated from the findings."""
    return headlines.answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption."""
    estimates, found = readings.estimates(results), readings.findings(results)
    return {
        "estimated_against_planted": Captioned(plots.estimated_against_planted(estimates), plots.estimated_caption(estimates)),
        "r90_against_strength": Captioned(plots.r90_against_strength(found), plots.r90_caption(found)),
        "divergence_against_rank": Captioned(plots.divergence_against_rank(results, estimates), plots.divergence_caption(results)),
    }
