"""What a run concludes: findings, figures, summary, report and scalars, made from its records and written to its folder."""

import logging
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from research.errors import UsageError
from research.files import explained
from research.findings import Finding, Table
from research.records import Journal, Row, read_rows
from research.runtime.provenance import provenance, timed
from research.runtime.workdir import read_json

_log = logging.getLogger(__name__)


def conclude(
    experiment: ModuleType, name: str, path: Path, rows: Sequence[Row], save_seconds: bool = True, missing: Sequence[str] = ()
) -> str:
    """Returns the answer and where the report is, once all that is concluded from `rows`, of the experiment `name`, stands in `path`.

    missing: what is still being measured; the answer then says so.
    UsageError when there are no records, and when the folder is another experiment's.
    """
    import pandas as pd

    from research.figures import report, style, tensorboard

    if not rows:
        raise UsageError(f"{path} has no records yet; run the experiment first, without --report_only")
    sources(name, path)  # the folder may be another experiment's
    save = Journal(path / "timings.jsonl").append if save_seconds else lambda _: None
    with timed("report", save):
        results = pd.DataFrame(rows)
        answer, findings, tables = concluded(experiment, results)
        answer += f" (Not the end: still missing is what {', then '.join(missing)} will say.)" if missing else ""
        figures = experiment.figures(results)
    with explained(path):
        summary = report.write_summary(path / "summary.json", name, experiment.QUESTION, answer, findings, sources(name, path))
        for figure, captioned in figures.items():
            style.save(captioned.figure, path / "figures", figure)
        report.write_report(path / "report.html", summary, tables, figures, report.what_ran(results))
        tensorboard.write_scalars(results, path / "tensorboard")
    _log.info("%d records, %d findings, %d figures", len(rows), len(findings), len(figures))
    if missing:
        _log.info("a first report: %s; still missing is what %s will say", path / "report.html", ", then ".join(missing))
    return f"{answer}\n{path / 'report.html'}"


class Milestone(NamedTuple):
    """What an experiment yields where a report is worth writing before its end, and what that will lack, in words."""

    missing: tuple[str, ...]


class Concluded(NamedTuple):
    """What an experiment concludes from records."""

    answer: str
    findings: Sequence[Finding]
    tables: Sequence[Table]


def concluded(experiment: ModuleType, results: Any) -> Concluded:
    """Returns what an experiment concludes from a data frame of records; a headline is an optional member."""
    findings = experiment.findings(results)
    return Concluded(experiment.answer(findings), findings, getattr(experiment, "headline", lambda _: ())(findings))


def sources(name: str, path: Path) -> dict[str, Any]:
    """Returns the provenance of what stands in a folder, by its own config. UsageError when it is another experiment's than `name`'s."""
    config = read_json(path / "config.json") or {"experiment": name}
    if (owner := config.pop("experiment")) != name:
        raise UsageError(f"{path} belongs to the experiment {owner}; give --config=configs/{owner}.py, or another --workdir")
    pinned = read_json(path / "fingerprints.json") or {}
    return provenance(config, pinned, read_rows(path / "sessions.jsonl")[0], read_rows(path / "timings.jsonl")[0])


def shown(path: Path) -> str:
    """Returns what `conclude` did for a finished run whose report stands in its folder, "" when there is none."""
    summary, report = read_json(path / "summary.json"), path / "report.html"
    if summary is None or not report.exists():
        return ""
    _log.info("this run was finished before; --report_only draws its report anew")
    return f"{summary['answer']}\n{report}"
