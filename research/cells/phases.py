"""The two phases of a sweep: cells by which learning rates are chosen, then the cells that are read."""

from collections.abc import Callable, Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from research.analysis import learning_rates
from research.cells.runner import Cell, Runner
from research.runtime.provenance import timed

Coordinates = Sequence[Mapping[str, Any]]


def choose_and_run(
    runner: Runner,
    made: Callable[[Coordinates], list[Cell]],
    selection: Coordinates,
    results: Coordinates,
    name: str = "",
    described: Mapping[str, Any] = MappingProxyType({}),
) -> Generator[list[dict[str, Any]], None, list[Cell]]:
    """Yields the records of selection, choice and results; returns the cells of the results.

    made: coordinates, with their learning rates -> cells. selection has learning rates, results get the chosen ones. Cells that were
    selected by are told from those of other sweeps in the workdir by their fingerprints. name, described: of the sweep, where there are
    several; `described` stands in the records of the choice.
    """
    label, save, experiment = f" {name}" if name else "", runner.workdir.timings.append, runner.setting.experiment
    cells = made(selection)
    with timed(f"selection{label}", save):
        yield from runner.run(cells, f"{name}: choosing learning rates".removeprefix(": "))
    mine = {cell.fingerprint for cell in cells}
    chosen = learning_rates.choose(pd.DataFrame([row for row in runner.workdir.records.rows if row.get("cell") in mine]))
    yield [{**described, **row} for row in learning_rates.choice_records(experiment, chosen)]
    final = made(learning_rates.with_rates(results, chosen))
    with timed(f"results{label}", save):
        yield from runner.run(final, f"{name}: results".removeprefix(": "))
    return final
