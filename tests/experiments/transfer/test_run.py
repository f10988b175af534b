"""A tiny run: differences are those of recorded losses, and a run goes on where another number of blocks is asked for."""

import json

import pytest

from tests.commands import ran

CONFIG = "--config=configs/transfer.py:smoke"
TINY = (
    "--config.model.d_model=16",
    "--config.model.d_mlp=16",
    "--config.source=text:research/**/*.py",
    "--config.target=generated:restaurants",
    "--config.pretraining.steps=20",
    "--config.pretraining.bases=2",
    "--config.learning_rates=3e-3,1e-2,3e-2",
    "--config.steps=20",
    "--config.arms=scratch,tuned,AnB,BnB,random",
    "--config.seeds=2",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("transfer") / "run"
    assert ran(CONFIG, *TINY, "--config.blocks=1,", f"--workdir={made}") == 0
    return made


def rows_of(folder):
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_every_difference_is_that_of_the_recorded_losses(folder):
    rows = [row for row in rows_of(folder) if row["phase"] == "result" and row["metric"] == "target_loss"]
    last = {(row["arm"], row["seed"]): row["value"] for row in rows}
    steps = {row["arm"]: row["step"] for row in rows}
    assert set(steps) == {"scratch", "tuned", "AnB@1", "BnB@1", "random@1", "matched"} and steps["matched"] == 40 and steps["scratch"] == 20
    found = json.loads((folder / "summary.json").read_text())["findings"]
    (special,) = (f for f in found if f["name"] == "specificity")
    assert special["value"] == pytest.approx(sum(last["AnB@1", s] - last["BnB@1", s] for s in (0, 1)) / 2, abs=1e-5)
    (gain,) = (f for f in found if f["name"] == "contrast" and f["where"]["between"] == "tuned - matched")
    assert gain["value"] == pytest.approx(sum(last["tuned", s] - last["matched", s] for s in (0, 1)) / 2, abs=1e-5)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_blocks_and_leaves_what_stands(folder):
    before = rows_of(folder)
    assert ran(CONFIG, *TINY, "--config.blocks=1,2", f"--workdir={folder}") == 0
    after = rows_of(folder)
    assert after[: len(before)] == before
    assert {row["arm"] for row in after[len(before) :] if row["phase"] == "result"} == {"AnB@2", "BnB@2", "random@2"}
