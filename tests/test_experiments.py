"""Every experiment is found by name, plans in each variant that needs no special hardware, and refuses what cannot be."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

import launch
from research.loop.devices import say_idle
from research.records import identity

CONFIG = "--config=configs/lora_rank_sweep.py"
PLANTED = "--config=configs/planted_rank.py"
DIMENSION = "--config=configs/intrinsic_dimension.py"
VARIANTS = [*(CONFIG + v for v in ("", ":smoke", ":arms", ":thorough")), PLANTED, f"{PLANTED}:smoke"]
VARIANTS += [DIMENSION + v for v in ("", ":smoke", ":thorough")]


def ran(*words: str) -> int:
    return launch.main(["launch.py", *words])


@pytest.mark.parametrize("config", VARIANTS)
def test_each_variant_plans_without_writing(config: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert ran(config, "--dry_run", f"--workdir={tmp_path / 'new'}") == 0
    assert "cells" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("variant", [":gpu", ":paper"])
def test_variants_for_accelerators_plan_in_small(variant: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    small = ("attention=xla", "d_model=128", "n_layers=2", "n_heads=2", "n_kv_heads=2", "d_mlp=512", "max_length=64")
    words = [f"--config.model.{word}" for word in small]
    assert ran(CONFIG + variant, *words, "--config.ranks=1,64", "--dry_run", f"--workdir={tmp_path / 'new'}") == 0
    assert "cells in 3 populations" in capsys.readouterr().out


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
        words, environment = command(tmp_path / str(devices), tmp_path / f"cache-{devices}")
        subprocess.run(words, cwd=root, env={**environment, "JAX_NUM_CPU_DEVICES": str(devices)}, check=True, capture_output=True)
        rows = [json.loads(line) for line in (tmp_path / str(devices) / "records.jsonl").read_text().splitlines()]
        values.append({identity(row): row["value"] for row in rows if row["metric"] != "flops_per_token_compiled"})
    assert values[0] == pytest.approx(values[1], rel=1e-4, abs=1e-6)


def test_dimensions_plan_for_an_accelerator_in_small(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    small = ("model.d_model=16", "model.n_layers=1", "model.n_heads=2", "model.n_kv_heads=2", "model.d_mlp=64", "model.max_length=32")
    words = [f"--config.{word}" for word in (*small, "widths=16,32,48", "dimensions.lm=64,1024")]
    assert ran(f"{DIMENSION}:gpu", *words, "--dry_run", f"--workdir={tmp_path / 'new'}") == 0
    assert "cells in 6 populations" in capsys.readouterr().out


def test_scales_of_layers_leave_room_for_a_direction(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = (DIMENSION, "--config.models=fc", "--config.per_layer=true", f"--workdir={tmp_path / 'new'}")
    assert ran(*words, "--config.dimensions.fc=3,64") == 2
    assert "one scale for each of 3 layers" in capsys.readouterr().err
    assert ran(*words, "--config.dimensions.fc=0,4,64", "--dry_run") == 0


TINY = ("models=fc", "hidden=8", "projections.fc=count_sketch", "dimensions.fc=0,16,64", "steps.fc=20", "known_draws=2", "batch_size.fc=16")


def test_dimensions_are_measured_the_untouched_model_among_them_and_more_draws_extend_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = (f"{DIMENSION}:smoke", *(f"--config.{word}" for word in TINY), f"--workdir={tmp_path}")
    assert ran(*words) == 0
    before = (tmp_path / "records.jsonl").read_bytes()
    found = json.loads((tmp_path / "summary.json").read_text())["findings"]
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


@pytest.mark.parametrize(
    ("config", "override", "word"),
    [
        *(
            (PLANTED, *pair)
            for pair in (
                ("planted_ranks=1,99", "above min"),
                ("planted_ranks=0", "zero"),
                ("spectra=steep", "decaying"),
                ("decoys=none", "out_of_reach"),
                ("out_of_reach=mlp", "elsewhere"),
                ("strength=0", "strength"),
                ("simulations=0", "simulations"),
                ("model.dropout=0.1", "exact outputs"),
            )
        ),
        *(
            (DIMENSION, *pair)
            for pair in (
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
            )
        ),
        (CONFIG, "ranks=1,65", "above min"),
        (CONFIG, "ranks=-1,2", "rank"),
        (CONFIG, "adapter.targets=nowhere", "nowhere"),
        (CONFIG, "adapter.form=fast", "form"),
        (CONFIG, "arms=blok", "block"),
        (CONFIG, "inits=pretraned", "pretrained"),
        (CONFIG, "learning_rates.lora=0,1e-3,1e-2", "above 0"),
        (CONFIG, "learning_rates.lora=1e-3,1e-2", "at least 3"),
        (CONFIG, "learning_rates.full=1e-4,1e-3,1e-2", "differ in length"),
        (CONFIG, "seeds=2.5", "seeds"),
        (CONFIG, "seeds=0", "seeds"),
        (CONFIG, "steps=many", "steps"),
        (CONFIG, "rankz=1", "ranks"),
        (CONFIG, "model.norm=batch", "norm"),
        (CONFIG, "model.n_heads=3", "n_heads"),
        (CONFIG, "model.attention=cudnn", "GPU"),
        (CONFIG, "mesh.member=99", "devices"),
        (CONFIG, "mesh.data=3", "divisible by the 3 devices"),
        (CONFIG, "pretraining.accumulate=3", "divisible in 3 parts"),
        (CONFIG, "pretraining.batch_size=0", "pretraining.batch_size"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    config: str, override: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert ran(config, f"--config.{override}", f"--workdir={tmp_path / 'new'}") == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(error) == 1
    assert word in error[0]
    assert not (tmp_path / "new").exists()


def test_unknown_source_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert ran(CONFIG, "--config.source=stdlib:cod", f"--workdir={tmp_path / 'new'}") == 2
    assert "stdlib:code" in capsys.readouterr().err


def command(folder: Path, cache: Path) -> tuple[list[str], dict[str, str]]:
    words = [sys.executable, "launch.py", f"{CONFIG}:smoke", f"--workdir={folder}"]
    kept = {
        name: value for name, value in os.environ.items() if name not in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")
    }
    return words, {**kept, "XDG_CACHE_HOME": str(cache)}


@pytest.mark.slow
def test_a_run_killed_five_times_makes_the_records_of_a_whole_one(tmp_path: Path, root: Path) -> None:
    words, environment = command(tmp_path / "whole", tmp_path / "cache-a")
    subprocess.run(words, cwd=root, env=environment, check=True, capture_output=True)
    words, environment = command(tmp_path / "killed", tmp_path / "cache-b")
    moments = random.Random(0)
    for _ in range(5):
        process = subprocess.Popen(words, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(6, 25))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(words, cwd=root, env=environment, check=True, capture_output=True)
    assert (tmp_path / "killed" / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()
    summary = json.loads((tmp_path / "killed" / "summary.json").read_text())
    assert {"r90", "recovered", "lr_ratio", "source_loss", "target_loss"} <= {finding["name"] for finding in summary["findings"]}
