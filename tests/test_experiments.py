"""Every experiment is found by name, and each variant that needs nothing special plans on any number of devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import launch
from research.records import identity
from research.runtime import catalog
from research.runtime.devices import say_idle
from tests.commands import command, ran

CONFIG = "--config=configs/lora_rank_sweep.py"
VARIANTS = [
    f"--config=configs/{path.name}{':' if variant else ''}{variant}"
    for path in catalog.configs(launch.ROOT)
    for variant in catalog.variants(path, launch.ROOT)
    if variant not in catalog.needs(path, launch.ROOT)
]


@pytest.mark.parametrize("config", VARIANTS)
def test_each_variant_plans_without_writing(config: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert ran(config, "--dry_run", f"--workdir={tmp_path / 'new'}") == 0
    assert "cells" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()


def test_what_a_variant_needs_is_said_of_variants_that_there_are(capsys: pytest.CaptureFixture) -> None:
    for path in catalog.configs(launch.ROOT):
        assert catalog.needs(path, launch.ROOT).keys() <= catalog.variants(path, launch.ROOT).keys()
    assert ran("--list") == 0
    assert "lora_rank_sweep.py:gpu  126 M parameters, bf16, cuDNN attention; needs one GPU" in capsys.readouterr().out


def of_so_many(devices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides all but the first devices of this process from what plans."""
    found = jax.devices()[:devices]
    monkeypatch.setattr("jax.devices", lambda: found)
    monkeypatch.setattr("jax.device_count", lambda: devices)
    say_idle.cache_clear()


@pytest.mark.parametrize(("devices", "batch", "idle"), [(2, 32, 0), (3, 32, 1), (6, 32, 2), (8, 33, 5)])
def test_any_number_of_devices_plans_and_one_line_says_what_is_idle(
    devices: int, batch: int, idle: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    of_so_many(devices, monkeypatch)
    words = (f"--config.pretraining.batch_size={batch}", "--config.model.n_layers=1", "--config.ranks=1", f"--workdir={tmp_path / 'new'}")
    assert ran(CONFIG, *words, "--dry_run") == 0
    said = [record.getMessage() for record in caplog.records if "idle" in record.getMessage()]
    assert [line.partition(" stay")[0] for line in said] == ([f"{idle} of {devices} devices"] if idle else [])


def test_a_mesh_that_does_not_fill_the_devices_leaves_the_rest_idle(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    words = ("--config.mesh.data=2", "--config.mesh.fsdp=2", "--config.ranks=1", f"--workdir={tmp_path / 'new'}", "--dry_run")
    of_so_many(6, monkeypatch)
    assert ran(CONFIG, *words) == 0
    assert [r.getMessage() for r in caplog.records if "idle" in r.getMessage()] == [
        "2 of 6 devices stay idle beside a mesh of member 1, data 2, fsdp 2, tensor 1"
    ]
    of_so_many(3, monkeypatch)
    assert ran(CONFIG, *words) == 2
    assert "does not fit 3 devices" in capsys.readouterr().err


PLANS = """
import sys, launch
for config in sys.argv[1:]:
    code = launch.main(["launch.py", config, "--dry_run", "--workdir=nowhere"])
    assert code == 0, config
"""


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2, 3, 5, 6, 7, 12])
def test_every_variant_plans_on_any_number_of_devices(devices: int, root: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices), "PYTHONPATH": str(root)}
    planned = subprocess.run([sys.executable, "-c", PLANS, *VARIANTS], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.count("nothing was run or written") == len(VARIANTS)


@pytest.mark.slow
def test_a_run_on_three_devices_makes_the_records_of_one_on_two(root: Path, tmp_path: Path) -> None:
    values = []
    for devices in (2, 3):
        words, environment = command(f"{CONFIG}:smoke", tmp_path / str(devices), tmp_path / f"cache-{devices}")
        subprocess.run(words, cwd=root, env={**environment, "JAX_NUM_CPU_DEVICES": str(devices)}, check=True, capture_output=True)
        rows = [json.loads(line) for line in (tmp_path / str(devices) / "records.jsonl").read_text().splitlines()]
        values.append({identity(row): row["value"] for row in rows if row["metric"] != "flops_per_token_compiled"})
    assert values[0] == pytest.approx(values[1], rel=1e-4, abs=1e-6)
