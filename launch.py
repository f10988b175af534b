"""Lowlands: why does fine-tuning cost so much less than pretraining? One command runs an experiment and writes its report.

  python launch.py --list                                              what there is, and how long it takes
  python launch.py --config=configs/lora_rank_sweep.py                 run it, or continue it where it stopped
  python launch.py --config=configs/lora_rank_sweep.py:smoke           a variant, behind a colon
  python launch.py --config=configs/lora_rank_sweep.py --dry_run       cells, memory and time; runs and writes nothing
  python launch.py --config=configs/lora_rank_sweep.py --config.base=hf:FOLDER   from a model that somebody else pretrained
  python launch.py --workdir=RUN --export=FOLDER --cell=CELL           an adapter or model of a finished run, for peft and transformers

Any value of the config is set by its name, several in a row separated by commas:

  --config.ranks=1,4,16 --config.seeds=5 --config.model.d_model=128 --config.targets='text:notes/*.txt,'

Results stand in --workdir (by default runs/<name>-<fingerprint of the config>): report.html, report.md, summary.json, records.jsonl,
figures/, tensorboard/. The same command continues a stopped or killed run; with --workdir named, more ranks, seeds or draws extend it.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH keeps Python from looking here

from absl import flags

from research.errors import UsageError
from research.files import local_path
from research.runtime import catalog, settings
from research.runtime.progress import Interrupted, start_log
from research.runtime.run import Run, Wishes, start
from research.runtime.workdir import LAYOUT
from research.sweeps import fingerprint

ROOT = Path(__file__).resolve().parent
_HELP = {
    "config": "the config file, configs/<name>.py[:variant]",
    "workdir": "the folder of the results (default: runs/<name>-<fingerprint>)",
    "list": "show experiments, their questions, variants and durations",
    "dry_run": "show cells, populations, memory and time; run and write nothing",
    "export": "write a cell of the run in --workdir into this folder, for peft and transformers; without --cell, show which there are",
    "cell": "the fingerprint of the cell to export, or base",
    "report_only": "make findings, figures and report anew from the records that stand in the workdir",
    "distributed": "join a cluster of processes that JAX does not detect by itself",
    "help": "show this",
}
_TEXTS = ("config", "workdir", "export", "cell")


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    for name, words in _HELP.items():
        define: Any = flags.DEFINE_string if name in _TEXTS else flags.DEFINE_bool
        define(name, None, words, flag_values=values, allow_overwrite=False)  # {a,b} in a shell makes two flags of one
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
    lines = [f"  --{name:12} {values[name].help}" for name in _HELP]
    return "\n".join([str(__doc__).strip(), "", "Flags:", *lines])


def resolve(options: flags.FlagValues, overrides: Sequence[str]) -> Run:
    """Returns the run that the flags describe. UsageError for a config, variant, key or value that does not exist."""
    if not options.config:
        raise UsageError("which experiment? Give --config=configs/<name>.py, or --list to see them")
    loaded = settings.load(options.config, ROOT)
    config = settings.override(loaded.config, overrides)
    plain = settings.to_plain(config)
    measured = plain | {key: loaded.config.to_dict()[key] for key in LAYOUT if key in plain}  # another layout continues in the same folder
    path = local_path(options.workdir or f"runs/{loaded.name}-{fingerprint(measured)}", "--workdir=")
    typed = tuple(assignment.partition("=")[0] for assignment in overrides)
    return Run(loaded.name, loaded.variant, options.config.partition(":")[0], loaded.module, config, plain, path, typed)


def export(options: flags.FlagValues, overrides: Sequence[str]) -> str:
    """Returns what is to be printed once a cell stands in the folder that --export names. UsageError for what cannot be exported."""
    from research.runtime.exporting import exported  # here, so that --help needs no JAX

    if not options.export:
        raise UsageError("where to? Give --export=FOLDER, which is new or empty")
    if not options.workdir and not options.config:
        raise UsageError("of which run? Give --workdir=FOLDER, or the --config that it was started with")
    workdir = local_path(options.workdir, "--workdir=") if options.workdir else resolve(options, overrides).path
    return exported(workdir, options.export, options.cell)


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: 0 done, 2 a mistake in the input (one line on stderr), 130 stopped by the user."""
    start_log()
    try:
        options, overrides = parse(argv)
        if options.help or len(argv) == 1:
            return said(usage(), 0 if options.help else 2)
        if options.list:
            return said(catalog.listing(ROOT))
        if options.export is not None or options.cell is not None:
            return said(export(options, overrides))
        return said(start(resolve(options, overrides), ROOT, Wishes(options.dry_run, options.report_only, options.distributed)))
    except UsageError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except (Interrupted, KeyboardInterrupt) as stop:
        words = str(stop) or "what was finished is saved"
        print(f"stopped; {words}. To continue, the same command:\n  python {shlex.join(argv)}", file=sys.stderr)
        return 130


def said(words: str, code: int = 0) -> int:
    """Returns `code` after the words, if any, are printed to whoever still reads."""
    try:
        print(words, end="\n" if words else "", flush=True)
    except BrokenPipeError:  # such as head, which has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def leave(code: int) -> NoReturn:
    """Ends the process with an exit code."""
    if "jax" in sys.modules:
        from research.runtime import cluster

        cluster.leave(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(main(sys.argv))
