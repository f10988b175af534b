"""Whether features transfer, and what of the gain is theirs: composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.transfer import answers, data_answers, data_headlines, data_readings, headlines, readings
from experiments.transfer.data_subject import data_subjects
from experiments.transfer.images import image_subjects
from experiments.transfer.plots import every
from experiments.transfer.subject import text_subjects
from research.cells.phases import measured
from research.cells.subject import Subject, planned
from research.figures.style import Captioned
from research.findings import Finding, Table
from research.runtime.conclusions import Milestone
from research.runtime.workdir import Workdir
from research.sweeps import Plan

NAME = "transfer"
QUESTION = "Which blocks of a network transfer to another text, frozen or tuned, and what is that worth beside training from scratch?"
STAGE = 1  # raise by hand when the meaning of a cell changes
EXTENDABLE = ("arms", "blocks", "seeds")


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    _subjects(config.to_dict())


def plan(config: Any) -> Plan:
    """Returns what would run."""
    return planned(_subjects(config.to_dict()))


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]] | Milestone]:
    """Yields the records: selection, choice and results of all arms, then from scratch for as long as a donor and an arm took together."""
    yield from measured(NAME, STAGE, _subjects(config.to_dict()), workdir)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns each arm's loss, and by how much copied blocks, frozen or tuned, lose or gain beside the arms that control for them."""
    return data_readings.findings(results) if data_readings.measured(results) else readings.findings(results)


def headline(findings: Sequence[Finding]) -> Sequence[Table]:
    """Returns the tables with which the report begins."""
    return data_headlines.headline(findings) or headlines.headline(findings)


def answer(findings: Sequence[Finding]) -> str:
    """Returns what each claim is worth in this run, generated from the findings."""
    return data_answers.answer(findings) or answers.answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records there are none is left out."""
    return (every.of_data if data_readings.measured(results) else every.figures)(findings(results))


def _subjects(config: Mapping[str, Any]) -> list[Subject]:
    """What a config sweeps: amounts of data where it has some, classifiers where it names images, else decoders."""
    if "amounts" in config:
        return data_subjects(config)
    return image_subjects(config) if "images" in config else text_subjects(config)
