"""What follows from trained cells: spectra of their updates, updates that are cut, and the ledger's counts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from experiments.lora_rank_sweep.arm_costs import Budget, arm_costs
from experiments.lora_rank_sweep.arms import RankSweep, Spoke
from experiments.lora_rank_sweep.moves import ARMS
from research import tree
from research.analysis.truncation import randomly_truncated, truncated
from research.analysis.update_spectra import spectrum_records
from research.cells.altered import Altered, read
from research.cells.measures import BY_DOCUMENT
from research.cells.runner import Runner
from research.cells.setting import Cell, kept_as
from research.cells.study import Study
from research.cells.subject import Rows
from research.records import rounded
from research.runtime.provenance import timed
from research.training.population import Task

WHERE = ("target", "init", "arm", "trains", "learning_rate", "seed", "base")


def spectra(runner: Runner, cells: Sequence[Cell], sweep: RankSweep, scanned: bool) -> Rows:
    """Returns the spectra of what training everything changed, whole at the end, the first values at each step that is kept."""
    workdir, kept = runner.workdir, runner.setting.kept_at
    full = (
        ({**each.coordinates, "step": step}, each.base, workdir.load_artifact(kept_as(each, step, kept[-1])))
        for each in cells
        if each.shape == "full" and each.coordinates["chosen_for"] == kept[-1] and sweep.reads(each.coordinates)
        for step in kept
    )
    with timed("spectra", workdir.timings.append):
        return spectrum_records(runner.setting.experiment, full, runner.setting.bases.params, scanned, kept[-1])


def truncations(runner: Runner, cells: Sequence[Cell], spoke: Spoke) -> Rows:
    """Returns the losses of full-rank updates of the first arm's matrices, cut to a rank: to their best directions, and to random ones.

    From the initializations and at the ranks of the star; both cuts of an update have the same norm, matrix by matrix. What stands is not
    measured again.
    """
    setting, records = runner.setting, runner.workdir.records
    arm = spoke.sweep.arms[0]
    mine = [c for c in cells if c.shape == f"{arm}/matched" and c.coordinates["chosen_for"] == setting.budgets[-1]]
    wanted = [
        (c, [rank for rank in spoke.sweep.cut_ranks() if not records.has(phase="truncation", **_where(c), rank=rank)])
        for c in mine
        if c.coordinates["init"] in spoke.sweep.star["inits"] and spoke.sweep.reads(c.coordinates)
    ]
    with timed("truncations", runner.workdir.timings.append):
        cuts = (cut for c, ranks in wanted for cut in _cuts(runner, c, ranks, ARMS[arm].beside))
        return [row for cut, found in read(runner, "full", "result", cuts) for row in _rows(runner, cut, found)]


def costs(runner: Runner, tasks: Mapping[str, Task], sweep: RankSweep, study: Study) -> Rows:
    """Returns what each arm costs, as far as that does not stand yet."""
    experiment, workdir = runner.setting.experiment, runner.workdir
    with timed("costs", workdir.timings.append):
        tuning, own = Budget(sweep.steps, sweep.batch_size), Budget(study.pretraining["steps"], study.pretraining["batch_size"])
        pretraining = None if sweep.elsewhere else own
        return workdir.records.missing(arm_costs(experiment, tasks, sweep.ranks, study.model, tuning, pretraining))


def _cuts(runner: Runner, cell: Cell, ranks: Sequence[int], beside: Sequence[str]) -> Iterator[Altered]:
    base = jax.tree.map(lambda x: np.asarray(x, np.float32), runner.setting.bases.params(cell.base))
    start, weights = tree.flatten({"params": base}), runner.workdir.load_artifact(cell.fingerprint)
    cut_paths = [path for path in weights if not any(re.search(pattern, path) for pattern in beside)]
    deltas = {path: weights[path] - start[path] for path in cut_paths}
    if not all(np.isfinite(delta).all() for delta in deltas.values()):
        return
    for rank in ranks:
        made = {"best": truncated(deltas, rank), "random": randomly_truncated(deltas, rank, cell.seed)}
        for directions, cut in made.items():
            params = tree.unflatten({**start, **weights, **{path: start[path] + delta for path, delta in cut.items()}})["params"]
            yield Altered((cell, rank, directions), cell.base, params)


def _rows(runner: Runner, cut: Altered, found: Mapping[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    cell, rank, directions = cut.where
    row = {"experiment": runner.setting.experiment, "cell": "", "phase": "truncation", **_where(cell), "rank": rank}
    row |= {"directions": directions, "step": runner.setting.budgets[-1], "unit": "bits/byte"}
    yield {**row, "metric": "target_loss", "value": rounded(float(found["target_loss"]))}
    for i, value in enumerate(found[BY_DOCUMENT]):
        yield {**row, "metric": BY_DOCUMENT, "document": i, "value": rounded(float(value))}


def _where(cell: Cell) -> dict[str, Any]:
    return {name: cell.coordinates[name] for name in WHERE}
