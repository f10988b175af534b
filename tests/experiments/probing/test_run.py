"""A tiny run from the command line: whole, and continued where it was cut."""

import json
from pathlib import Path
from typing import Any

import pytest

from research.records import identity
from tests.commands import assert_refused, ran

CONFIG = "--config=configs/probing.py:smoke"
TINY = (
    "--config.model.d_model=16",
    "--config.model.n_layers=1",
    "--config.pretraining.steps=10",
    "--config.pretraining.bases=1",
    "--config.seeds=1",
    "--config.inits=pretrained,random",
    "--config.tasks=boundary,language",
    "--config.languages=generated:restaurants,text:research/**/*.py",
    "--config.source=generated:restaurants",
    "--config.examples=120",
    "--config.choosing=60",
)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_run_that_was_cut_continues_and_measures_nothing_twice(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert ran(CONFIG, *TINY, f"--workdir={folder}") == 0
    rows = rows_of(folder)
    read = {(row["init"], row["task"], row["metric"]) for row in rows if row["phase"] == "probe"}
    for init in ("pretrained", "random", "characters"):
        for task in ("boundary", "language"):
            assert {(init, task, metric) for metric in ("accuracy", "control_accuracy", "codelength")} <= read
    assert {row["depth"] for row in rows if row["metric"] == "cumulative_accuracy"} == {0, 1}
    assert sum(row["metric"] == "accuracy" for row in rows) == 2 * 12 * (2 + 2 + 3)
    assert all(0 <= row["value"] <= 1 for row in rows if row["metric"] == "accuracy")
    lines = (folder / "records.jsonl").read_text().splitlines(keepends=True)
    (folder / "records.jsonl").write_text("".join(lines[: len(lines) // 2]))
    assert ran(CONFIG, *TINY, f"--workdir={folder}") == 0
    assert sorted(map(identity, rows_of(folder))) == sorted(map(identity, rows))
    summary = json.loads((folder / "summary.json").read_text())
    assert {"probe_accuracy", "codelength", "selectivity", "expected_layer", "contrast"} <= {f["name"] for f in summary["findings"]}


@pytest.mark.parametrize(
    ("override", "word"),
    [("depths=0,9", "depths 0 (the embedding) to 2"), ("tasks=spelling", "choose among boundary"), ("languages=stdlib:code", "one class")],
)
def test_what_cannot_be_is_one_line(override: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert_refused(CONFIG, override, word, tmp_path, capsys)
