"""What each update is like, matrix by matrix: its spectrum, its intruders, what it amplifies; and what noise of its size is like."""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from experiments.lora_vs_full.axes import VersusSweep
from experiments.lora_vs_full.levels import Steps, place
from research import tree
from research.analysis.amplification import amplification, random_amplification
from research.analysis.intruders import intruders, rotated, strength
from research.analysis.spectra import energy_rank, generator_of
from research.analysis.truncation import matrices
from research.analysis.update_spectra import MATRICES, spectrum_records
from research.cells.kept import weights
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.subject import Rows
from research.records import rounded
from research.runtime.provenance import timed

AMPLIFIED, DRAWS = 4, 8  # directions whose amplification is read, at most; and draws of what is random


class Reading(NamedTuple):
    """A cell at a step: the coordinates of its records, the step, and its cell."""

    where: Mapping[str, Any]
    step: int
    cell: Cell


def readings(sweep: VersusSweep, at: Steps, cells: Sequence[Cell]) -> Iterator[Reading]:
    """Yields every cell that is read, at each of its steps."""
    for cell in cells:
        c = cell.coordinates
        for name, step in at.get((c["arm"], c["null"], c["seed"]), {}).items() if sweep.reads(c) else ():
            yield Reading({**{k: v for k, v in c.items() if k not in ("phase", "chosen_for")}, "at": name, "step": step}, step, cell)


def parameters(runner: Runner, reading: Reading) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the parameters of a cell's start and of the cell, by path, in float32."""
    both = runner.setting.bases.params(reading.cell.base), weights(runner, reading.cell, reading.step)
    start, tuned = (tree.flatten({"params": jax.tree.map(lambda x: np.asarray(x, np.float32), side)}) for side in both)
    return start, tuned


def read(runner: Runner, sweep: VersusSweep, at: Steps, cells: Sequence[Cell], scanned: bool) -> Iterator[Rows]:
    """Yields the records of each reading that do not stand yet; a cell that diverged, or did not move, has none."""
    todo = [r for r in readings(sweep, at, cells) if not runner.workdir.records.has(phase="update", **r.where)]
    with timed("updates", runner.workdir.timings.append), runner.progress.task("updates", len(todo)) as bar:
        for reading in todo:
            start, tuned = parameters(runner, reading)
            rows = list(_rows(runner, sweep, reading, start, tuned))
            if rows and reading.where["at"] == place(max(sweep.equal_at)):
                own = {**reading.where, "arm": reading.where["arm"] if reading.where["null"] == "none" else reading.where["null"]}
                experiment, base = runner.setting.experiment, reading.cell.base
                rows += spectrum_records(experiment, [(own, base, tuned)], runner.setting.bases.params, scanned)
            yield rows
            bar.advance(1)


def _rows(
    runner: Runner, sweep: VersusSweep, reading: Reading, start: Mapping[str, np.ndarray], tuned: Mapping[str, np.ndarray]
) -> Iterator[dict[str, Any]]:
    paths = [path for path in start if re.search(MATRICES, path)]
    deltas = {path: tuned[path] - start[path] for path in paths}
    if not all(np.isfinite(delta).all() and delta.any() for delta in deltas.values()):
        return
    begun = dict(matrices({path: start[path] for path in paths}))
    own = matrices(deltas)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda each: _read(sweep, begun[each[0]], each[1], (reading.cell.seed, each[0])), own))
    for (name, _), readings_of in zip(own, found, strict=True):
        where = {"experiment": runner.setting.experiment, "cell": "", "phase": "update", **reading.where, "matrix": named(name)}
        for like, metrics in readings_of.items():
            for metric, value in metrics.items():
                yield {**where, "like": like, "metric": metric, "value": rounded(float(value)), "unit": "1"}


def named(path: str) -> str:
    """Returns the short name of a matrix: its path without what all have."""
    return path.removeprefix("params/").removesuffix("/kernel")


def _read(sweep: VersusSweep, start: np.ndarray, delta: np.ndarray, drawn: tuple[int, str]) -> dict[str, dict[str, float]]:
    """Metrics of an update itself, of Gaussian noise of its norm, and of its singular values in random directions, means over draws."""
    top, eps = min(sweep.intruders["top"], *start.shape), sweep.intruders["eps"]
    values = np.linalg.svd(delta, compute_uv=False)
    held = min(AMPLIFIED, int((values > values[0] * 1e-6).sum()))

    def found(update: np.ndarray) -> float:
        return float(np.mean(intruders(start, start + update, top, eps)))

    seeds, name = [DRAWS * drawn[0] + draw for draw in range(DRAWS)], drawn[1]
    gaussian = np.stack([generator_of(seed, name).standard_normal(delta.shape) for seed in seeds])
    noise = gaussian * (np.linalg.norm(delta) / np.linalg.norm(gaussian, axis=(1, 2), keepdims=True))

    own = {
        "update_norm": float(np.linalg.norm(delta)),
        "relative_norm": float(np.linalg.norm(delta) / np.linalg.norm(start)),
        "strength": float(strength(start, delta, top)),
        "energy_rank": energy_rank(values),
        "stable_rank": float((values**2).sum() / values[0] ** 2),
        "intruders": found(delta),
        "amplification": amplification(start, delta, held),
    }
    random = {
        "energy_rank": float(np.mean([energy_rank(one) for one in np.linalg.svd(noise, compute_uv=False)])),
        "intruders": found(noise),
        "amplification": float(np.exp(np.mean(np.log(random_amplification(start, delta, held, DRAWS, drawn[0]))))),
    }
    return {"own": own, "noise": random, "rotated": {"intruders": found(np.stack([rotated(delta, seed, name) for seed in seeds]))}}
