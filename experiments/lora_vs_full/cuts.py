"""Updates that are changed and read again: cut to few directions, with their intruders scaled down, and scaled down as a whole."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.lora_vs_full.arms import FULL, NONE, parse
from experiments.lora_vs_full.axes import VersusSweep
from experiments.lora_vs_full.levels import END, Steps, place
from experiments.lora_vs_full.updates import Reading, parameters, readings
from research import tree
from research.analysis.intruders import PARTS, scaled
from research.analysis.truncation import by_matrix, matrices, randomly_truncated, truncated
from research.analysis.update_spectra import MATRICES
from research.cells import altered
from research.cells.altered import Altered
from research.cells.measures import BY_DOCUMENT
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.subject import Rows
from research.records import rounded
from research.runtime.provenance import timed

WHOLE, EVERYTHING = "whole", "all"
ALL = r"/(kernel|embedding)$"  # vectors (norms, biases) stay as they were tuned
CUT, SCALED = "cut", "altered"


def read(runner: Runner, sweep: VersusSweep, at: Steps, cells: Sequence[Cell]) -> Iterator[Rows]:
    """Yields the losses of changed updates, as far as they do not stand; of nulls those of the whole update."""
    read_at, has = (place(max(sweep.equal_at)), END), runner.workdir.records.has
    own = [r for r in readings(sweep, at, cells) if r.where["at"] in read_at]
    own = [r for r in own if parse(r.where["arm"]).recipe.slowed is None]  # a lower rate is a control of what updates are like
    for phase, make in ((CUT, _cuts), (SCALED, _scaled)):
        todo = [(r, [w for w in _wanted(phase, sweep, r) if not has(phase=phase, **w)]) for r in own]
        with timed(phase, runner.workdir.timings.append), runner.progress.task(f"{phase} updates", sum(len(w) for _, w in todo)) as bar:
            made = (one for reading, wanted in todo if wanted for one in make(runner, sweep, reading, wanted))
            for one, found in altered.read(runner, FULL, phase, made):
                yield list(_rows(runner, phase, one, found))
                bar.advance(1)


def _wanted(phase: str, sweep: VersusSweep, reading: Reading) -> list[dict[str, Any]]:
    """The coordinates of what is made of an update."""
    where, is_null = dict(reading.where), reading.where["null"] != NONE
    if phase == SCALED and where["at"] == END:
        made = [(part, factor) for part in PARTS for factor in sweep.factors] + [(EVERYTHING, alpha) for alpha in sweep.alphas]
        return [{**where, "scaled": part, "factor": factor} for part, factor in ([(WHOLE, 1.0)] if is_null else made)]
    if phase == SCALED or is_null:
        return []
    ranks = [rank for rank in sweep.cut_ranks if rank < (where["rank"] or np.inf)]
    cuts = [(directions, rank) for rank in ranks for directions in ("best", "random")]
    return [{**where, "directions": directions, "cut": rank} for directions, rank in [(WHOLE, None), *cuts]]


def _cuts(runner: Runner, sweep: VersusSweep, reading: Reading, wanted: Sequence[Mapping[str, Any]]) -> Iterator[Altered]:
    """Both cuts of an update have one norm, matrix by matrix; `whole` is not cut."""
    start, tuned = parameters(runner, reading)
    deltas = {path: tuned[path] - start[path] for path in start if re.search(ALL, path)}
    if not all(np.isfinite(delta).all() for delta in deltas.values()):
        return
    for where in wanted:
        cut = deltas
        if where["directions"] == "best":
            cut = truncated(deltas, where["cut"])
        elif where["directions"] == "random":
            cut = randomly_truncated(deltas, where["cut"], reading.cell.seed)
        yield _altered(reading, where, {**tuned, **{path: start[path] + delta for path, delta in cut.items()}})


def _scaled(runner: Runner, sweep: VersusSweep, reading: Reading, wanted: Sequence[Mapping[str, Any]]) -> Iterator[Altered]:
    """A part of the blocks' matrices times a factor (see `intruders.scaled`), or everything at a share of its way (WiSE-FT)."""
    start, tuned = parameters(runner, reading)
    paths = [path for path in start if re.search(MATRICES, path)]
    if not all(np.isfinite(leaf).all() for leaf in tuned.values()):
        return
    begun = dict(matrices({path: start[path] for path in paths}))

    def made(part: str, factor: float) -> dict[str, np.ndarray]:
        def change(name: str, own: np.ndarray) -> np.ndarray:
            return scaled(begun[name], own, factor, sweep.intruders["top"], sweep.intruders["eps"], part)

        return by_matrix({path: tuned[path] for path in paths}, change)

    for where in wanted:
        part, factor = where["scaled"], where["factor"]
        if part in PARTS:
            yield _altered(reading, where, {**tuned, **made(part, factor)})
        else:
            yield _altered(reading, where, {path: start[path] + np.float32(factor) * (leaf - start[path]) for path, leaf in tuned.items()})


def _altered(reading: Reading, where: Mapping[str, Any], flat: Mapping[str, np.ndarray]) -> Altered:
    return Altered(where, reading.cell.base, tree.unflatten(dict(flat))["params"])


def _rows(runner: Runner, phase: str, one: Altered, found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    row = {"experiment": runner.setting.experiment, "cell": "", "phase": phase, **one.where, "unit": "bits/byte"}
    for metric, value in found.items():
        if metric != BY_DOCUMENT:
            yield {**row, "metric": metric, "value": rounded(float(value))}
    for i, value in enumerate(found.get(BY_DOCUMENT, ())):
        yield {**row, "metric": BY_DOCUMENT, "document": i, "value": rounded(float(value))}
