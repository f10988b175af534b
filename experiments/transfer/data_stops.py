"""Early stopping: of each run the weights that have the lowest loss on the validation part, read on the held-out part by documents."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from research.cells import altered
from research.cells.altered import Altered
from research.cells.kept import weights
from research.cells.measures import BY_DOCUMENT
from research.cells.runner import Runner
from research.cells.setting import Cell, kept_as
from research.cells.subject import Rows
from research.records import rounded
from research.runtime.provenance import timed
from research.training import processes

SHARE = "stopped_at"  # of the steps; 1: the loss was lowest at the end, and a longer run may be lower


def read(runner: Runner, cells: Sequence[Cell]) -> Iterator[Rows]:
    """Yields what each run reads where it is stopped; weights of other steps are then dropped. A run that diverged at once reads null."""
    todo = [cell for cell in cells if not runner.workdir.records.has(**_where(cell), metric=SHARE)]
    best = _lowest(runner, todo)
    found = [Altered((cell, best[cell.fingerprint]), cell.base, None) for cell in todo if cell.fingerprint in best]
    with timed("stopped runs", runner.workdir.timings.append), runner.progress.task("stopped runs", len(todo)) as bar:
        yield [row for cell in todo if cell.fingerprint not in best for row in _rows(runner, cell, 0, {"target_loss": np.nan})]
        loaded = (one._replace(params=weights(runner, *one.where)) for one in found)
        for one, values in altered.read(runner, todo[0].shape, "stopped", loaded) if found else ():
            cell, step = one.where
            yield list(_rows(runner, cell, step, values))
            _drop(runner, cell, step)
            bar.advance(1)


def _lowest(runner: Runner, cells: Sequence[Cell]) -> dict[str, int]:
    """The step at which each run's validation loss is lowest, by fingerprint."""
    losses: dict[str, dict[int, float]] = {cell.fingerprint: {} for cell in cells}
    for row in runner.workdir.records.rows:
        if row.get("metric") == "validation_loss" and row.get("cell") in losses and row["value"] is not None:
            losses[row["cell"]][row["step"]] = row["value"]
    return {name: min(known, key=lambda step: known[step]) for name, known in losses.items() if known}


def _where(cell: Cell) -> dict[str, Any]:
    return {key: value for key, value in cell.coordinates.items() if key != "chosen_for"} | {"phase": "stopped"}


def _rows(runner: Runner, cell: Cell, step: int, found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    start = {"experiment": runner.setting.experiment, "cell": "", **_where(cell), "step": step}
    for document, value in enumerate(found.get(BY_DOCUMENT, ())):
        yield _row({**start, "document": document, "metric": BY_DOCUMENT}, float(value), "bits/byte")
    yield _row({**start, "metric": "target_loss"}, float(found["target_loss"]), "bits/byte")
    yield _row({**start, "metric": SHARE}, step / runner.setting.budgets[-1], "1")


def _row(row: dict[str, Any], value: float, unit: str) -> dict[str, Any]:
    healthy = bool(np.isfinite(value))
    return {**row, "value": rounded(value) if healthy else None, "unit": unit, **({} if healthy else {"note": "diverged"})}


def _drop(runner: Runner, cell: Cell, kept: int) -> None:
    for step in runner.setting.kept_at:
        if step != kept and processes.leads():
            runner.workdir.artifact(kept_as(cell, step, runner.setting.budgets[-1])).unlink(missing_ok=True)
