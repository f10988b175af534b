"""The phases of an experiment: what needs no training, cells that choose learning rates, cells that are read, what follows from them."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from research.analysis import learning_rates
from research.cells.runner import Cell, Runner
from research.cells.runs import SELECTION_SEEDS
from research.cells.subject import Coordinates, Prepared, Rows, Subject
from research.runtime.progress import Progress
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.sweeps import fingerprint


def measured(
    experiment: str, stage: int, subjects: Sequence[Subject], workdir: Workdir, first: Callable[[], Iterable[Rows]] = tuple
) -> Iterator[Rows]:
    """Yields the records of an experiment at a stage: those of `first`, then all phases of one subject after another.

    All subjects are prepared before the first record: data that cannot be had then leaves no folder behind.
    """
    with Progress() as progress, contextlib.ExitStack() as stack:
        programs = [stack.enter_context(subject.programs()) for subject in subjects]
        workdir.timings.append([{"stage": "layout", **subject.described, **row} for subject in subjects for row in subject.layout.rows()])
        prepared = [subject.prepare(workdir, progress) for subject in subjects]
        yield from first()
        for subject, own, ready in zip(subjects, prepared, programs, strict=True):
            runner = Runner(ready, subject.setting(experiment, own), workdir, progress)
            yield from own.before(runner)
            cells = yield from _trained(stage, subject, own, runner)
            yield from own.after(runner, cells)


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
        yield from runner.run(cells, f"{name}: choosing learning rates".removeprefix(": "))
    mine = {cell.fingerprint for cell in cells}
    chosen = learning_rates.choose(pd.DataFrame([row for row in runner.workdir.records.rows if row.get("cell") in mine]))
    yield [{**subject.described, **row} for row in learning_rates.choice_records(experiment, chosen)]
    final = made(learning_rates.with_rates(subject.sweep.results(), chosen))
    with timed(f"results {name}".rstrip(), save):
        yield from runner.run(final, f"{name}: results".removeprefix(": "))
    return final


def named(stage: int, share: Mapping[str, Any], data: Sequence[str], coordinates: Coordinates) -> str:
    """Returns the fingerprint of a cell: the stage of its experiment, what its config says of all cells, its data, its coordinates."""
    return fingerprint({"stage": stage, "config": dict(share), "data": list(data), "cell": dict(coordinates)})


def reference(experiment: str, metric: str, value: float, unit: str, *, digits: int = 7, **where: Any) -> dict[str, Any]:
    """Returns the record of a value that needs no training, rounded to `digits`; `where` adds to the usual coordinates, or changes them."""
    usual = {"init": None, "arm": None, "trains": "nothing", "rank": None, "learning_rate": None, "seed": None, "step": 0}
    start = {"experiment": experiment, "cell": "", "phase": "reference", **usual, **where}
    return {**start, "metric": metric, "value": round(value, digits), "unit": unit}


def untouched(runner: Runner, shape: str, places: Mapping[tuple[str, int], int], **where: Any) -> Rows:
    """Returns the records of each measure of the results before any training, for each (init, seed) of the results and its base's place.

    What stands is not measured again: another device may round it otherwise.
    """
    units = {measure.metric: measure.unit for measure in runner.setting.measures["result"]}

    def stands(init: str, seed: int) -> bool:
        known = {**where, "phase": "reference", "init": init, "seed": seed}
        return all(runner.workdir.records.has(**known, metric=metric) for metric in units)

    wanted = {key: place for key, place in places.items() if key[1] < SELECTION_SEEDS and not stands(*key)}
    return [
        reference(runner.setting.experiment, metric, float(value), units[metric], init=init, seed=seed, **where)
        for metric, values in runner.untouched(shape, "result", list(wanted.values())).items()
        for (init, seed), value in zip(wanted, values, strict=True)
    ]
