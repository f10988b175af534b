"""One run: its experiment, planned, measured to its end, and concluded."""

import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from research.errors import UsageError
from research.records import read_rows
from research.runtime import catalog, loading, locks, settings
from research.runtime.conclusions import Milestone, conclude, shown
from research.runtime.progress import Interrupt, Interrupted, stop_requested
from research.runtime.provenance import session, timed
from research.runtime.workdir import EXTENDABLE, Workdir, opened
from research.sweeps import Plan

_log = logging.getLogger(__name__)


class Run(NamedTuple):
    """One experiment with its config, the folder of its results, and the keys that were set by hand."""

    name: str
    variant: str
    config_path: str
    module: ModuleType
    config: Any
    plain: dict[str, Any]
    path: Path
    typed: tuple[str, ...] = ()


class Wishes(NamedTuple):
    """What is wished of a run beside running it, as the flags of the same names say."""

    dry_run: bool = False
    report_only: bool = False
    distributed: bool = False


def experiment_of(run: Run, root: Path) -> ModuleType:
    """Returns the module experiments/<name>.py that belongs to the run's config. UsageError when there is none."""
    path = catalog.experiment_path(Path(str(run.module.__file__)), root)
    if path is None:
        raise UsageError(f"configs/{run.name}.py has no experiments/{run.name}.py beside it; an experiment is these two files")
    return loading.load(path, "experiments", root)


def describe(plan: Plan, path: Path) -> str:
    """Returns what --dry_run prints."""
    lines = [f"{plan.cells} cells in {len(plan.populations)} populations"]
    lines += ["  " + ", ".join(f"{key} {value}" for key, value in population.items()) for population in plan.populations]
    lines.append(f"memory: about {plan.memory_bytes / 1e9:.1f} GB; time: about {plan.seconds / 60:.1f} minutes")
    return "\n".join([*lines, f"results would stand in {path}; nothing was run or written"])


def start(run: Run, root: Path, wishes: Wishes) -> str:
    """Returns what is to be printed once the run is done, shown or planned, as wished, in process 0; "" in the others.

    Experiments are sought beside the config, then under `root`.
    """
    locks.require()
    from research.runtime import bases, cluster, devices
    from research.training.processes import by_leader, leads

    devices.prepare(os.environ)
    devices.settle_shell(os.environ)
    experiment = experiment_of(run, root)
    with cluster.joined(os.environ, wishes.distributed):
        if wishes.report_only:
            words = by_leader(lambda: reported(experiment, run))
            return words if leads() else ""
        devices.describe(devices.found(), run.variant, run.module.VARIANTS, run.config_path)
        config = bases.settled(run.config, run.typed)
        run = run._replace(config=config, plain=settings.to_plain(config))
        experiment.check(config)
        if wishes.dry_run:
            words = describe(experiment.plan(run.config), run.path)
            return words if leads() else ""
        cluster.compare_caches(os.environ)
        bound = {"experiment": run.name, **run.plain}
        with Interrupt(), devices.enough_memory(), opened(run.path, bound, getattr(experiment, "EXTENDABLE", EXTENDABLE)) as workdir:
            return complete(experiment, run, workdir)


def reported(experiment: ModuleType, run: Run) -> str:
    """Returns what is to be printed once the report is made anew from the records that stand in the run's folder."""
    return conclude(experiment, run.name, run.path, read_rows(run.path / "records.jsonl")[0], save_seconds=False)


def complete(experiment: ModuleType, run: Run, workdir: Workdir) -> str:
    """Returns what is to be printed once the run is measured to its end, where it was not yet, and its report stands."""
    from research.training.processes import by_leader, leads

    _log.info("%s%s in %s, %d records there", run.name, f":{run.variant}" if run.variant else "", run.path, len(workdir.records.rows))
    stage, words = getattr(experiment, "STAGE", 1), ""
    if by_leader(lambda: workdir.is_finished(stage)):
        words = by_leader(lambda: shown(run.path))
    else:
        with timed("run", workdir.timings.append):
            measure(experiment, run, workdir)
        workdir.finish(stage)
    words = words or by_leader(lambda: conclude(experiment, run.name, run.path, workdir.records.rows))
    return words if leads() else ""


def measure(experiment: ModuleType, run: Run, workdir: Workdir) -> None:
    """Returns once every record of the run stands in the workdir. Interrupted when the user asked to stop."""
    from research.runtime import devices
    from research.training.processes import by_leader

    fresh = True
    for yielded in experiment.run(run.config, workdir):
        if isinstance(yielded, Milestone):
            by_leader(partial(conclude, experiment, run.name, run.path, workdir.records.rows, missing=yielded.missing))
            continue
        new = workdir.records.append([yielded] if isinstance(yielded, Mapping) else yielded)
        if new and fresh:
            workdir.sessions.append([session(devices.names())])
            fresh = False
        if stop_requested():
            raise Interrupted
