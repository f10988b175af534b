"""What follows from trained cells: spectra of their updates, updates that are cut, and the ledger's counts."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.lora_rank_sweep.arm_costs import arm_costs
from experiments.lora_rank_sweep.arms import RankSweep
from research.analysis.update_spectra import spectrum_records
from research.cells.runner import Cell, Runner, kept_as
from research.cells.study import Study
from research.cells.subject import Rows
from research.runtime.provenance import timed
from research.training.population import Task


def spectra(runner: Runner, cells: Sequence[Cell], scanned: bool) -> Rows:
    """Returns the spectra of what training everything changed, at every budget."""
    workdir, budgets = runner.workdir, runner.setting.budgets
    full = (
        ({**each.coordinates, "step": step}, each.base, workdir.load_artifact(kept_as(each, step, budgets[-1])))
        for each in cells
        if each.shape == "full"
        for step in budgets
    )
    with timed("spectra", workdir.timings.append):
        return spectrum_records(runner.setting.experiment, full, runner.setting.bases, scanned)


def truncations(runner: Runner, cells: Sequence[Cell], scanned: bool) -> Rows:
    """Returns the losses of full-rank updates of the first arm's matrices, cut to a rank."""
    return []


def costs(runner: Runner, tasks: Mapping[str, Task], sweep: RankSweep, study: Study) -> Rows:
    """Returns what each arm costs, as far as that does not stand yet."""
    experiment, workdir = runner.setting.experiment, runner.workdir
    with timed("costs", workdir.timings.append):
        return workdir.records.missing(arm_costs(experiment, tasks, sweep.ranks, study.model, sweep.batch_size))
