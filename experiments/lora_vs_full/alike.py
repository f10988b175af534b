"""What the leading subspaces of two updates have in common: of two seeds of one base, of one arm or of two."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from experiments.lora_vs_full.arms import FULL, LORA, parse
from experiments.lora_vs_full.axes import VersusSweep
from experiments.lora_vs_full.levels import END, Steps, place
from experiments.lora_vs_full.updates import Reading, parameters
from research.analysis.subspaces import leading, overlap, permuted_overlap, random_overlap
from research.analysis.truncation import matrices
from research.analysis.update_spectra import MATRICES
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.subject import Rows
from research.records import rounded
from research.runtime.provenance import timed

TWIN = "another seed's"
SIDES = ("inputs", "outputs")
DRAWS = 2  # of each matrix, whose mean is read


class Pair(NamedTuple):
    """Two cells of one base that are compared: what they are, and both by their place among the cells."""

    name: str
    first: Cell
    second: Cell


def read(runner: Runner, sweep: VersusSweep, at: Steps, cells: Sequence[Cell]) -> Iterator[Rows]:
    """Yields the overlaps of each pair, mean over the blocks' matrices, at the largest share and at the end."""
    pairs, known = list(_pairs(sweep, cells)), _Leading(runner, max(sweep.subspaces))
    with timed("alike", runner.workdir.timings.append), runner.progress.task("subspaces", len(pairs)) as bar:
        for pair in pairs:
            with threadpool_limits(1, "blas"):
                rows = list(_rows(runner, sweep, at, pair, known))
            yield rows
            bar.advance(1)


def _pairs(sweep: VersusSweep, cells: Sequence[Cell]) -> Iterator[Pair]:
    """Two seeds of one base: of one arm, and of two. One seed's adapters begin alike whatever their ranks, and would be alike by that."""
    own = {(c.coordinates["arm"], c.coordinates["seed"]): c for c in cells if c.coordinates["phase"] == "result"}
    arms = dict.fromkeys(arm for arm, _ in own)
    beside = [(arm, arm) for arm in arms]
    for first, second in itertools.combinations(arms, 2):
        if FULL in (first, second) or parse(first).recipe.shape == LORA == parse(second).recipe.shape:
            beside.append((first, second))
    for (first, second), seed in itertools.product(beside, range(sweep.bases)):
        if {(first, seed), (second, seed + sweep.bases)} <= own.keys():
            name = f"{first} & {TWIN if first == second else second}"
            yield Pair(name, own[first, seed], own[second, seed + sweep.bases])


class _Leading:
    """Leading singular vectors of updates by cell and step, computed once each."""

    def __init__(self, runner: Runner, rank: int) -> None:
        self._runner, self._rank = runner, rank
        self._known: dict[tuple[str, int], list[tuple[np.ndarray, np.ndarray]]] = {}

    def of(self, cell: Cell, step: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns (inputs, outputs) of each matrix's update, fewer directions where it has a lower rank; none where it diverged."""
        key = cell.fingerprint, step
        if key not in self._known:
            start, tuned = parameters(self._runner, Reading({}, step, cell))
            deltas = {path: tuned[path] - start[path] for path in start if re.search(MATRICES, path)}
            sound = all(np.isfinite(delta).all() and delta.any() for delta in deltas.values())
            rank = min(self._rank, cell.coordinates["rank"] or self._rank)
            self._known[key] = [leading(matrix, rank) for _, matrix in matrices(deltas)] if sound else []
        return self._known[key]


def _rows(runner: Runner, sweep: VersusSweep, at: Steps, pair: Pair, known: _Leading) -> Iterator[dict[str, Any]]:
    c, other = pair.first.coordinates, pair.second.coordinates
    steps = [at.get((side["arm"], side["null"], side["seed"]), {}) for side in (c, other)]
    for name in (name for name in (place(max(sweep.equal_at)), END) if name in steps[0] and name in steps[1]):
        where = {"phase": "alike", "pair": pair.name, "at": name, "seed": c["seed"], "base": c["base"]}
        most = min(side["rank"] or np.inf for side in (c, other))
        sizes = [size for size in sweep.subspaces if size <= most and not runner.workdir.records.has(**where, dimension=size)]
        if not sizes:
            continue
        both = known.of(pair.first, steps[0][name]), known.of(pair.second, steps[1][name])
        for side, label in enumerate(SIDES):
            bases = [(one[side], two[side]) for one, two in zip(*both, strict=True)] if all(both) else []
            yield from _overlaps(sizes, bases, {"experiment": runner.setting.experiment, "cell": "", **where, "side": label})


def _overlaps(sizes: Sequence[int], bases: Sequence[tuple[np.ndarray, np.ndarray]], where: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for size in sizes:
        if not bases or size > min(side.shape[1] for pair in bases for side in pair):
            continue
        cut = [(first[:, :size], second[:, :size]) for first, second in bases]
        found = {
            "none": np.mean([overlap(*pair) for pair in cut]),
            "permuted": np.mean([permuted_overlap(*pair, DRAWS, where["seed"]).mean() for pair in cut]),
            "expected": np.mean([random_overlap(len(first), size, size) for first, _ in cut]),
        }
        for null, value in found.items():
            yield {**where, "dimension": size, "null": null, "metric": "overlap", "value": rounded(float(value)), "unit": "1"}
