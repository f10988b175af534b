"""Commands of lora_rank_sweep: what is refused, what an accelerator would run, and a run that is killed."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.commands import assert_refused, command, ran

CONFIG = "--config=configs/lora_rank_sweep.py"
BAD = [
    ("ranks=1,65", "above min"),
    ("ranks=-1,2", "rank"),
    ("adapter.targets=nowhere", "nowhere"),
    ("adapter.form=fast", "form"),
    ("arms=blok", "block"),
    ("inits=pretraned", "pretrained"),
    ("learning_rates.lora=0,1e-3,1e-2", "above 0"),
    ("learning_rates.lora=1e-3,1e-2", "at least 3"),
    ("learning_rates.full=1e-4,1e-3,1e-2", "differ in length"),
    ("seeds=2.5", "seeds"),
    ("seeds=0", "seeds"),
    ("steps=many", "steps"),
    ("rankz=1", "ranks"),
    ("model.norm=batch", "norm"),
    ("model.n_heads=3", "n_heads"),
    ("model.attention=cudnn", "GPU"),
    ("mesh.member=99", "devices"),
    ("mesh.data=3", "divisible by the 3 devices"),
    ("pretraining.accumulate=3", "divisible in 3 parts"),
    ("pretraining.batch_size=0", "pretraining.batch_size"),
]


@pytest.mark.parametrize(("override", "word"), BAD)
def test_bad_input_is_one_line_and_writes_nothing(override: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert_refused(CONFIG, override, word, tmp_path, capsys)


def test_an_unknown_source_is_refused_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ("--config.source=stdlib:cod", "--config.targets=generated:restaurants,", "--config.data.max_bytes=262144")
    assert ran(f"{CONFIG}:smoke", *words, f"--workdir={tmp_path / 'new'}") == 2
    assert "stdlib:code" in capsys.readouterr().err


@pytest.mark.parametrize("variant", [":gpu", ":paper"])
def test_variants_for_accelerators_plan_in_small(variant: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    small = ("attention=xla", "d_model=128", "n_layers=2", "n_heads=2", "n_kv_heads=2", "d_mlp=512", "max_length=64")
    words = [f"--config.model.{word}" for word in small]
    assert ran(CONFIG + variant, *words, "--config.ranks=1,64", "--dry_run", f"--workdir={tmp_path / 'new'}") == 0
    assert "cells in 3 populations" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_killed_five_times_makes_the_records_of_a_whole_one(tmp_path: Path, root: Path) -> None:
    words, environment = command(f"{CONFIG}:smoke", tmp_path / "whole", tmp_path / "cache-a")
    subprocess.run(words, cwd=root, env=environment, check=True, capture_output=True)
    words, environment = command(f"{CONFIG}:smoke", tmp_path / "killed", tmp_path / "cache-b")
    moments = random.Random(0)
    for _ in range(5):
        process = subprocess.Popen(words, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(6, 25))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(words, cwd=root, env=environment, check=True, capture_output=True)
    assert (tmp_path / "killed" / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()
    summary = json.loads((tmp_path / "killed" / "summary.json").read_text())
    assert {"r90", "share_of_gain", "lr_ratio", "source_loss", "target_loss"} <= {finding["name"] for finding in summary["findings"]}
