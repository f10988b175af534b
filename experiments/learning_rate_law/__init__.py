"""What sets LoRA's best learning rate: composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.learning_rate_law import answers, headlines, readings
from experiments.learning_rate_law.plots import every
from experiments.learning_rate_law.subject import rate_subjects
from research.cells.phases import measured
from research.cells.subject import planned
from research.figures.style import Captioned
from research.findings import Finding, Table
from research.runtime.conclusions import Milestone
from research.runtime.workdir import Workdir
from research.sweeps import Plan

NAME = "learning_rate_law"
QUESTION = "What sets LoRA's best learning rate: the rank, the rule by which alpha follows it, or the curvature that it meets?"
STAGE = 1  # raise by hand when the meaning of a cell changes
EXTENDABLE = ("targets", "rules", "ranks", "factors", "seeds")


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    rate_subjects(config.to_dict())


def plan(config: Any) -> Plan:
    """Returns what would run."""
    return planned(rate_subjects(config.to_dict()))


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]] | Milestone]:
    """Yields the records, target by target: untouched losses, selection, choice, results, curvature."""
    yield from measured(NAME, STAGE, rate_subjects(config.to_dict()), workdir)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns best rates, their powers of rank, scale and curvature, how well laws predict them, and contrasts."""
    return readings.findings(results)


def headline(findings: Sequence[Finding]) -> Sequence[Table]:
    """Returns the tables with which the report begins."""
    return headlines.headline(findings)


def answer(findings: Sequence[Finding]) -> str:
    """Returns what sets the best rate in this run, generated from the findings."""
    return answers.answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records there are none is left out."""
    return every.figures(results, readings.findings(results))
