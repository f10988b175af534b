"""Training within random subspaces: the dimension that networks, and fine-tuning, need. Composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.intrinsic_dimension import answers, comparisons, headlines, readings
from experiments.intrinsic_dimension.images import KINDS, image_subject
from experiments.intrinsic_dimension.known_dimensions import known_records
from experiments.intrinsic_dimension.languages import NAME as LANGUAGE
from experiments.intrinsic_dimension.languages import language_subjects
from experiments.intrinsic_dimension.plots import projections, quality, trends
from research.cells.phases import measured
from research.cells.subject import Subject, planned
from research.errors import UsageError
from research.figures.style import Captioned
from research.findings import Finding, Table
from research.runtime.conclusions import Milestone
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.sweeps import Plan

NAME = "intrinsic_dimension"
QUESTION = "In how many random directions is a network trained, and does pretraining leave fewer to fine-tuning?"
STAGE = 1  # raise by hand when the meaning of a cell changes
EXTENDABLE = tuple(f"draws.{model}" for model in (*KINDS, LANGUAGE))


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    if not 0 < config.absolute < 1:
        raise UsageError(f"absolute = {config.absolute}: an accuracy between 0 and 1")
    if config.data.part == "final" and any(model != LANGUAGE for model in config.models):
        raise UsageError(f"data.part = 'final' is a part of texts; images have none: set models to {LANGUAGE!r} alone")
    if config.known_draws < 2:
        raise UsageError(f"known_draws = {config.known_draws}: an interval needs at least 2")
    _subjects(config)


def plan(config: Any) -> Plan:
    """Returns what would run."""
    return planned(_subjects(config))


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]] | Milestone]:
    """Yields the records: known dimensions, then of each model references, selection, choice, results, and what a step costs."""
    subjects = _subjects(config)

    def ruler() -> Iterator[list[dict[str, Any]]]:
        with timed("known dimensions", workdir.timings.append):
            kinds = {kind for model in config.models for kind in config.projections[model]}
            yield list(known_records(NAME, sorted(kinds), config.known_draws))

    yield from measured(NAME, STAGE, subjects, workdir, ruler)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns d90 by every definition and how it compares, accuracies and losses, known dimensions, and what each projection costs."""
    return [*readings.findings(results), *comparisons.findings(results)]


def headline(findings: Sequence[Finding]) -> Sequence[Table]:
    """Returns the tables with which the report begins."""
    return headlines.headline(findings)


def answer(findings: Sequence[Finding]) -> str:
    """Returns the answer in one sentence, generated from the findings."""
    return answers.answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption."""
    found = readings.findings(results)
    drawn = {
        "quality_against_dimension": Captioned(quality.quality_against_dimension(results, found), quality.quality_caption(results)),
        "dimension_against_pretraining": Captioned(trends.against_pretraining(found), trends.pretraining_caption(found)),
        "projections": Captioned(projections.compared(found), projections.caption(found)),
    }
    if len({f.where["parameters"] for f in found if f.name == "d90" and f.where["model"] == LANGUAGE}) > 1:
        drawn["dimension_against_size"] = Captioned(trends.against_size(found), trends.size_caption(found))
    return drawn


def _subjects(config: Any) -> list[Subject]:
    plain = config.to_dict()
    known = (*KINDS, LANGUAGE)
    if not plain["models"] or (unknown := set(plain["models"]) - set(known)):
        raise UsageError(
            f"models = {plain['models']}: choose among {', '.join(known)}" + (f", not {min(unknown)!r}" if plain["models"] else "")
        )
    return [
        subject
        for name in dict.fromkeys(plain["models"])
        for subject in (language_subjects(plain) if name == LANGUAGE else [image_subject(plain, name)])
    ]
