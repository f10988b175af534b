"""Every experiment is found by name, plans in each variant that needs no special hardware, and refuses what cannot be."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import launch

CONFIG = "--config=configs/lora_rank_sweep.py"
PLANTED = "--config=configs/planted_rank.py"


def ran(*words: str) -> int:
    return launch.main(["launch.py", *words])


@pytest.mark.parametrize("config", [*(CONFIG + v for v in ("", ":smoke", ":arms", ":thorough")), PLANTED, f"{PLANTED}:smoke"])
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
        (CONFIG, "pretraining.batch_size=33", "divisible"),
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
