"""Measuring: a first report is written where an experiment says that one is worth it, and says what is missing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from research.findings import Estimate, Finding, finding
from research.runtime import run as runs
from research.runtime.conclusions import Milestone, conclude
from research.runtime.workdir import Workdir

ROW = {"experiment": "mine", "cell": "", "metric": "x", "value": 1.0, "unit": "1"}


def test_a_milestone_becomes_a_report_of_the_records_so_far_and_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, tuple[str, ...]]] = []

    def concluding(experiment: Any, name: str, path: Path, rows: Any, missing: tuple[str, ...] = ()) -> str:
        seen.append((len(rows), missing))
        return ""

    def run(config: Any, workdir: Workdir) -> Any:
        yield [{**ROW, "seed": 0}]
        yield Milestone(("the other target",))
        yield [{**ROW, "seed": 1}]

    monkeypatch.setattr(runs, "conclude", concluding)
    with Workdir(tmp_path / "run", {"experiment": "mine"}) as workdir:
        runs.measure(SimpleNamespace(run=run), SimpleNamespace(config=None, name="mine", path=workdir.path), workdir)
        assert len(workdir.records.rows) == 2
    assert seen == [(1, ("the other target",))]


def test_an_early_answer_says_what_is_missing(tmp_path: Path) -> None:
    def findings(results: pd.DataFrame) -> list[Finding]:
        return [finding("x", {}, Estimate(1.0, None, None, 1, "one"), "1")]

    mine = SimpleNamespace(QUESTION="What?", findings=findings, answer=lambda found: "It is 1.", figures=lambda results: {})
    early = conclude(mine, "mine", tmp_path, [ROW], missing=("the other target", "more arms"))
    assert early.startswith("It is 1. (") and "the other target, then more arms" in early
    assert "the other target" in (tmp_path / "report.html").read_text()
    conclude(mine, "mine", tmp_path, [ROW])
    assert "the other target" not in (tmp_path / "report.html").read_text()
