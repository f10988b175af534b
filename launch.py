"""Lowlands: why does fine-tuning cost so much less than pretraining? One command runs an experiment and writes its report.

  python launch.py --list                                              what there is, and how long it takes
  python launch.py --config=configs/lora_rank_sweep.py                 run it, or continue it where it stopped
  python launch.py --config=configs/lora_rank_sweep.py:smoke           a variant, behind a colon
  python launch.py --config=configs/lora_rank_sweep.py --dry_run       cells, memory and time; runs and writes nothing

Any value of the config is set by its name, several in a row separated by commas:

  --config.ranks=1,4,16 --config.seeds=5 --config.model.d_model=128 --config.target=text:notes/*.txt

Results stand in --workdir (by default runs/<name>-<fingerprint of the config>): report.html, summary.json, figures/, records.jsonl,
tensorboard/. The same command continues a run that was stopped or killed; with --workdir named, more ranks or seeds extend it.
"""

import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from absl import flags

from research.errors import UsageError
from research.files import explained
from research.loop import catalog, locks, settings
from research.loop.progress import Interrupt, Interrupted, start_log, stop_requested
from research.loop.provenance import provenance, session, timed
from research.loop.workdir import EXTENDABLE, Workdir, opened, read_json
from research.records import Journal, Row, read_rows
from research.sweeps import Plan, fingerprint

ROOT = Path(__file__).resolve().parent
_log = logging.getLogger("launch")
_HELP = {
    "list": "show experiments, their questions, variants and durations",
    "dry_run": "show cells, populations, memory and time; run and write nothing",
    "report_only": "make findings, figures and report anew from the records that stand in the workdir",
    "distributed": "join a cluster of processes that JAX does not detect by itself",
    "help": "show this",
}


class Run(NamedTuple):
    """One experiment with its config, resolved, and the folder of its results."""

    name: str
    variant: str
    config_path: str
    module: ModuleType
    config: Any
    plain: dict[str, Any]
    path: Path


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string("config", None, "the config file, configs/<name>.py[:variant]", flag_values=values)
    flags.DEFINE_string("workdir", None, "the folder of the results (default: runs/<name>-<fingerprint>)", flag_values=values)
    for name, words in _HELP.items():
        flags.DEFINE_bool(name, False, words, flag_values=values)
    return values


def parse(argv: Sequence[str]) -> tuple[flags.FlagValues, list[str]]:
    """Returns the flags and the 'a.b=value' overrides of `argv`, whose first word is the program. UsageError for anything else."""
    overrides = [word.lstrip("-")[len("config.") :] for word in argv if word.startswith(("--config.", "-config."))]
    if bare := [word for word in overrides if "=" not in word]:
        raise UsageError(f"--config.{bare[0]} needs a value: write --config.{bare[0]}=value")
    values = _flags()
    try:
        rest = values([word for word in argv if not word.startswith(("--config.", "-config."))])
    except flags.Error as error:
        raise UsageError(f"{error} (see --help)") from error
    if rest[1:]:
        raise UsageError(f"{rest[1]!r} is not a flag: values are given as --flag=value or --config.key=value (see --help)")
    return values, overrides


def usage() -> str:
    """Returns the text of --help: examples first, then every flag."""
    values = _flags()
    lines = [f"  --{name:12} {values[name].help}" for name in ("config", "workdir", *_HELP)]
    return "\n".join([str(__doc__).strip(), "", "Flags:", *lines])


def resolve(options: flags.FlagValues, overrides: Sequence[str]) -> Run:
    """Returns the run that the flags describe. UsageError for a config, variant, key or value that does not exist."""
    if not options.config:
        raise UsageError("which experiment? Give --config=configs/<name>.py, or --list to see them")
    loaded = settings.load(options.config, ROOT)
    config = settings.override(loaded.config, overrides)
    plain = settings.to_plain(config)
    path = Path(options.workdir or f"runs/{loaded.name}-{fingerprint(plain)}")
    return Run(loaded.name, loaded.variant, options.config.partition(":")[0], loaded.module, config, plain, path)


def experiment_of(run: Run) -> ModuleType:
    """Returns the module experiments/<name>.py that belongs to the run's config. UsageError when there is none."""
    path = catalog.experiment_path(Path(str(run.module.__file__)), ROOT)
    if path is None:
        raise UsageError(f"configs/{run.name}.py has no experiments/{run.name}.py beside it; an experiment is these two files")
    return settings.load_module(path, f"experiments.{run.name}")


def describe(plan: Plan, path: Path) -> str:
    """Returns what --dry_run prints."""
    lines = [f"{plan.cells} cells in {len(plan.populations)} populations"]
    lines += ["  " + ", ".join(f"{key} {value}" for key, value in population.items()) for population in plan.populations]
    lines.append(f"memory: about {plan.memory_bytes / 1e9:.1f} GB; time: about {plan.seconds / 60:.1f} minutes")
    return "\n".join([*lines, f"results would stand in {path}; nothing was run or written"])


def measure(experiment: ModuleType, run: Run, workdir: Workdir) -> None:
    """Returns once every record of the run stands in the workdir. Interrupted when the user asked to stop."""
    from research.loop import devices

    fresh = True
    for yielded in experiment.run(run.config, workdir):
        new = workdir.records.append([yielded] if isinstance(yielded, Mapping) else yielded)
        if new and fresh:
            workdir.sessions.append([session(devices.names())])
            fresh = False
        if stop_requested():
            raise Interrupted


def sources(run: Run) -> dict[str, Any]:
    """Returns the provenance of what stands in the run's workdir, by its own config. UsageError when it is another experiment's."""
    config = read_json(run.path / "config.json") or {"experiment": run.name, **run.plain}
    if (owner := config.pop("experiment")) != run.name:
        raise UsageError(f"{run.path} belongs to the experiment {owner}; give --config=configs/{owner}.py, or another --workdir")
    pinned = read_json(run.path / "fingerprints.json") or {}
    return provenance(config, pinned, read_rows(run.path / "sessions.jsonl")[0], read_rows(run.path / "timings.jsonl")[0])


def conclude(experiment: ModuleType, run: Run, rows: Sequence[Row], save_seconds: bool = True) -> None:
    """Returns after findings, figures, summary, report and scalars are written from `rows`, and the answer is printed."""
    import pandas as pd

    from research.figures import report, style, tensorboard

    if not rows:
        raise UsageError(f"{run.path} has no records yet; run the experiment first, without --report_only")
    save = Journal(run.path / "timings.jsonl").append if save_seconds else lambda _: None
    with timed("report", save):
        results = pd.DataFrame(rows)
        findings = experiment.findings(results)
        answer = experiment.answer(findings)
        figures = experiment.figures(results)
    with explained(run.path):
        summary = report.write_summary(run.path / "summary.json", run.name, experiment.QUESTION, answer, findings, sources(run))
        for name, captioned in figures.items():
            style.save(captioned.figure, run.path / "figures", name)
        report.write_report(run.path / "report.html", summary, figures, report.what_ran(results))
        tensorboard.write_scalars(results, run.path / "tensorboard")
    _log.info("%d records, %d findings, %d figures", len(rows), len(findings), len(figures))
    print(f"{answer}\n{run.path / 'report.html'}")


def shown(path: Path) -> bool:
    """Returns whether the report of a finished run stands in its workdir; its answer is printed then."""
    summary, report = read_json(path / "summary.json"), path / "report.html"
    if summary is None or not report.exists():
        return False
    _log.info("this run was finished before; --report_only draws its report anew")
    print(f"{summary['answer']}\n{report}")
    return True


def start(run: Run, options: flags.FlagValues) -> None:
    """Returns after the run is done, shown or planned, as the flags say."""
    locks.require()
    from research.loop import devices

    devices.prepare(os.environ)
    experiment = experiment_of(run)
    if options.report_only:
        conclude(experiment, run, read_rows(run.path / "records.jsonl")[0], save_seconds=False)
        return
    with devices.joined(os.environ, options.distributed):
        devices.describe(devices.found(), run.variant, run.module.VARIANTS, run.config_path)
        experiment.check(run.config)
        if options.dry_run:
            print(describe(experiment.plan(run.config), run.path))
            return
        devices.compare_caches(os.environ)
        bound = {"experiment": run.name, **run.plain}
        with Interrupt(), opened(run.path, bound, getattr(experiment, "EXTENDABLE", EXTENDABLE)) as workdir:
            complete(experiment, run, workdir)


def complete(experiment: ModuleType, run: Run, workdir: Workdir) -> None:
    """Returns after the run is measured to its end, where it is not yet, and its report is written."""
    from research.training.processes import by_leader

    _log.info("%s%s in %s, %d records there", run.name, f":{run.variant}" if run.variant else "", run.path, len(workdir.records.rows))
    stage = getattr(experiment, "STAGE", 1)
    if not by_leader(lambda: workdir.is_finished(stage)):
        with timed("run", workdir.timings.append):
            measure(experiment, run, workdir)
        workdir.finish(stage)
    elif by_leader(lambda: shown(run.path)):
        return
    by_leader(lambda: conclude(experiment, run, workdir.records.rows))


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: 0 done, 2 a mistake in the input (one line on stderr), 130 stopped by the user."""
    start_log()
    try:
        options, overrides = parse(argv)
        if options.help or len(argv) == 1:
            print(usage())
            return 0 if options.help else 2
        if options.list:
            print(catalog.listing(ROOT))
        else:
            start(resolve(options, overrides), options)
    except UsageError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except (Interrupted, KeyboardInterrupt) as stop:
        words = str(stop) or "what was finished is saved"
        print(f"stopped; {words}. To continue, the same command:\n  python {shlex.join(argv)}", file=sys.stderr)
        return 130
    return 0


def leave(code: int) -> NoReturn:
    """Ends the process with an exit code."""
    if "jax" in sys.modules:
        from research.loop import devices

        devices.leave(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(main(sys.argv))
