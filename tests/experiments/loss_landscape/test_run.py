"""A tiny run, and what it says of weights by other means: ways, curvature, barriers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from research.runtime import artifacts
from tests.commands import ran

CONFIG = "--config=configs/loss_landscape.py:smoke"
TINY = (
    "--config.model.d_model=16",
    "--config.model.d_mlp=32",
    "--config.pretraining.steps=20",
    "--config.pretraining.bases=1",
    "--config.seeds=1",
    "--config.inits=pretrained,random",
    "--config.rank=0",
    "--config.source=text:research/**/*.py",
    "--config.sequences=8",
    "--config.stability.rounds=2",
)
Rows = list[dict[str, Any]]


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landscape") / "run"
    assert ran(CONFIG, *TINY, f"--workdir={folder}") == 0
    return folder


@pytest.fixture(scope="module")
def rows(run: Path) -> Rows:
    return [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]


def read(rows: Rows, **where: Any) -> Any:
    (value,) = {row["value"] for row in rows if where.items() <= row.items()}
    return value


@pytest.mark.parametrize("init", ["pretrained", "random"])
def test_a_way_that_is_walked_again_ends_where_training_ended(run: Path, rows: Rows, init: str) -> None:
    where = {"init": init, "trains": "full", "seed": 0, "run": 0}
    cell = next(row["cell"] for row in rows if row["phase"] == "result" and where.items() <= row.items())
    end = artifacts.load(run / "artifacts" / f"{cell}.npz")
    assert end
    distance, length = (read(rows, phase="path", step=40, metric=metric, **where) for metric in ("distance", "path_length"))
    assert 0 < distance < length
    assert read(rows, phase="path", step=40, metric="path_ratio", **where) == pytest.approx(length / distance, rel=1e-4)
    if init == "random":  # its start is no artifact, but the norms of what it became bound the way
        return
    moved = read(rows, phase="curvature", at="end", metric="loss", **where) - read(
        rows, phase="curvature", at="start", metric="loss", **where
    )
    assert moved < 0


def test_eigenvalues_along_the_way_are_the_hessians_own(rows: Rows) -> None:
    """Largest nodes of the density, drawn from other starts, lie where Lanczos found the largest eigenvalue; what Adam sees does not."""
    where = {"init": "pretrained", "trains": "full", "seed": 0, "at": "end"}
    largest = read(rows, phase="curvature", metric="lambda_max", **where)
    nodes = [
        row["value"] for row in rows if row["phase"] == "density" and row["metric"] == "spectral_node" and where.items() <= row.items()
    ]
    assert max(nodes) == pytest.approx(largest, rel=0.05)
    assert read(rows, phase="curvature", metric="preconditioned_lambda_max", **where) != pytest.approx(largest, rel=0.5)


def test_the_middle_of_each_grid_is_the_loss_itself(rows: Rows) -> None:
    for init in ("pretrained", "random"):
        for at in ("start", "end"):
            where = {"init": init, "trains": "full", "seed": 0, "at": at}
            loss = read(rows, phase="curvature", metric="loss", **where)
            assert read(rows, metric="surface", plane="random", x=0.0, y=0.0, **where) == pytest.approx(loss, rel=1e-5)
            middle = [row["value"] for row in rows if row["metric"] == "profile" and row["x"] == 0.0 and where.items() <= row.items()]
            assert middle == pytest.approx([loss] * 3, rel=1e-5)


def test_matched_ends_are_no_further_from_their_line_than_they_are_counted(rows: Rows) -> None:
    heights = [row for row in rows if row["phase"] == "barrier" and row["metric"] == "barrier"]
    pairs = {row["pair"] for row in heights}
    assert pairs == {"one base", "start"}  # one base alone
    assert {row["matching"] for row in heights if row["pair"] == "one base"} == {"raw", "matched"}
    assert all(np.isfinite(row["value"]) for row in heights)


def test_the_same_command_measures_nothing_again(run: Path, rows: Rows) -> None:
    before = (run / "records.jsonl").read_bytes()
    (run / "finished.json").unlink()
    assert ran(CONFIG, *TINY, f"--workdir={run}") == 0
    assert (run / "records.jsonl").read_bytes() == before


def test_without_steps_the_start_is_drawn_and_nothing_trained(tmp_path: Path) -> None:
    words = (*TINY, "--config.steps=0", "--config.readings=surfaces,profiles,curvature")
    assert ran(CONFIG, *words, f"--workdir={tmp_path / 'run'}") == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    assert {row["at"] for row in rows if row["phase"] in ("grid", "curvature")} == {"start"}
    assert not [row for row in rows if row["phase"] in ("select", "result")]
    assert (tmp_path / "run" / "report.html").exists()
