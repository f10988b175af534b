"""What fine-tuning changes cheaply, style, and dearly, facts: composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.style_vs_facts import answers, headlines, readings
from experiments.style_vs_facts.plots import every
from experiments.style_vs_facts.subject import style_subjects
from research.cells.phases import measured
from research.cells.subject import planned
from research.figures.style import Captioned
from research.findings import Finding, Table
from research.runtime.conclusions import Milestone
from research.runtime.workdir import Workdir
from research.sweeps import Plan

NAME = "style_vs_facts"
QUESTION = "Is a style learned cheaply and are facts learned dearly, what do new facts cost old ones, and when is retrieval the right tool?"
STAGE = 1  # raise by hand when the meaning of a cell changes
EXTENDABLE = ("arms", "seeds")


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    style_subjects(config.to_dict())


def plan(config: Any) -> Plan:
    """Returns what would run."""
    return planned(style_subjects(config.to_dict()))


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]] | Milestone]:
    """Yields the records, styles first: untouched bases, selection, choice, results, what is recalled; then those of facts."""
    yield from measured(NAME, STAGE, style_subjects(config.to_dict()), workdir)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns bits learned, styles learned and how fast, old facts lost, what retrieval reads and when it pays; and contrasts."""
    return readings.findings(results)


def headline(findings: Sequence[Finding]) -> Sequence[Table]:
    """Returns the table with which the report begins."""
    return headlines.headline(findings)


def answer(findings: Sequence[Finding]) -> str:
    """Returns what each prediction is worth in this run, generated from the findings."""
    return answers.answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records there are none is left out."""
    return every.figures(results, findings(results))
