"""What needs no training is measured where it does not stand, one lost record included, and nowhere else."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from research.cells.measures import BY_DOCUMENT, Measure
from research.cells.phases import document_sizes, reference, untouched
from research.records import Records

MEASURES = [
    Measure("target_loss", np.zeros((1, 1, 1, 3)), True, groups=np.array([[[[0, 1]]]])),
    Measure("source_loss", np.zeros((1, 1, 1, 3)), False),
]
PLACES = {("pretrained", 0): 0, ("random", 0): 1, ("random", 1): 2, ("random", 1000): 3}


def runner(records: Records, asked: list[list[int]]) -> Any:
    def measured(shape: str, phase: str, bases: list[int]) -> dict[str, np.ndarray]:
        asked.append(bases)
        by_document = {BY_DOCUMENT: np.array([[base, base + 1.0] for base in bases])}
        return {measure.metric: np.array([base + 0.5 for base in bases]) for measure in MEASURES} | by_document

    setting = SimpleNamespace(experiment="mine", measures={"result": MEASURES})
    return SimpleNamespace(setting=setting, workdir=SimpleNamespace(records=records), untouched=measured)


def test_only_what_does_not_stand_is_measured(tmp_path: Path) -> None:
    records, asked = Records(tmp_path / "records.jsonl"), []
    records.append([reference("mine", "target_loss", 0.5, "bits/byte", init=init, seed=0) for init in ("pretrained", "random")])
    records.append([reference("mine", "source_loss", 0.5, "bits/byte", init="pretrained", seed=0)])
    rows = untouched(runner(records, asked), "full", PLACES, 2)
    assert asked == [[1, 2]]
    assert {(row["init"], row["seed"], row["metric"]) for row in rows} == {
        ("random", seed, metric) for seed in (0, 1) for metric in ("target_loss", "source_loss", BY_DOCUMENT)
    }
    for row in rows:
        shift = 0.5 if row["metric"] != BY_DOCUMENT else row["document"]
        assert row["value"] == PLACES[row["init"], row["seed"]] + shift and row["base"] == row["seed"]


def test_documents_are_weighed_by_the_bytes_that_are_scored(tmp_path: Path) -> None:
    rows = document_sizes(runner(Records(tmp_path / "records.jsonl"), []), target="text")
    assert [(row["document"], row["value"], row["target"]) for row in rows] == [(0, 1, "text"), (1, 1, "text")]
