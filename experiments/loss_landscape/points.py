"""The points of a run whose curvature is read, and where on its way each one lies."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from experiments.loss_landscape.axes import FULL, LandscapeSweep
from experiments.loss_landscape.ground import Point, Weights
from experiments.loss_landscape.levels import around
from experiments.loss_landscape.paths import Followed
from research.cells.runner import Runner
from research.cells.subject import Rows


class Wanted(NamedTuple):
    """A point that is to be read: its coordinates, where on the way it lies, and what makes it."""

    where: dict[str, Any]
    at: str
    step: int
    make: Callable[[], Point]


def wanted(sweep: LandscapeSweep, weights: Weights, followed: Followed) -> list[Wanted]:
    """Returns the points whose curvature may be read, those of one shape together."""
    found = [Wanted(_plain(c), "start", 0, functools.partial(weights.start, c)) for c in sweep.starts()]
    for cell in (cell for cell in weights.cells if cell.coordinates["run"] == 0):
        where = _plain(cell.coordinates)
        if cell.shape == FULL and followed.steps:
            found += [
                Wanted(where, "end" if step == followed.steps[-1] else "path", step, functools.partial(followed.point, cell, step))
                for step in followed.steps
            ]
        else:
            found.append(Wanted(where, "end", sweep.steps, functools.partial(weights.end, cell)))
    return sorted(found, key=lambda one: str(one.where["trains"]))


def losses_read(runner: Runner) -> Rows:
    """Returns the records of the losses along the ways of full training."""
    known = {"phase": "curvature", "trains": FULL, "metric": "loss"}
    return [row for row in runner.workdir.records.rows if all(row.get(key) == value for key, value in known.items())]


def chosen(points: Sequence[Wanted], losses: Rows, lead: Sequence[str]) -> list[Wanted]:
    """Returns those whose curvature is read: starts, ends, both sides of the loss that all reach, all of the first base's leading ways."""
    sides = around(losses)

    def reads(one: Wanted) -> bool:
        where = one.where
        leads = where["init"] in lead and where["seed"] == 0
        return one.at != "path" or leads or one.step in sides.get((where["init"], where["seed"], where["run"]), ())

    return [one for one in points if reads(one)]


def _plain(coordinates: Any) -> dict[str, Any]:
    return {name: value for name, value in coordinates.items() if name not in ("phase", "chosen_for")}
