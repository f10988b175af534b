"""The loss around pretrained, null and random weights, before training and after it: composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.loss_landscape import answers, headlines, readings
from experiments.loss_landscape.plots import every
from experiments.loss_landscape.subject import landscape_subject
from research.cells.phases import measured
from research.cells.subject import planned
from research.figures.style import Captioned
from research.findings import Finding, Table
from research.runtime.conclusions import Milestone
from research.runtime.workdir import Workdir
from research.sweeps import Plan

NAME = "loss_landscape"
QUESTION = "Is optimization easier from pretrained weights, by the shape of the loss around them?"
STAGE = 1  # raise by hand when the meaning of a cell changes
EXTENDABLE = ("inits", "seeds", "runs", "readings")


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    landscape_subject(config.to_dict())


def plan(config: Any) -> Plan:
    """Returns what would run."""
    return planned([landscape_subject(config.to_dict())])


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]] | Milestone]:
    """Yields the records: selection, choice, results, ways, curvature, grids, barriers, stability."""
    yield from measured(NAME, STAGE, [landscape_subject(config.to_dict())], workdir)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns steps to shared losses, curvature, barriers, ways and stable rates, and how pretrained weights compare with every other."""
    return readings.findings(results)


def headline(findings: Sequence[Finding]) -> Sequence[Table]:
    """Returns the table with which the report begins."""
    return headlines.headline(findings)


def answer(findings: Sequence[Finding]) -> str:
    """Returns what contradicts the claim, what supports it, and the rest, generated from the findings."""
    return answers.answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records there are none is left out."""
    return every.figures(results, findings(results))
