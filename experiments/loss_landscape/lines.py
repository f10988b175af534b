"""Barriers: on the line between two runs of one base, of two bases, and from a start to what became of it; raw and matched."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.loss_landscape.axes import FULL, LandscapeSweep
from experiments.loss_landscape.ground import Ground, Point, Weights
from research.analysis.landscape import barrier
from research.analysis.matching import match_permutations
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.subject import Rows
from research.models.configuration import DecoderConfig
from research.models.symmetries import Symmetry, decoder_symmetries
from research.records import rounded
from research.runtime.provenance import timed
from research.training.memory import LARGE, nbytes

ONE_BASE, TWO_BASES, START = "one base", "two bases", "start"


class Pair(NamedTuple):
    """The ends of a line, of one initialization: cells, `first` None for the second one's start."""

    kind: str
    first: Cell | None
    second: Cell


def pairs(cells: Sequence[Cell], inits: Sequence[str]) -> list[Pair]:
    """Returns the lines: all pairs of runs from one base, each run with those in the same order from other bases, each with its start."""
    found: list[Pair] = []
    for init in inits:
        own = [cell for cell in cells if cell.shape == FULL and cell.coordinates["init"] == init]
        for a, b in itertools.combinations(own, 2):
            if a.base == b.base:
                found.append(Pair(ONE_BASE, a, b))
            elif a.coordinates["run"] == b.coordinates["run"]:
                found.append(Pair(TWO_BASES, a, b))
        found += [Pair(START, None, cell) for cell in own]
    return found


def read(runner: Runner, sweep: LandscapeSweep, ground: Ground, weights: Weights, config: DecoderConfig) -> Iterator[Rows]:
    """Yields the barriers of all lines that do not stand; units are matched where two ends were trained, and the weights are small."""
    records, todo = runner.workdir.records, pairs(weights.cells, sweep.inits)
    small = nbytes(runner.setting.bases.params(0)) <= LARGE
    symmetries = decoder_symmetries(config) if small else ()
    with timed("barriers", runner.workdir.timings.append), runner.progress.task("barriers", len(todo)) as bar:
        for pair in todo:
            where = {**_where(pair), "phase": "barrier"}
            if not records.has(**where, metric="barrier"):
                first, seconds = _ends(pair, weights, symmetries)
                yield [
                    row
                    for matching, second in seconds.items()
                    for row in _rows(runner, ground, sweep, {**where, "matching": matching}, (first, second))
                ]
            bar.advance()


def _ends(pair: Pair, weights: Weights, symmetries: Sequence[Symmetry]) -> tuple[Point, dict[str, Point]]:
    """The first end of a line, and the second as it is and, of two that were trained, matched to the first."""
    second = weights.end(pair.second)
    if pair.first is None:
        return weights.start(pair.second.coordinates), {"raw": second}
    first = weights.end(pair.first)
    if not symmetries:
        return first, {"raw": second}
    matched, _ = match_permutations(first.moves, second.moves, symmetries)
    return first, {"raw": second, "matched": second._replace(moves=matched)}


def _where(pair: Pair) -> dict[str, Any]:
    own = pair.second.coordinates
    where = {name: own[name] for name in ("init", "arm", "trains", "rank", "learning_rate", "seed", "run", "base")}
    other = own if pair.first is None else pair.first.coordinates
    return {**where, "pair": pair.kind, "other_seed": other["seed"], "other_run": other["run"]}


def _rows(runner: Runner, ground: Ground, sweep: LandscapeSweep, where: Mapping[str, Any], ends: tuple[Point, Point]) -> Rows:
    first, second = ends
    found = barrier(ground.loss(second), first.moves, second.moves, ground.batch(second), sweep.grids["line"])
    row = {"experiment": runner.setting.experiment, "cell": "", **where, "step": second.step}
    finite = bool(np.isfinite(found.height))
    height = {**row, "metric": "barrier", "value": rounded(found.height * ground.bits) if finite else None, "unit": "bits/byte"}
    return [height if finite else height | {"note": "not finite"}, {**row, "metric": "barrier_at", "value": rounded(found.at), "unit": "1"}]
