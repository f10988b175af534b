"""What needs no training is measured where it does not stand, one lost record included, and nowhere else."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from research.cells.phases import reference, untouched
from research.records import Records

MEASURES = [SimpleNamespace(metric=metric, unit="bits/byte") for metric in ("target_loss", "source_loss")]
PLACES = {("pretrained", 0): 0, ("random", 0): 1, ("random", 1): 2, ("random", 1000): 3}


def runner(records: Records, asked: list[list[int]]) -> Any:
    def measured(shape: str, phase: str, bases: list[int]) -> dict[str, np.ndarray]:
        asked.append(bases)
        return {measure.metric: np.array([base + 0.5 for base in bases]) for measure in MEASURES}

    setting = SimpleNamespace(experiment="mine", measures={"result": MEASURES})
    return SimpleNamespace(setting=setting, workdir=SimpleNamespace(records=records), untouched=measured)


def test_only_what_does_not_stand_is_measured(tmp_path: Path) -> None:
    records, asked = Records(tmp_path / "records.jsonl"), []
    records.append([reference("mine", "target_loss", 0.5, "bits/byte", init=init, seed=0) for init in ("pretrained", "random")])
    records.append([reference("mine", "source_loss", 0.5, "bits/byte", init="pretrained", seed=0)])
    rows = untouched(runner(records, asked), "full", PLACES)
    assert asked == [[1, 2]]
    assert {(row["init"], row["seed"], row["metric"]) for row in rows} == {
        ("random", seed, metric) for seed in (0, 1) for metric in ("target_loss", "source_loss")
    }
    assert all(row["value"] == PLACES[row["init"], row["seed"]] + 0.5 for row in rows)
