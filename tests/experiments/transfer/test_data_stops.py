"""A run is read where its validation loss was lowest, once, and its other weights are dropped; one that diverged at once reads null."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.transfer import data_stops
from research.cells.setting import Cell

STEPS = (10, 20, 40)
LOSSES = {"early": (3.0, 3.5, 9.0), "late": (5.0, 4.0, 3.0), "lost": (None, None, None), "half": (4.0, 3.9, None)}


@pytest.fixture
def runner(tmp_path):
    rows = [
        {"cell": name, "phase": "result", "metric": "validation_loss", "step": step, "value": value}
        for name, losses in LOSSES.items()
        for step, value in zip(STEPS, losses, strict=True)
    ]
    for name in LOSSES:
        for step in STEPS:
            (tmp_path / (name if step == STEPS[-1] else f"{name}-{step}")).touch()
    bar = SimpleNamespace(advance=lambda count: None)
    return SimpleNamespace(
        workdir=SimpleNamespace(
            records=SimpleNamespace(rows=rows, has=lambda **where: where["arm"] == "known"),
            timings=SimpleNamespace(append=lambda row: None),
            artifact=lambda name: tmp_path / name,
        ),
        progress=SimpleNamespace(task=lambda name, total: contextlib.nullcontext(bar)),
        setting=SimpleNamespace(experiment="transfer", budgets=STEPS, kept_at=STEPS),
    )


def cell(name):
    return Cell(name, {"phase": "result", "arm": name, "chosen_for": 40}, "width 8", 0, 0, 1e-3, 0)


def test_the_lowest_step_is_read_and_the_rest_is_dropped(runner, tmp_path, monkeypatch):
    asked = []

    def read(runner, shape, phase, some):
        for one in some:
            asked.append((one.where[0].fingerprint, one.params))
            yield one, {"target_loss": 2.0, "document_loss": np.array([1.0, 3.0])}

    monkeypatch.setattr(data_stops, "weights", lambda runner, cell, step: step)
    monkeypatch.setattr(data_stops.altered, "read", read)
    known = [row for rows in data_stops.read(runner, [cell(name) for name in (*LOSSES, "known")]) for row in rows]
    assert asked == [("early", 10), ("late", 40), ("half", 20)]
    shares = {row["arm"]: row["value"] for row in known if row["metric"] == data_stops.SHARE}
    assert shares == {"early": 0.25, "late": 1.0, "half": 0.5, "lost": 0.0}
    assert [row["value"] for row in known if row["metric"] == "target_loss" and row["arm"] == "lost"] == [None]
    assert [row["value"] for row in known if row["metric"] == "document_loss"] == [1.0, 3.0] * 3
    assert all(row["phase"] == "stopped" and "chosen_for" not in row for row in known)
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith("lost")}
    assert left == {"early-10", "late", "half-20"}
