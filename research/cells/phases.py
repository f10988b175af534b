"""The phases of an experiment: what needs no training, cells that choose learning rates, cells that are read, what follows from them."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from research.analysis import learning_rates
from research.cells.initializations import base_of
from research.cells.runner import Runner
from research.cells.runs import SELECTION_SEEDS
from research.cells.setting import Cell
from research.cells.subject import Coordinates, Prepared, Rows, Subject, by_layout, check_memory, layout_rows
from research.records import rounded
from research.runtime.conclusions import Milestone
from research.runtime.progress import Progress
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.sweeps import fingerprint


def measured(
    experiment: str, stage: int, subjects: Sequence[Subject], workdir: Workdir, first: Callable[[], Iterable[Rows]] = tuple
) -> Iterator[Rows | Milestone]:
    """Yields the records of an experiment at a stage: those of `first`, then all phases of one subject after another.

    Behind the first subject it yields what a report would lack by then. Subjects that share a layout share its programs. All
    subjects are prepared before the first record: data that cannot be had then leaves no folder behind.
    UsageError, before anything is read, for what this machine's memory cannot hold.
    """
    check_memory(subjects)
    with Progress() as progress, contextlib.ExitStack() as stack:
        programs = {key: stack.enter_context(some[0].programs()) for key, some in by_layout(subjects).items()}
        workdir.timings.append([{"stage": "layout", **row} for row in layout_rows(subjects)])
        prepared = [subject.prepare(workdir, progress) for subject in subjects]
        yield from first()
        for place, (subject, own) in enumerate(zip(subjects, prepared, strict=True)):
            runner = Runner(programs[id(subject.layout)], subject.setting(experiment, own), workdir, progress)
            yield from own.before(runner)
            cells = yield from _trained(stage, subject, own, runner)
            yield from own.after(runner, cells)
            if place == 0 and (missing := [later.name for later in subjects[1:]]):
                yield Milestone(tuple(missing))


def _trained(stage: int, subject: Subject, prepared: Prepared, runner: Runner) -> Generator[Rows, None, list[Cell]]:
    """Yields the records of selection, choice and results; returns the cells of the results.

    Cells that were selected by are told from those of other sweeps in the workdir by their fingerprints.
    """

    def made(coordinates: Iterable[Coordinates]) -> list[Cell]:
        cells = [prepared.cell(each) for each in coordinates]
        return [cell._replace(fingerprint=named(stage, subject.share, prepared.data, cell.coordinates)) for cell in cells]

    name, save, experiment = subject.name, runner.workdir.timings.append, runner.setting.experiment
    cells = made(subject.sweep.selection())
    with timed(f"selection {name}".rstrip(), save):
        yield from runner.until(subject.selection_steps).run(cells, f"{name}: choosing learning rates".removeprefix(": "))
    mine = {cell.fingerprint for cell in cells}
    selected = pd.DataFrame([row for row in runner.workdir.records.rows if row.get("cell") in mine])
    selected = learning_rates.lowest(selected) if subject.stopped_early else selected
    budgets = runner.setting.budgets if subject.rates_per_budget else runner.setting.budgets[-1:]
    chosen = {step: learning_rates.choose(selected, subject.selection_steps or step) for step in budgets} if cells else {}
    for step, table in chosen.items():
        yield [{**subject.described, **row} for row in learning_rates.choice_records(experiment, table, step)]
    results = subject.sweep.results()
    final = made({**c, "chosen_for": step} for step, table in chosen.items() for c in learning_rates.with_rates(results, table))
    with timed(f"results {name}".rstrip(), save):
        yield from runner.run(final, f"{name}: results".removeprefix(": "))
    return final


def named(stage: int, share: Mapping[str, Any], data: Sequence[str], coordinates: Coordinates) -> str:
    """Returns the fingerprint of a cell: the stage of its experiment, what its config says of all cells, its data, its coordinates."""
    return fingerprint({"stage": stage, "config": dict(share), "data": list(data), "cell": dict(coordinates)})


def reference(experiment: str, metric: str, value: float, unit: str, **where: Any) -> dict[str, Any]:
    """Returns the record of a value that needs no training; `where` adds to the usual coordinates, or changes them."""
    usual = {"init": None, "arm": None, "trains": "nothing", "rank": None, "learning_rate": None, "seed": None, "step": 0}
    start = {"experiment": experiment, "cell": "", "phase": "reference", **usual, **where}
    return {**start, "metric": metric, "value": rounded(value), "unit": unit}


def untouched(runner: Runner, shape: str, places: Mapping[tuple[str, int], int], bases: int, **where: Any) -> Rows:
    """Returns the records of each measure of the results before any training, for each (init, seed) of the results and its base's place.

    bases: how many pretrained ones there are. What stands is not measured again: another device may round it otherwise.
    """
    measures = runner.setting.measures["result"]
    units = {name: measure.unit for measure in measures for name in measure.names()}

    def stands(init: str, seed: int) -> bool:
        known = {**where, "phase": "reference", "init": init, "seed": seed}
        return all(runner.workdir.records.has(**known, metric=metric) for metric in units)

    wanted = {key: place for key, place in places.items() if key[1] < SELECTION_SEEDS and not stands(*key)}
    distinct = list(dict.fromkeys(wanted.values()))  # several seeds may start from one base
    found = runner.untouched(shape, "result", distinct)
    rows, experiment = [], runner.setting.experiment
    for metric, values in found.items():
        of = dict(zip(distinct, values, strict=True))
        for (init, seed), place in wanted.items():
            value = of[place]
            at = {"init": init, "seed": seed, "base": base_of(init, seed, bases), **where}
            if np.ndim(value):  # by document
                rows += [reference(experiment, metric, float(x), "bits/byte", document=i, **at) for i, x in enumerate(value)]
            else:
                rows.append(reference(experiment, metric, float(value), units[metric], **at))
    return rows


def document_sizes(runner: Runner, **where: Any) -> Rows:
    """Returns how many bytes each group of documents has that `document_loss`, or `budget_document`, is the mean over."""
    measures, experiment = runner.setting.measures["result"], runner.setting.experiment
    sizes = {
        "document_bytes": [int(weight) for m in measures if m.groups is not None for weight in m.weights()],
        "budget_document_bytes": [int(weight) for m in measures if m.first_groups is not None for weight in m.first_weights()],
    }
    return [reference(experiment, name, x, "bytes", document=i, **where) for name, own in sizes.items() for i, x in enumerate(own)]
