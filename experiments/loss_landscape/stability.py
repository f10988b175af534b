"""The largest learning rate that does not diverge, by bisection: all bases at once, each with a bracket of its own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.loss_landscape.axes import FULL, LandscapeSweep
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.subject import Rows
from research.data.batches import orders
from research.records import rounded
from research.runtime.provenance import timed
from research.training import processes
from research.training.population import Members


def read(runner: Runner, sweep: LandscapeSweep, cells: Sequence[Cell]) -> Iterator[Rows]:
    """Yields, for the first run from each base, the largest rate at which its training neither overflows nor ends above where it began.

    Its end is the mean loss of the last third of `stability.steps`, and where it began the loss of untouched weights on the same windows.
    The bracket is halved in log rate `stability.rounds` times; a rate
    that is stable at the highest, or unstable at the lowest, is censored there and its note says so.
    """
    own = [cell for cell in cells if cell.shape == FULL and cell.coordinates["run"] == 0]
    records, how = runner.workdir.records, sweep.stability
    if all(records.has(**_where(cell), metric="largest_stable_rate") for cell in own):
        return
    ends = np.log([[how["lowest"], how["highest"]]] * len(own))
    with timed("stability", runner.workdir.timings.append), runner.progress.task("largest stable rates", how["rounds"] + 3) as bar:
        untouched = _last_losses(runner, own, np.zeros(len(own)), how["steps"])
        bar.advance()
        outside = []
        for side in (0, 1):
            outside.append(_last_losses(runner, own, np.exp(ends[:, side]), how["steps"]) < untouched)
            bar.advance()
        for _ in range(how["rounds"]):
            middle = ends.mean(axis=1)
            stable = _last_losses(runner, own, np.exp(middle), how["steps"]) < untouched
            ends[np.arange(len(own)), np.where(stable, 0, 1)] = middle
            bar.advance()
    yield [_row(runner, cell, how, np.exp(ends[i]), (bool(outside[0][i]), bool(outside[1][i]))) for i, cell in enumerate(own)]


def _row(runner: Runner, cell: Cell, how: Mapping[str, Any], ends: np.ndarray, stable: tuple[bool, bool]) -> dict[str, Any]:
    row = {"experiment": runner.setting.experiment, "cell": "", **_where(cell), "step": how["steps"], "metric": "largest_stable_rate"}
    if not stable[0]:
        return {**row, "value": None, "unit": "1", "note": f"below {how['lowest']:g}"}
    if stable[1]:
        return {**row, "value": None, "unit": "1", "note": f"above {how['highest']:g}"}
    return {**row, "value": rounded(float(np.sqrt(ends.prod()))), "unit": "1"}


def _where(cell: Cell) -> dict[str, Any]:
    known = {name: cell.coordinates[name] for name in ("init", "arm", "trains", "rank", "seed", "run", "base")}
    return {**known, "phase": "stability"}


def _last_losses(runner: Runner, cells: Sequence[Cell], rates: np.ndarray, steps: int) -> np.ndarray:
    """The mean training loss of the last third of the steps, infinite where one was no number; at a rate of 0, before training."""
    losses = _trained(runner, cells, rates, steps)
    last = losses[:, -max(1, steps // 3) :].mean(axis=1)
    found: np.ndarray = np.where(np.isfinite(losses).all(axis=1), last, np.inf)
    return found


def _trained(runner: Runner, cells: Sequence[Cell], rates: np.ndarray, steps: int) -> np.ndarray:
    """Training losses (cell, step) in nats at these rates, by the programs that trained the cells."""
    setting, functions = runner.setting, runner.programs[FULL]
    devices = setting.mesh.shape["member"]
    width = min(setting.widths[FULL], -(-len(cells) // devices) * devices)  # fewer than were trained: empty places would be trained, too
    bases, losses = runner.placed(cells[0].base), []
    for place in range(0, len(cells), width):
        some = list(range(place, min(place + width, len(cells))))
        filled = [some[min(i, len(some) - 1)] for i in range(width)]
        seeds = [cells[i].seed for i in filled]
        members = Members(
            np.array([setting.bases.index(cells[i].base) for i in filled], np.int32),
            np.zeros(width, np.int32),
            rates[filled].astype(np.float32),
            np.array(seeds, np.uint32),
        )
        states, told = functions.init(members, bases), []
        for done in range(0, steps, setting.chunk):
            order = orders(seeds, done, setting.chunk, setting.batch_size, len(setting.windows))
            states, found = functions.train(states, members, setting.windows[order], bases)
            told.append(processes.fetch(found))
        losses.append(np.concatenate(told, axis=1)[: len(some), :steps])
    return np.concatenate(losses)
