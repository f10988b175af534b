"""Losses around weights: on planes and lines of random directions, and on the plane in which a run moved most."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from experiments.loss_landscape.axes import FULL, LORA, LandscapeSweep
from experiments.loss_landscape.ground import Ground, Point, Weights
from experiments.loss_landscape.paths import Followed, trajectory
from research.analysis.directions import gaussian, principal, projected
from research.analysis.landscape import profile, surface
from research.cells.runner import Runner
from research.cells.subject import Rows
from research.records import rounded
from research.runtime.provenance import timed

KEY = 7
MARGIN = 0.25  # of a way's extent, around it


class Grids:
    """Reads losses on grids around the points of the first base; what stands is not read again."""

    def __init__(self, runner: Runner, sweep: LandscapeSweep, ground: Ground) -> None:
        self._runner, self._sweep, self._ground = runner, sweep, ground

    def surface(self, make: Callable[[], Point], way: Callable[[], Any] | None) -> Rows:
        """Returns the losses on the plane of two random directions, filter by filter in the scale of the weights, and a way's shadow."""
        point = make()
        plane = self._direction(point, 0), self._direction(point, 1)
        radius = self._sweep.grids["radius"]
        xs = np.linspace(-radius, radius, self._sweep.grids["surface"])
        rows = self._plane(point, "random", plane, xs, xs)
        return rows if way is None else [*rows, *self._shadow(point, "random", _shadows(_less(way(), point.moves), plane))]

    def plane(self, make: Callable[[], Point], way: Callable[[], Any]) -> Rows:
        """Returns the losses on the plane in which a way moved most, the way on it, and the shares of its variance that its axes hold."""
        end, plane = make(), principal(way())
        xs, ys = (_spanned(side, self._sweep.grids["surface"]) for side in plane.coordinates.T)
        rows = self._plane(end, "principal", plane.directions, xs, ys) + self._shadow(end, "principal", plane.coordinates)
        shares = zip(("x", "y"), plane.shares, strict=True)
        return rows + [self._row(end, "share", float(share), "1", plane="principal", axis=axis) for axis, share in shares]

    def profiles(self, make: Callable[[], Point]) -> Rows:
        """Returns the losses along random directions, each in the scale of the weights."""
        grid, point = self._sweep.grids, make()
        rows: Rows = []
        xs = np.linspace(-grid["radius"], grid["radius"], grid["profile"])
        for direction in range(grid["directions"]):  # one at a time: all together would be many copies of the weights
            along = jax.tree.map(lambda leaf: leaf[None], self._direction(point, direction))
            (losses,) = profile(self._ground.loss(point), point.moves, self._ground.batch(point), along, xs)
            rows += [
                self._loss(point, "profile", loss, direction=direction, x=rounded(float(x))) for x, loss in zip(xs, losses, strict=True)
            ]
        return rows

    def _direction(self, point: Point, index: int) -> Any:
        return gaussian(point.moves, jax.random.fold_in(jax.random.key(KEY), index))

    def _plane(self, point: Point, plane: str, directions: tuple[Any, Any], xs: np.ndarray, ys: np.ndarray) -> Rows:
        losses = surface(self._ground.loss(point), point.moves, self._ground.batch(point), directions, xs, ys)
        return [
            self._loss(point, "surface", loss, plane=plane, x=rounded(float(x)), y=rounded(float(y)))
            for y, row in zip(ys, losses, strict=True)
            for x, loss in zip(xs, row, strict=True)
        ]

    def _shadow(self, point: Point, plane: str, coordinates: np.ndarray) -> Rows:
        axes = [("x", 0), ("y", 1)]
        return [
            self._row(point, "shadow", float(place[axis]), "1", plane=plane, axis=name, order=order)
            for order, place in enumerate(coordinates)
            for name, axis in axes
        ]

    def _loss(self, point: Point, metric: str, nats: float, **where: Any) -> dict[str, Any]:
        return self._row(point, metric, float(nats) * self._ground.bits, "bits/byte", **where)

    def _row(self, point: Point, metric: str, value: float, unit: str, **where: Any) -> dict[str, Any]:
        row = {
            "experiment": self._runner.setting.experiment,
            "cell": "",
            **point.where,
            "phase": "grid",
            "at": point.at,
            "step": point.step,
        }
        row |= {**where, "metric": metric, "value": rounded(value) if np.isfinite(value) else None, "unit": unit}
        return row if np.isfinite(value) else row | {"note": "not finite"}


def read(runner: Runner, sweep: LandscapeSweep, ground: Ground, weights: Weights, followed: Followed) -> Iterator[Rows]:
    """Yields profiles and surfaces around the start and the end from the first base, in LoRA's coordinates around the end alone.

    At its start an adapter's B is zero: no direction is in its scale, and where A alone moves nothing changes.
    """
    jobs = list(_jobs(Grids(runner, sweep, ground), sweep, weights, followed))
    with timed("grids", runner.workdir.timings.append), runner.progress.task("surfaces and profiles", len(jobs)) as bar:
        for where, make in jobs:
            if not runner.workdir.records.has(**where):
                yield make()
            bar.advance()


Job = tuple[Mapping[str, Any], Callable[[], Rows]]


def _jobs(grids: "Grids", sweep: LandscapeSweep, weights: Weights, followed: Followed) -> Iterator[Job]:
    """What is read, with the coordinates of a record that stands where it was read before."""
    for where, at, make in _points(sweep, weights):
        known, full = {**where, "at": at}, where["trains"] == FULL
        way = functools.partial(_way, where, weights, followed) if full and followed.steps else None
        if sweep.reads("profiles") and full:
            yield {**known, "metric": "profile"}, functools.partial(grids.profiles, make)
        if sweep.reads("surfaces"):
            yield {**known, "metric": "surface", "plane": "random"}, functools.partial(grids.surface, make, way)
        if sweep.reads("surfaces") and way is not None and at == "end":
            yield {**known, "metric": "share"}, functools.partial(grids.plane, make, way)


def _way(where: Mapping[str, Any], weights: Weights, followed: Followed) -> Any:
    """The weights of the first base's first run from an initialization: at the start, along its way, at the end, stacked."""
    own = next(way for way in followed.points if way[0].where["init"] == where["init"] and way[0].where["seed"] == 0)
    return trajectory(weights.start(where), own)


def _points(sweep: LandscapeSweep, weights: Weights) -> Iterator[tuple[Mapping[str, Any], str, Callable[[], Point]]]:
    for c in sweep.starts():
        if c["seed"] == 0 and c["trains"] == FULL:
            yield {**c, "phase": "grid"}, "start", functools.partial(weights.start, c)
    for cell in weights.cells:
        if cell.coordinates["seed"] == cell.coordinates["run"] == 0 and cell.shape in (FULL, LORA):
            where = {name: value for name, value in cell.coordinates.items() if name != "chosen_for"}
            yield where, "end", functools.partial(weights.end, cell)


def _less(way: Any, origin: Any) -> Any:
    return jax.tree.map(lambda leaf, one: leaf - one, way, origin)


def _shadows(way: Any, plane: tuple[Any, Any]) -> np.ndarray:
    """Coordinates on a plane of the points of a way, (points, 2)."""
    return np.stack([projected(jax.tree.map(lambda leaf, i=i: leaf[i], way), plane) for i in range(jax.tree.leaves(way)[0].shape[0])])


def _spanned(side: np.ndarray, points: int) -> np.ndarray:
    extent = float(np.ptp(side)) or 1.0
    places = np.linspace(side.min() - MARGIN * extent, side.max() + MARGIN * extent, points)
    return np.array([float(f"{place:.3g}") for place in places])  # they name records: the same on every device
