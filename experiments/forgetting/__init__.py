"""What methods of fine-tuning forget for what they learn: composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.forgetting import answers, answers_of_sequences, headlines, headlines_of_sequences, readings, readings_of_sequences
from experiments.forgetting.plots import every
from experiments.forgetting.sequence import sequence_subject
from experiments.forgetting.subject import forgetting_subject
from research.cells.phases import measured
from research.cells.subject import Subject, planned
from research.figures.style import Captioned
from research.findings import Finding, Table
from research.runtime.conclusions import Milestone
from research.runtime.workdir import Workdir
from research.sweeps import Plan

NAME = "forgetting"
QUESTION = "What does fine-tuning forget, and which method forgets least for what it learns?"
STAGE = 2  # raise by hand when the meaning of a cell changes
EXTENDABLE = ("methods", "seeds", "alphas")


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    _subject(config.to_dict())


def plan(config: Any) -> Plan:
    """Returns what would run."""
    return planned([_subject(config.to_dict())])


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]] | Milestone]:
    """Yields the records: untouched losses, selection, choice, results, divergences."""
    yield from measured(NAME, STAGE, [_subject(config.to_dict())], workdir)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns what each method learned and lost, at the end and at equal loss on the target, fronts, and what divergences explain."""
    own = readings_of_sequences if readings_of_sequences.is_sequence(results) else readings
    return own.findings(results)


def headline(findings: Sequence[Finding]) -> Sequence[Table]:
    """Returns the table with which the report begins."""
    return (headlines_of_sequences if _of_sequence(findings) else headlines).headline(findings)


def answer(findings: Sequence[Finding]) -> str:
    """Returns what each claim is worth in this run, generated from the findings."""
    return (answers_of_sequences if _of_sequence(findings) else answers).answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records there are none is left out."""
    return every.figures(results, findings(results))


def _subject(config: Mapping[str, Any]) -> Subject:
    """What a config sweeps: targets in a row where it has others behind the first, else one target."""
    return sequence_subject(config) if "then" in config else forgetting_subject(config)


def _of_sequence(findings: Sequence[Finding]) -> bool:
    return any(f.name == "text" for f in findings)
