"""Curvature at points: largest and smallest eigenvalue, trace, gradient noise, what Adam sees of it, and the density of the spectrum."""

import functools
import itertools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.loss_landscape.axes import FULL, LandscapeSweep
from experiments.loss_landscape.ground import Ground, Point, Weights, in_groups
from experiments.loss_landscape.levels import level, nearest
from experiments.loss_landscape.paths import Followed
from experiments.loss_landscape.points import Wanted, chosen, losses_read, wanted
from research.analysis.curvature import WHOLE, hutchinson, quadratic_forms
from research.analysis.lanczos import Tridiagonal, nodes_and_weights, ritz, tridiagonal, truncated
from research.analysis.products import hessian
from research.analysis.trajectories import noise_scale, preconditioned, squared_norms, stability_limit
from research.cells.bases import stacked
from research.cells.runner import Runner
from research.cells.subject import Rows
from research.models.model import count
from research.optimizers import OptimizerSpec, learning_rate_at
from research.records import rounded
from research.runtime.provenance import timed
from research.training.memory import LARGE, nbytes
from research.training.spread import spread

KEY = 13
PLAIN = 1e9  # steps
LEAD = ("pretrained", "random")  # whose densities, and whose curvature as Adam sees it, are read
UNITS = {"loss": "bits/byte", "spectral_weight": "1", "gradient_norm": "nats", "noise_scale": "sequences"}


class Curvature:
    """Reads the curvature of a run's points, a few at a time, by programs over the devices: the loss, Lanczos, what needs no iteration."""

    def __init__(self, runner: Runner, sweep: LandscapeSweep, ground: Ground) -> None:
        self._runner, self._sweep, self._ground = runner, sweep, ground
        large = nbytes(runner.setting.bases.params(0)) > LARGE
        self._size = jax.device_count() * (1 if large else 2)  # of a group: each further size would be compiled anew
        spec = ground.tasks[FULL].optimizer
        self._lanczos = {name: spread(functools.partial(_lanczos, loss, sweep, spec)) for name, loss in ground.losses.items()}
        self._losses = {name: spread(functools.partial(_loss, loss)) for name, loss in ground.losses.items()}
        self._rest = spread(functools.partial(_rest, ground.losses[FULL], sweep.curvature["probes"]))

    def losses(self, wanted: Sequence[Wanted]) -> Iterator[Rows]:
        """Yields the losses of the points that do not stand yet."""
        for group in self._open(wanted, "loss"):
            found = self._losses[group[0].where["trains"]](self._own([one.make() for one in group]), self._ground.rows)
            values = (float(loss) * self._ground.bits for loss in found)
            yield [self._row(one.where, one.at, one.step, "loss", value) for one, value in zip(group, values, strict=False)]

    def read(self, wanted: Sequence[Wanted]) -> Iterator[Rows]:
        """Yields the curvature of the points that do not stand yet: of everything, or, in an adapter's coordinates, eigenvalues alone."""
        for group in self._open(wanted, "lambda_max"):
            trains, points = group[0].where["trains"], [one.make()._replace(seen=None) for one in group]  # of the Hessian itself
            found, rest = self._tridiagonal(trains, points, [KEY] * len(points)), {}
            if trains == FULL:
                rest = self._rest(self._own(points), self._ground.rows, jax.random.key_data(jax.random.key(KEY + 1)))
            every = zip(group, found, _each(rest, len(group)), strict=True)
            yield [row for one, tri, numbers in every for row in self._rows(one, tri, numbers)]

    def _open(self, wanted: Sequence[Wanted], metric: str) -> Iterator[Sequence[Wanted]]:
        """Groups of points of one shape without a record, under a bar."""
        records = self._runner.workdir.records
        open_ = [one for one in wanted if not records.has(**one.where, phase="curvature", at=one.at, step=one.step, metric=metric)]
        name = "curvature" if metric == "lambda_max" else "losses of ways"
        with timed(name, self._runner.workdir.timings.append), self._runner.progress.task(name, len(open_)) as bar:
            for _, some in itertools.groupby(open_, key=lambda one: one.where["trains"]):
                for group in in_groups(list(some), self._size):
                    yield group
                    bar.advance(len(group))

    def read_as_adam(self, points: Sequence[Point]) -> Rows:
        """Returns the largest eigenvalue that Adam sees at points of a way, beside the one at which its steps would no longer converge."""
        spec, rows = self._ground.tasks[FULL].optimizer, []
        for group in in_groups(points, self._size):
            found = self._tridiagonal(FULL, group, [KEY] * len(group))
            for point, tri in zip(group, found, strict=True):
                rate = float(learning_rate_at(spec, point.where["learning_rate"], jnp.int32(point.step - 1)))  # of the step that led here
                limit = stability_limit(rate, "adam", spec.b1)
                known = {"preconditioned_lambda_max": _outermost(tri, "largest")[0], "stability_limit": limit}
                rows += [self._row(point.where, point.at, point.step, metric, x) for metric, x in known.items()]
        return self._runner.workdir.records.missing(rows)

    def density(self, point: Point, at: str, loss: float) -> Rows:
        """Returns the nodes and weights of a point's spectrum, probe by probe."""
        probes = self._sweep.curvature["densities"]
        point = point._replace(seen=None)
        groups = in_groups([KEY + 2 + probe for probe in range(probes)], self._size)
        pairs = [nodes_and_weights(tri) for keys in groups for tri in self._tridiagonal(FULL, [point] * len(keys), keys)]
        rows = [self._row(point.where, at, point.step, "loss", loss)]
        for probe, (nodes, shares) in enumerate(pairs):
            for node, (value, weight) in enumerate(zip(map(float, nodes), shares, strict=True)):
                known = {"spectral_node": value, "spectral_weight": weight}
                some = (self._row(point.where, at, point.step, metric, number) for metric, number in known.items())
                rows += [{**row, "probe": probe, "node": node} for row in some]
        return [{**row, "phase": "density"} for row in rows]

    def _tridiagonal(self, trains: str, points: Sequence[Point], keys: Sequence[int]) -> list[Tridiagonal]:
        """Lanczos from the start that each key fixes; of the Hessian, or, where a point knows what Adam has seen, of what Adam sees."""
        own = []
        for point, key in zip(points, keys, strict=True):
            plain = jax.tree.map(np.ones_like, point.moves)  # after endless steps with gradients of 1: D is 1
            nu, steps = (plain, PLAIN) if point.seen is None else (point.seen, point.step)
            own.append((point.moves, point.stays, nu, np.float32(steps), np.asarray(jax.random.key_data(jax.random.key(key)))))
        found = self._lanczos[trains](self._filled(own), self._ground.rows)
        return [truncated(Tridiagonal(*one)) for one in _each((found.diagonal, found.beside), len(points))]

    def _own(self, points: Sequence[Point]) -> Any:
        return self._filled([(point.moves, point.stays) for point in points])

    def _filled(self, own: Sequence[Any]) -> Any:
        return stacked([*own, *[own[-1]] * (self._size - len(own))])

    def _rows(self, one: Wanted, tri: Tridiagonal, found: Mapping[str, Any]) -> Rows:
        (largest, residual), (smallest, _) = _outermost(tri, "largest"), _outermost(tri, "smallest")
        known = {"lambda_max": largest, "lambda_max_residual": residual, "lambda_min": smallest}
        if "large" in found:
            known["gradient_norm"] = float(np.sqrt(found["large"]))
        if "large" in found and (n := len(self._ground.rows)) > 1:
            known["noise_scale"] = noise_scale(found["small"], [found["large"]], (1, n)).scale
        if len(forms := found.get("forms", ())):
            trace = hutchinson(forms)
            known |= {"trace": trace.value, "trace_half_width": trace.high - trace.value}
        return [self._row(one.where, one.at, one.step, metric, value) for metric, value in known.items()]

    def _row(self, where: Any, at: str, step: int, metric: str, value: Any) -> dict[str, Any]:
        row = {"experiment": self._runner.setting.experiment, "cell": "", **where, "phase": "curvature", "at": at, "step": step}
        finite = value is not None and bool(np.isfinite(value))
        row |= {"metric": metric, "value": rounded(float(value)) if finite else None, "unit": UNITS.get(metric, "nats")}
        return row if finite else row | {"note": "not finite"}


def read(runner: Runner, sweep: LandscapeSweep, ground: Ground, weights: Weights, followed: Followed) -> Iterator[Rows]:
    """Yields the curvature at the start, at the end and around one loss; as Adam sees it; and densities where losses are alike, too."""
    reader, records = Curvature(runner, sweep, ground), runner.workdir.records
    points = wanted(sweep, weights, followed)
    yield from reader.losses(points)
    lead = [init for init in sweep.inits if init in LEAD]
    yield from reader.read(chosen(points, losses_read(runner), lead))
    ways = [way for way in (followed.points if followed.steps else ()) if way[0].where["init"] in lead and way[0].where["seed"] == 0]
    for way in ways:
        if not records.has(**{**way[-1].where, "phase": "curvature"}, metric="preconditioned_lambda_max", step=way[-1].step):
            yield reader.read_as_adam(way)
    if sweep.reads("densities"):
        yield from _densities(runner, reader, weights, followed, lead)


def _densities(runner: Runner, reader: Curvature, weights: Weights, followed: Followed, lead: Sequence[str]) -> Iterator[Rows]:
    rows = losses_read(runner)
    alike = level(rows)
    for init in lead:
        own = [row for row in rows if row["init"] == init and row["seed"] == 0]
        chosen: dict[str, Mapping[str, Any]] = {
            "start": min(own, key=lambda row: row["step"]),
            "end": max(own, key=lambda row: row["step"]),
        }
        if alike is not None and len(own) > 2:
            chosen["matched"] = nearest(own, alike)
        for at, row in chosen.items():
            if runner.workdir.records.has(phase="density", init=init, at=at, metric="loss"):
                continue
            with timed("densities", runner.workdir.timings.append):
                yield reader.density(_point(row, weights, followed), at, row["value"])


def _point(row: Mapping[str, Any], weights: Weights, followed: Followed) -> Point:
    """The weights of a reading of full training, of the first run."""
    if row["at"] == "start":
        return weights.start(row)
    cell = next(c for c in weights.cells if c.shape == FULL and all(c.coordinates[name] == row[name] for name in ("init", "seed", "run")))
    return followed.point(cell, row["step"]) if followed.steps else weights.end(cell)


def _outermost(found: Tridiagonal, end: str) -> tuple[float, float]:
    best = ritz(found, end)
    return float(best.values[0]), float(best.residuals[0])


def _each(found: Any, count: int) -> list[Any]:
    """Trees of single points from a stacked one."""
    return [jax.tree.map(operator.itemgetter(index), found) for index in range(count)]


def _lanczos(loss: Callable[..., Array], sweep: LandscapeSweep, spec: OptimizerSpec, point: Any, rows: Array) -> Tridiagonal:
    """Lanczos at one point, of D^-1/2 H D^-1/2; traced."""
    moves, stays, nu, steps, key = point
    product = preconditioned(hessian(loss), nu, steps, spec.b2, spec.eps)
    whole = count(moves) <= WHOLE
    found = tridiagonal(product, moves, (stays, rows), jax.random.wrap_key_data(key), sweep.curvature["products"], whole)
    return found._replace(vectors=None)


def _rest(loss: Callable[..., Array], probes: int, point: Any, rows: Array, key: Array) -> dict[str, Array]:
    """v'Hv of each probe, and squared norms of gradients at one point; traced."""
    moves, stays = point
    small, large = squared_norms(loss, moves, stays, rows)
    forms = quadratic_forms(hessian(loss), moves, (stays, rows), jax.random.wrap_key_data(key), probes) if probes else jnp.zeros(0)
    return {"forms": forms, "small": small, "large": large}


def _loss(loss: Callable[..., Array], point: Any, rows: Array) -> Array:
    moves, stays = point
    return loss(moves, (stays, rows))
