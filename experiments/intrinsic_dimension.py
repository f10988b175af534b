"""Training within random subspaces: the dimension that networks, and fine-tuning, need. Composition only."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from research.analysis import costs, dimension_headline, dimension_readings
from research.analysis.known_dimensions import known_records
from research.analysis.ngrams import majority_share, unigram_bits
from research.analysis.phases import choose_and_run
from research.errors import UsageError
from research.figures import dimension_trends, dimensions, projections
from research.figures.style import Captioned
from research.findings import Finding, Table
from research.loop.dimensions import shape_of
from research.loop.images import KINDS, image_subject
from research.loop.languages import NAME as LANGUAGE
from research.loop.languages import language_subjects
from research.loop.populations import Cell, Runner, names
from research.loop.progress import Progress
from research.loop.provenance import timed
from research.loop.runs import SELECTION_SEEDS
from research.loop.step_times import cost_rows
from research.loop.subjects import Prepared, Subject
from research.loop.workdir import Workdir
from research.sweeps import Plan
from research.training.memory import PROCESS_BYTES

NAME = "intrinsic_dimension"
QUESTION = "In how many random directions is a network trained, and how few does pretraining leave to fine-tuning?"
STAGE = 1  # raise by hand when the meaning of a cell changes
READ_AT = (0.25, 0.5)  # of the steps, beside the end
EXTENDABLE = tuple(f"draws.{model}" for model in (*KINDS, LANGUAGE))


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    if not 0 < config.absolute < 1:
        raise UsageError(f"absolute = {config.absolute}: an accuracy between 0 and 1")
    if config.known_draws < 2:
        raise UsageError(f"known_draws = {config.known_draws}: an interval needs at least 2")
    _subjects(config)


def plan(config: Any) -> Plan:
    """Returns what would run; the time is a rough estimate from FLOPs and a fixed overhead per step."""
    subjects = _subjects(config)
    counts = [subject.sweep.counts() for subject in subjects]
    cells = [sum(map(sum, numbers.values())) for numbers in counts]
    rows = [
        {"model": s.name, "parameters": s.described["parameters"], **row}
        for s, numbers in zip(subjects, counts, strict=True)
        for row in s.layout.rows(numbers)
    ]
    steps = sum(n * subject.steps for n, subject in zip(cells, subjects, strict=True))
    seconds = costs.estimated_seconds(sum(subject.flops for subject in subjects), steps)
    return Plan(sum(cells), rows, PROCESS_BYTES + max(subject.layout.memory_bytes for subject in subjects), seconds)


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]]]:
    """Yields the records: known dimensions, then of each model references, selection, choice, results, and what a step costs."""
    subjects = _subjects(config)
    with Progress() as progress, contextlib.ExitStack() as stack:
        ready = [stack.enter_context(subject.programs()) for subject in subjects]
        # All of them before the first record: data that cannot be had then leaves no folder behind.
        prepared = [subject.prepare(workdir, progress) for subject in subjects]
        with timed("known dimensions", workdir.timings.append):
            kinds = sorted({kind for subject in subjects for kind in subject.sweep.projections})
            yield list(known_records(NAME, kinds, config.known_draws))
        for subject, own, programs in zip(subjects, prepared, ready, strict=True):
            facts = {"absolute_level": config.absolute} if subject.name != LANGUAGE else {}
            runner = Runner(programs, subject.setting(NAME, own, READ_AT), workdir, progress)
            yield _references(subject, own, {**facts, "per_layer": float(config.per_layer)}, runner)
            yield from _measured(subject, own, runner, workdir)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns d90 by every definition, accuracies and losses, known dimensions, and what each projection costs."""
    return dimension_readings.findings(results)


def answer(findings: Sequence[Finding]) -> str:
    """Returns the answer in one sentence, generated from the findings."""
    return dimension_readings.answer(findings)


def headline(findings: Sequence[Finding]) -> Sequence[Table]:
    """Returns the tables with which the report begins."""
    return dimension_headline.headline(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption."""
    found = dimension_readings.findings(results)
    drawn = {
        "quality_against_dimension": Captioned(dimensions.quality_against_dimension(results, found), dimensions.quality_caption(results)),
        "dimension_against_pretraining": Captioned(
            dimension_trends.against_pretraining(found), dimension_trends.pretraining_caption(found)
        ),
        "projections": Captioned(projections.compared(found), projections.caption(found)),
    }
    if len({f.where["parameters"] for f in found if f.name == "d90" and f.where["model"] == LANGUAGE}) > 1:
        drawn["dimension_against_size"] = Captioned(dimension_trends.against_size(found), dimension_trends.size_caption(found))
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


def _measured(subject: Subject, prepared: Prepared, runner: Runner, workdir: Workdir) -> Iterator[list[dict[str, Any]]]:
    """The phases of one subject: selection, choice, results, and what a step costs."""
    sweep = subject.sweep
    name = names(STAGE, subject.share, (), (*prepared.fingerprints, sweep.width()))

    def made(coordinates: Sequence[Mapping[str, Any]]) -> list[Cell]:
        rows = [{**subject.described, **sweep.rescaled(c)} for c in coordinates]
        places = [prepared.places[c["init"], c["seed"]] for c in rows]
        return [
            Cell(name(c), c, shape_of(c), place, c["dimension"] or 0, c["learning_rate"], c["seed"])
            for c, place in zip(rows, places, strict=True)
        ]

    words = f"{subject.name} ({subject.described['parameters']:,} parameters)"
    yield from choose_and_run(runner, made, sweep.selection(), sweep.results(), words, subject.described)
    missing = [shape for shape in subject.layout.tasks if not workdir.records.has(**_cost_of(subject, shape))]
    rows = cost_rows(runner, subject.layout, max(sweep.dimensions), missing)
    yield [{"experiment": NAME, "cell": "", **subject.described, **row} for row in rows]


def _cost_of(subject: Subject, shape: str) -> dict[str, Any]:
    """The coordinates of what a step costs: a time is never the same twice, so it is measured once."""
    return {**subject.described, "phase": "cost", "projection": None if shape == "full" else shape, "metric": "step_time"}


def _references(subject: Subject, prepared: Prepared, facts: Mapping[str, float], runner: Runner) -> list[dict[str, Any]]:
    """What needs no training: the untouched models, the most frequent class or the unigram entropy, and the steps of pretraining."""
    start = {"experiment": NAME, "cell": "", **subject.described, "phase": "reference"}
    nothing = {"arm": None, "trains": "nothing", "rank": None, "projection": None, "dimension": 0, "learning_rate": None, "step": 0}
    wanted = {key: place for key, place in prepared.places.items() if key[1] < SELECTION_SEEDS}
    values: list[tuple[str | None, int | None, str, float, str]] = [(None, None, *fact, "1") for fact in facts.items()]
    if subject.name == LANGUAGE:
        values.append((None, None, "unigram_loss", unigram_bits(*prepared.targets), "bits/byte"))
    else:
        values.append((None, None, "chance", majority_share(*prepared.targets), "1"))
    values += [(init, None, "pretraining_steps", steps, "steps") for init, steps in prepared.pretrained.items()]
    units = {m.metric: m.unit for m in prepared.measures["result"]}
    for metric, found in runner.untouched("full", "result", list(wanted.values())).items():
        values += [(init, seed, metric, float(value), units[metric]) for (init, seed), value in zip(wanted, found, strict=True)]
    return [
        {**start, "init": init, **nothing, "seed": seed, "metric": metric, "value": round(value, 7), "unit": unit}
        for init, seed, metric, value, unit in values
    ]
