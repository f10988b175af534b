"""What needs no training is measured where it does not stand, one lost record included, and nowhere else."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from research.cells import phases
from research.cells.measures import BY_DOCUMENT, Measure
from research.cells.phases import document_sizes, reference, untouched
from research.cells.runner import Runner
from research.cells.setting import Cell, Setting
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
    both = runner(Records(tmp_path / "again.jsonl"), [])
    both.setting.measures = {"result": [MEASURES[0]._replace(first_groups=np.array([[[[0, 0]]]])), MEASURES[1]]}
    assert [(row["metric"], row["value"]) for row in document_sizes(both)] == [("document_bytes", 1)] * 2 + [("budget_document_bytes", 2)]


def test_rates_may_be_chosen_and_results_trained_for_each_budget_apart(tmp_path: Path) -> None:
    records = Records(tmp_path / "records.jsonl")
    where = {"init": "random", "arm": None, "trains": "full", "rank": None, "seed": 0}
    best = {5: 1e-3, 10: 1e-2}
    trained: list[dict[str, Any]] = []

    def run(cells: Any, name: str) -> Any:
        for cell in cells:
            if cell.coordinates["phase"] == "result":
                trained.append(dict(cell.coordinates))
                continue
            for step, rate in best.items():
                loss = abs(np.log10(cell.coordinates["learning_rate"] / rate))
                row = {**cell.coordinates, "cell": cell.fingerprint, "step": step, "metric": "validation_loss", "value": float(loss)}
                records.append([row])
                yield [row]

    sweep = SimpleNamespace(
        selection=lambda: [{**where, "phase": "select", "learning_rate": 10.0**power} for power in (-4, -3, -2, -1)],
        results=lambda: [{**where, "phase": "result"}],
    )
    setting = SimpleNamespace(experiment="mine", budgets=(5, 10))
    workdir = SimpleNamespace(records=records, timings=SimpleNamespace(append=lambda rows: None))
    asked: list[int] = []
    runner = SimpleNamespace(setting=setting, workdir=workdir, run=run, until=lambda steps: asked.append(steps) or runner)
    prepared = SimpleNamespace(cell=lambda c: Cell("", c, "full", 0, 0, c["learning_rate"], c["seed"]), data=())
    for apart in (True, False):
        trained.clear()
        own = {"rates_per_budget": apart, "selection_steps": 0, "stopped_early": False}
        subject: Any = SimpleNamespace(name="x", sweep=sweep, share={}, described={}, **own)
        list(phases._trained(1, subject, prepared, runner))  # type: ignore[arg-type]
        rates = {c["chosen_for"]: c["learning_rate"] for c in trained}
        assert rates == {step: pytest.approx(best[step], rel=0.01) for step in ((5, 10) if apart else (10,))}
    trained.clear()
    subject.selection_steps = 5
    made = [row for rows in phases._trained(1, subject, prepared, runner) for row in rows]  # type: ignore[arg-type]
    assert [(c["chosen_for"], c["learning_rate"]) for c in trained] == [(10, 1e-3)] and asked == [0, 0, 5]
    assert [row["step"] for row in made if row["phase"] == "choice"] == [10]


def test_a_runner_of_fewer_steps_ends_there_and_is_the_only_one_to_hold_a_base() -> None:
    setting: Any = Setting("mine", None, None, np.zeros(1), 2, (1, 14), 1, {}, {})  # type: ignore[arg-type]
    whole = Runner.__new__(Runner)
    whole.setting, whole._placed, whole.held_out = setting, (0, "stack"), {}
    short = whole.until(6)
    assert short.setting.budgets == (6,) and whole.setting.budgets == (1, 14) and whole.until(0) is whole
    assert short._placed == (0, "stack") and whole._placed is None
