"""Remakes what these pages show of runs, from the records beside them: summaries, figures, and every marked block of README and docs.

python -m docs.remake                                            all of it, from docs/results
python -m docs.remake lora_rank_sweep=runs/x                     takes a finished run in first, NAME[:VARIANT]=WORKDIR
"""

import functools
import gzip
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from research.errors import UsageError
from research.figures import report, style
from research.figures.documents import Shown, filled
from research.files import atomic_write, file_word, local_path
from research.runtime import bases, catalog, conclusions, loading, settings
from research.runtime.workdir import LAYOUT, differences, read_json
from research.sweeps import canonical

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = "default"


def results_of(word: str) -> Path:
    """Returns docs/results/NAME/VARIANT of NAME[:VARIANT]."""
    name, _, variant = word.partition(":")
    return ROOT / "docs" / "results" / name / (variant or DEFAULT)


def figures_of(word: str) -> Path:
    """Returns docs/figures/NAME/VARIANT of NAME[:VARIANT]."""
    return ROOT / "docs" / "figures" / Path(*results_of(word).parts[-2:])


def words() -> list[str]:
    """Returns NAME[:VARIANT] of every run that stands in docs/results, the defaults first."""
    folders = [path.parent for path in (ROOT / "docs" / "results").glob("*/*/records.jsonl.gz")]
    found = [folder.parent.name + ("" if folder.name == DEFAULT else f":{folder.name}") for folder in folders]
    return sorted(found, key=lambda word: (":" in word, word))


def experiment(word: str) -> ModuleType:
    """Returns the experiment of NAME[:VARIANT]. UsageError when there is none."""
    path = catalog.experiment_path(ROOT / "configs" / f"{word.partition(':')[0]}.py", ROOT)
    if path is None:
        raise UsageError(f"{word}: there is no such experiment (see launch.py --list)")
    return loading.load(path, "experiments", ROOT)


@functools.cache
def records(word: str) -> pd.DataFrame:
    """Returns the records that stand in docs/results."""
    lines = gzip.decompress((results_of(word) / "records.jsonl.gz").read_bytes()).splitlines()
    return pd.DataFrame([json.loads(line) for line in lines])


@functools.cache
def concluded(word: str) -> conclusions.Concluded:
    """Returns what is concluded from the records that stand in docs/results."""
    return conclusions.concluded(experiment(word), records(word))


def pages() -> Iterator[Path]:
    """Yields README and the pages of docs."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))


def first_figure(word: str) -> str:
    """Returns the name of the figure with which an experiment's page begins. UsageError when there is no such page, or no figure on it."""
    page = ROOT / "docs" / "experiments" / f"{word.partition(':')[0]}.md"
    match = re.search(r"\]\(\.\./figures/\S+/(\S+)\.png\)", page.read_text(encoding="utf-8")) if page.exists() else None
    if match is None:
        raise UsageError(f"{page} should stand there, and begin with a figure of {figures_of(word)}")
    return match[1]


def runs() -> dict[str, Shown]:
    """Returns what the pages show, by NAME[:VARIANT]: conclusions made anew, provenance as it was saved."""
    found = {}
    for word in words():
        made, summary = concluded(word), read_json(results_of(word) / "summary.json") or {}
        found[word] = Shown({**summary, "answer": made.answer}, made.findings, made.tables, first_figure(word))
    return found


def take(word: str, workdir: Path) -> None:
    """Returns after the records and the provenance of a finished run stand in docs/results. UsageError for a run that is another one."""
    name, _, variant = word.partition(":")
    config, summary = read_json(workdir / "config.json"), read_json(workdir / "summary.json")
    if config is None or summary is None or not (workdir / "finished.json").exists():
        raise UsageError(f"{workdir} holds no finished run")
    loaded = settings.load(f"configs/{name}.py" + (f":{variant}" if variant else ""), ROOT)
    wanted = canonical({"experiment": name, **settings.to_plain(bases.settled(loaded.config, ()))})
    if changed := [key for key in differences(config, wanted) if key.split(".")[0] not in LAYOUT]:
        raise UsageError(f"{workdir} is no run of {word}: its config differs in {', '.join(changed)}")
    results_of(word).mkdir(parents=True, exist_ok=True)
    atomic_write(results_of(word) / "records.jsonl.gz", gzip.compress((workdir / "records.jsonl").read_bytes(), mtime=0))
    atomic_write(results_of(word) / "summary.json", (workdir / "summary.json").read_bytes())


def draw(word: str, figures: Mapping[str, style.Captioned]) -> None:
    """Returns after these figures, and no others, stand in docs/figures."""
    folder = figures_of(word)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for name, captioned in figures.items():
        atomic_write(folder / f"{file_word(name)}.png", style.png(captioned.figure))


def remake() -> None:
    """Returns after every summary, figure and marked block is made anew."""
    for word in words():
        made, path = concluded(word), results_of(word) / "summary.json"
        origin: Any = (read_json(path) or {}).get("provenance", {})
        report.write_summary(path, word.partition(":")[0], experiment(word).QUESTION, made.answer, made.findings, origin)
        draw(word, experiment(word).figures(records(word)))
    known = runs()
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (new := filled(text, known)) != text:
            atomic_write(page, new.encode())


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: 0 done, 2 a mistake in the input."""
    try:
        for argument in argv:
            word, equals, workdir = argument.partition("=")
            if not equals:
                raise UsageError(f"{argument!r} is no NAME[:VARIANT]=WORKDIR, such as lora_rank_sweep=runs/x")
            take(word, local_path(workdir, f"{word}="))
        remake()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
