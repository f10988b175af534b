"""A tiny run from the command line: whole, and continued where it was cut."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.probing import subject
from research.records import identity
from tests.commands import assert_refused, ran
from tests.experiments.probing.planted_text import relations, treebank

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


@pytest.mark.slow
def test_words_of_sentences_are_probed_on_a_model_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "load_treebank", lambda _: treebank())
    monkeypatch.setattr(subject, "load_relations", lambda _: relations())
    own = [each for each in TINY if "tasks" not in each and "languages" not in each]
    sizes = ("sentences.read=40", "sentences.choosing=20", "depths=0,1", "mixed=0,1", "sentences.pooling=mean")
    words = (*own, *(f"--config.{size}" for size in sizes), "--config.tasks=pos,tree,attribute")
    assert ran(CONFIG, *words, f"--workdir={tmp_path}/run") == 0
    rows = rows_of(tmp_path / "run")
    read = {(row["init"], row["task"]) for row in rows if row["metric"] == "accuracy"}
    assert {(init, task) for init in ("pretrained", "random", "constant", "bag") for task in ("pos", "tree", "attribute")} <= read
    left = {row["source"]: row["value"] for row in rows if row["metric"] == "longer"}
    assert left["tfds:universal_dependencies/en_ewt"] > 0 == left["tfds:lre_relations"]

    def accuracy(init: str, task: str, depth: int) -> float:
        own = {"init": init, "task": task, "depth": depth, "metric": "accuracy"}
        return float(np.mean([row["value"] for row in rows if own.items() <= row.items()]))

    # The last byte of a subject is its relation's; its bytes' mean, at the embedding, says it, and a constant says nothing.
    assert accuracy("pretrained", "attribute", 0) > accuracy("constant", "attribute", 0) + 0.3


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("tasks=boundary,pos", "some are of bytes and some of words"),
        ("mixed=0,9", "which is none of depths"),
        ("sentences.pooling=first", "choose last or mean"),
        ("tasks=pos", "not prepared under"),
        ("depths=0,9", "depths 0 (the embedding) to 2"),
        ("tasks=spelling", "choose among boundary"),
        ("languages=stdlib:code", "one class"),
    ],
)
def test_what_cannot_be_is_one_line(
    override: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "no_sets"))
    assert_refused(CONFIG, override, word, tmp_path, capsys)
