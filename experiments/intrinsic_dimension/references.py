"""Records that need no training: untouched models, and facts of data and config."""

from collections.abc import Iterator, Mapping
from typing import Any

from research.cells.described import described as of_study
from research.cells.phases import document_sizes, reference, untouched
from research.cells.runner import Runner
from research.cells.study import Study
from research.cells.subject import Rows

Fact = tuple[str | None, str, float, str]  # init, metric, value, unit


def references(
    runner: Runner,
    described: Mapping[str, Any],
    places: Mapping[tuple[str, int], int],
    bases: int,
    facts: list[Fact],
    study: Study | None = None,
) -> Iterator[Rows]:
    """Yields the records of `facts`, of a `study` of texts, of groups of documents, and of the untouched models."""
    where = {**described, "projection": None, "dimension": 0}
    known = [reference(runner.setting.experiment, metric, value, unit, **where, init=init) for init, metric, value, unit in facts]
    known += of_study(runner.setting.experiment, study, **where) if study else []
    yield [*known, *document_sizes(runner, **described), *untouched(runner, "full", places, bases, **where)]
