"""Barriers: on the line between two runs of one base, of two bases, and from a start to what became of it; raw and matched."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.loss_landscape.axes import FULL, LandscapeSweep
from experiments.loss_landscape.ground import Ground, Weights
from research.analysis.landscape import Barrier, barrier
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
            if not records.has(**_where(pair), metric="barrier"):
                yield list(_rows(runner, ground, pair, _barriers(pair, ground, sweep, weights, symmetries)))
            bar.advance()


def _barriers(pair: Pair, ground: Ground, sweep: LandscapeSweep, weights: Weights, symmetries: Sequence[Symmetry]) -> dict[str, Barrier]:
    """The barriers of a line: as its ends are, and, of two that were trained, with the units of the second matched to the first."""
    second = weights.end(pair.second)
    first = weights.start(pair.second.coordinates) if pair.first is None else weights.end(pair.first)
    batch, points = ground.batch(second), sweep.grids["line"]
    raw = barrier(ground.loss(second), first.moves, second.moves, batch, points)
    if pair.first is None or not symmetries:
        return {"raw": raw}
    matched, _ = match_permutations(first.moves, second.moves, symmetries)
    if all(map(np.array_equal, jax.tree.leaves(matched), jax.tree.leaves(second.moves))):  # no unit has moved
        return {"raw": raw, "matched": raw}
    return {"raw": raw, "matched": barrier(ground.loss(second), first.moves, matched, batch, points)}


def _where(pair: Pair) -> dict[str, Any]:
    own = pair.second.coordinates
    where = {name: own[name] for name in ("init", "arm", "trains", "rank", "learning_rate", "seed", "run", "base")}
    other = own if pair.first is None else pair.first.coordinates
    return {**where, "phase": "barrier", "pair": pair.kind, "other_seed": other["seed"], "other_run": other["run"]}


def _rows(runner: Runner, ground: Ground, pair: Pair, found: Mapping[str, Barrier]) -> Iterator[dict[str, Any]]:
    step = runner.setting.budgets[-1]
    for matching, one in found.items():
        row = {
            "experiment": runner.setting.experiment,
            "cell": "",
            **_where(pair),
            "matching": matching,
            "step": step,
        }
        height = {**row, "metric": "barrier", "value": rounded(one.height * ground.bits), "unit": "bits/byte"}
        yield height if np.isfinite(one.height) else height | {"value": None, "note": "not finite"}
        yield {**row, "metric": "barrier_at", "value": rounded(one.at), "unit": "1"}
