"""A tiny run: its losses give the best rates that it tells, its eigenvalues are there, and it goes on where another rank is asked for."""

import json

import numpy as np
import pytest

from research.analysis.learning_rates import parabola_optimum
from tests.commands import ran

CONFIG = "--config=configs/learning_rate_law.py:smoke"
TINY = (
    "--config.model.d_model=16",
    "--config.model.d_mlp=16",
    "--config.pretraining.steps=20",
    "--config.pretraining.bases=1",
    "--config.source=text:research/**/*.py",
    "--config.targets=generated:restaurants,",
    "--config.inits=pretrained,",
    "--config.seeds=2",
    "--config.ranks=1,2,4",
    "--config.steps=12",
    "--config.curvature.products=4",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("law") / "run"
    assert ran(CONFIG, *TINY, f"--workdir={made}") == 0
    return made


@pytest.fixture(scope="module")
def rows(folder):
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_best_rates_are_the_vertices_of_the_losses_that_were_recorded(folder, rows):
    told = json.loads((folder / "summary.json").read_text())["findings"]
    found = {(f["where"]["rank"], f["where"]["alpha"]): f["value"] for f in told if f["name"] == "best_rate" and f["where"]["step"] == 12}
    for (rank, alpha), value in found.items():
        logs = []
        for seed in (0, 1):
            where = {"phase": "result", "step": 12, "metric": "target_loss", "rank": rank, "alpha": alpha, "seed": seed}
            losses = {row["learning_rate"]: row["value"] for row in rows if where.items() <= row.items()}
            assert len(losses) == 3
            logs.append(parabola_optimum(list(losses), list(losses.values())).learning_rate)
        assert value is None if None in logs else value == pytest.approx(np.exp(np.mean(np.log(logs))), rel=1e-4)
    assert len(found) == 6


@pytest.mark.slow
def test_every_setting_and_seed_has_its_eigenvalue_and_a_run_goes_on(folder, rows):
    read = {(row["rank"], row["alpha"], row["seed"]): row["value"] for row in rows if row["metric"] == "lambda_max"}
    assert len(read) == 5 * 2 and min(read.values()) > 0
    assert read[1, 4.0, 0] > read[1, 1.0, 0]  # a larger scale bends the loss more
    more = [word.replace("ranks=1,2,4", "ranks=1,2,4,8") for word in TINY]
    assert ran(CONFIG, *more, f"--workdir={folder}") == 0
    after = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    assert after[: len(rows)] == rows
    assert len([row for row in after if row["metric"] == "lambda_max"]) == 14
