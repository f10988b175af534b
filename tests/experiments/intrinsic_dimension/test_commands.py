"""Commands of intrinsic_dimension: what is refused, what an accelerator would run, and a small run that is extended."""

import json
from pathlib import Path

import pytest

from tests.commands import assert_refused, ran

CONFIG = "--config=configs/intrinsic_dimension.py"
BAD = [
    ("dimensions.fc=16,8971", "above the 8970 parameters"),
    ("dimensions.lm=131393", "above the 131392 parameters"),
    ("dimensions.fc=-1", "0 (the untouched model)"),
    ("dimensions=16", "dimensions.fc"),
    ("projections.fc=sparse", "count_sketch"),
    ("draws.lm=2", "bootstrapped"),
    ("images=sklearn:iris", "sklearn:digits"),
    ("images=tfds:nowhere", "nowhere"),
    ("models=fc,resnet", "resnet"),
    ("models=lenet", "at least 16x16"),
    ("inits=pretrained@0%", "percentage"),
    ("absolute=90", "between 0 and 1"),
    ("known_draws=1", "known_draws"),
    ("batch_size.fc=0", "batch_size"),
    ("validation_images=5000", "validation"),
]


@pytest.mark.parametrize(("override", "word"), BAD)
def test_bad_input_is_one_line_and_writes_nothing(override: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert_refused(CONFIG, override, word, tmp_path, capsys)


def test_dimensions_plan_for_an_accelerator_in_small(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    small = ("model.d_model=16", "model.n_layers=1", "model.n_heads=2", "model.n_kv_heads=2", "model.d_mlp=64", "model.max_length=32")
    words = [f"--config.{word}" for word in (*small, "widths=16,32,48", "dimensions.lm=64,1024")]
    assert ran(f"{CONFIG}:gpu", *words, "--dry_run", f"--workdir={tmp_path / 'new'}") == 0
    assert "cells in 6 populations" in capsys.readouterr().out


def test_scales_of_layers_leave_room_for_a_direction(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = (CONFIG, "--config.models=fc", "--config.per_layer=true", f"--workdir={tmp_path / 'new'}")
    assert ran(*words, "--config.dimensions.fc=3,64") == 2
    assert "one scale for each of 3 layers" in capsys.readouterr().err
    assert ran(*words, "--config.dimensions.fc=0,4,64", "--dry_run") == 0


TINY = ("models=fc", "hidden=8", "projections.fc=count_sketch", "dimensions.fc=0,16,64", "steps.fc=20", "known_draws=2", "batch_size.fc=16")


@pytest.mark.slow
def test_dimensions_are_measured_the_untouched_model_among_them_and_more_draws_extend_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = (f"{CONFIG}:smoke", *(f"--config.{word}" for word in TINY), f"--workdir={tmp_path}")
    assert ran(*words) == 0
    before = (tmp_path / "records.jsonl").read_bytes()
    found = json.loads((tmp_path / "summary.json").read_text())["findings"]
    assert "| count_sketch | full-space training itself reaches" in (tmp_path / "report.md").read_text()
    untouched = [f for f in found if f["name"] == "accuracy" and f["where"]["dimension"] == 0]
    assert len(untouched) == 1 and untouched[0]["n"] == 3
    rows = [json.loads(line) for line in before.splitlines()]
    start = {r["seed"]: r["value"] for r in rows if r["phase"] == "reference" and r["metric"] == "accuracy"}
    at_zero = {r["seed"]: r["value"] for r in rows if r["phase"] == "result" and r["dimension"] == 0 and r["metric"] == "accuracy"}
    assert at_zero == start and len(start) == 3
    d90 = {f["where"]["threshold"]: f for f in found if f["name"] == "d90"}
    assert d90["absolute"]["value"] is None and "full-space training itself reaches" in d90["absolute"]["note"]
    assert d90["relative"]["n"] == 3
    assert ran(*words, "--config.draws.fc=4") == 0
    after = (tmp_path / "records.jsonl").read_bytes()
    assert after.startswith(before) and len(after) > len(before)
    found = json.loads((tmp_path / "summary.json").read_text())["findings"]
    assert next(f["n"] for f in found if f["name"] == "d90" and f["where"]["threshold"] == "relative") == 4
    capsys.readouterr()
