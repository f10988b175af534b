"""Records of a run with planted numbers, of every phase, such as a real one gives: for figures."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

STARTS = {"pretrained": 5.0, "shuffled": 12.5, "rotated": 9.0, "random": 8.0}
ENDS = {"pretrained": 1.0, "shuffled": 1.45, "rotated": 1.4, "random": 1.3}
SHARP = {"pretrained": 30.0, "shuffled": 90.0, "rotated": 60.0, "random": 10.0}
STEPS = (5, 10, 20, 40, 100, 200)
SHARED = 1.45 + 0.02  # the largest end, of the last base
LIMIT = 76.0
PARAMETERS = 131_392
POINTS = (("start", "full"), ("end", "full"), ("end", "lora"))
Record = dict[str, Any]


def loss(init: str, seed: int, step: int) -> float:
    """Returns the planted loss (bits/byte): from its start to its end geometrically in log steps."""
    share = np.log1p(step) / np.log1p(STEPS[-1])
    return float(STARTS[init] ** (1 - share) * ENDS[init] ** share + 0.01 * seed)


def landscape(inits: Sequence[str] = tuple(STARTS), seeds: int = 3, runs: int = 5, points: int = 15) -> pd.DataFrame:
    """Returns records of every phase, for these axes; grids have `points` a side and one loss of shuffled weights is missing."""
    every = (_results, _curvature, _barriers)
    rows: list[Record] = [{"phase": "reference", "metric": "parameters", "value": PARAMETERS, "trains": "nothing", "step": 0}]
    for init in inits:
        rows += [row for part in every for row in part(init, seeds, runs)]
        rows += [*_grids(init, points), *_densities(init)]
        rows += [_row("select", init, "validation_loss", 2 + rate, learning_rate=rate, seed=1000) for rate in (0.01, 0.02)]
    return pd.DataFrame(rows)


def _row(phase: str, init: str, metric: str, value: float | None, **where: Any) -> Record:
    known = {"trains": "full", "seed": 0, "run": 0, "step": STEPS[-1], "base": where.get("seed", 0)}
    return {"phase": phase, "init": init, "metric": metric, "value": value, **known, **where}


def _results(init: str, seeds: int, runs: int) -> Iterator[Record]:
    for seed, run, step in itertools.product(range(seeds), range(runs), STEPS):
        yield _row("result", init, "validation_loss", loss(init, seed, step), seed=seed, run=run, step=step)
        if not run:
            yield _row("result", init, "validation_loss", loss(init, seed, step) + 0.6, seed=seed, step=step, trains="lora")


def _curvature(init: str, seeds: int, runs: int) -> Iterator[Record]:
    for seed, step in itertools.product(range(seeds), (0, *STEPS)):
        at = {0: "start", STEPS[-1]: "end"}.get(step, "path")
        sharp = SHARP[init] * (1 + 0.1 * seed) * (1 + step) ** 0.3
        known = {"lambda_max": sharp, "trace": 8 * sharp, "trace_half_width": 2 * sharp, "loss": loss(init, seed, step)}
        if init in ("pretrained", "random") and not seed and step:
            known |= {"preconditioned_lambda_max": 0.2 * LIMIT * step**0.3, "stability_limit": LIMIT}
        for metric, value in known.items():
            yield _row("curvature", init, metric, value, seed=seed, step=step, at=at)


def _barriers(init: str, seeds: int, runs: int) -> Iterator[Record]:
    cells = list(itertools.product(range(seeds), range(runs)))
    for (seed, run), (other, its) in itertools.combinations(cells, 2):
        kind = "one base" if seed == other else "two bases" if run == its else None
        for matching, share in (("raw", 1.0), ("matched", 0.7)):
            height = share * (0.02 if kind == "one base" else 0.2 * SHARP[init] ** 0.5) + 0.01 * run
            where = {"pair": kind, "seed": other, "run": its, "other_seed": seed, "other_run": run, "matching": matching}
            yield from [_row("barrier", init, "barrier", height, **where)] if kind else []
    for seed, run in cells:
        where = {"pair": "start", "seed": seed, "run": run, "other_seed": seed, "other_run": run, "matching": "raw"}
        yield _row("barrier", init, "barrier", -0.3 * STARTS[init] + 0.1 * run, **where)


def _grids(init: str, points: int) -> Iterator[Record]:
    xs, way = np.linspace(-1, 1, points), ((30.0, 1.0), (22.0, 6.0), (0.0, 0.0))
    for at, trains in POINTS:
        own, center = {"at": at, "trains": trains}, STARTS[init] if at == "start" else ENDS[init]
        for x, y in itertools.product(xs, xs):
            lost = init == "shuffled" and at == "start" and x == y == 1
            value = None if lost else center + SHARP[init] / 9 * (x * x + y * y)
            yield _row("grid", init, "surface", value, plane="random", x=float(x), y=float(y), **own)
        if trains == "lora":
            continue
        for direction, x in itertools.product(range(10), xs):
            yield _row(
                "grid", init, "profile", center + SHARP[init] / 9 * x * x * (1 + 0.1 * direction), direction=direction, x=float(x), **own
            )
        for order, axis in itertools.product(range(3), (0, 1)):
            yield _row("grid", init, "shadow", 1e-4 * way[order][axis], plane="random", axis="xy"[axis], order=order, **own)
    end = {"plane": "principal", "at": "end"}
    for order, axis in itertools.product(range(3), (0, 1)):
        yield _row("grid", init, "shadow", way[order][axis], axis="xy"[axis], order=order, **end)
    for x, y in itertools.product(np.linspace(-8, 38, points), np.linspace(-2, 8, points)):
        value = ENDS[init] + (STARTS[init] - ENDS[init]) * (x * x + y * y) / 901
        yield _row("grid", init, "surface", value, x=float(x), y=float(y), **end)
    yield from (_row("grid", init, "share", share, axis=axis, **end) for axis, share in (("x", 0.9), ("y", 0.08)))


def _densities(init: str) -> Iterator[Record]:
    if init not in ("pretrained", "random"):
        return
    for at, sharp in (("start", 1.0), ("matched", 3.0), ("end", 4.0)):
        nodes = SHARP[init] * sharp * np.array([-0.1, 0.0, 0.02, 0.1, 0.3, 1.0])
        for probe, node in itertools.product(range(4), range(6)):
            weight = (0.01, 0.97, 0.01, 0.005, 0.004, 0.001)[node] * (1 + 0.01 * probe if node == 1 else 1.0)
            yield _row("density", init, "spectral_weight", weight, at=at, probe=probe, node=node)
            yield _row("density", init, "spectral_node", float(nodes[node]), at=at, probe=probe, node=node)
        yield _row("density", init, "loss", loss(init, 0, 0) if at == "start" else SHARED, at=at)
