"""What LoRA changes that full fine-tuning does not: composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.lora_vs_full import answers, headlines, readings
from experiments.lora_vs_full.plots import every
from experiments.lora_vs_full.subject import versus_subject
from research.cells.phases import measured
from research.cells.subject import planned
from research.figures.style import Captioned
from research.findings import Finding, Table
from research.runtime.conclusions import Milestone
from research.runtime.workdir import Workdir
from research.sweeps import Plan

NAME = "lora_vs_full"
QUESTION = "What does LoRA change that full fine-tuning does not, and what of that is noise?"
STAGE = 1  # raise by hand when the meaning of a cell changes
EXTENDABLE = ("arms", "nulls", "seeds", "cut_ranks", "factors", "alphas", "subspaces")


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    versus_subject(config.to_dict())


def plan(config: Any) -> Plan:
    """Returns what would run."""
    return planned([versus_subject(config.to_dict())])


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]] | Milestone]:
    """Yields the records: untouched losses, the detector, selection, choice, results, updates, subspaces, changed updates."""
    yield from measured(NAME, STAGE, [versus_subject(config.to_dict())], workdir)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns ranks, intruders, subspaces and what is left of changed updates, at the end and where arms have learned equally much."""
    return readings.findings(results)


def headline(findings: Sequence[Finding]) -> Sequence[Table]:
    """Returns the table with which the report begins."""
    return headlines.headline(findings)


def answer(findings: Sequence[Finding]) -> str:
    """Returns what each claim is worth in this run, generated from the findings."""
    return answers.answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records there are none is left out."""
    return every.figures(results, findings(results))
