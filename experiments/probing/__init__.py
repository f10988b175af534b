"""What is readable at which depth of a network, and whether pretraining put it there: composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.probing import answers, headlines, readings
from experiments.probing.plots import every
from experiments.probing.subject import Probing
from research.figures.style import Captioned
from research.findings import Finding, Table
from research.runtime.workdir import Workdir
from research.sweeps import Plan

NAME = "probing"
QUESTION = "What is readable at which depth of a network, and is it pretraining that put it there?"
STAGE = 1  # raise by hand when the meaning of a record changes
EXTENDABLE = ("inits", "seeds", "tasks")


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    Probing(NAME, config.to_dict())


def plan(config: Any) -> Plan:
    """Returns what would run."""
    return Probing(NAME, config.to_dict()).plan()


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]]]:
    """Yields the records: what is known of each task, then its probes on each initialization."""
    yield from Probing(NAME, config.to_dict()).run(workdir)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns accuracy, codelength, selectivity, expected layers, the order of tasks, and how pretrained activations compare with nulls."""
    return readings.findings(results)


def headline(findings: Sequence[Finding]) -> Sequence[Table]:
    """Returns the table with which the report begins."""
    return headlines.headline(findings)


def answer(findings: Sequence[Finding]) -> str:
    """Returns what contradicts the claims, what supports them, and the rest, generated from the findings."""
    return answers.answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records there are none is left out."""
    return every.figures(findings(results))
