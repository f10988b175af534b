"""A base from elsewhere in a run: what it decides, what is refused, and that weights replaced under it are noticed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from research.pretrained.sources import find
from research.records import read_rows
from research.runtime import bases
from tests.commands import assert_refused, ran
from tests.foreign_folder import foreign_folder

CONFIG = "--config=configs/lora_rank_sweep.py:smoke"
SMALL = {
    "source": "text:research/**/*.py",
    "targets": "generated:restaurants,",
    "inits": "pretrained,random",
    "arms": "block,",
    "ranks": "2,",
    "rate_ranks": "2,",
    "matched": "false",
    "after": "()",
    "read_at": "()",
    "seeds": "2",
    "steps": "2",
    "batch_size": "2",
    "model.max_length": "32",
    "data.test_bytes": "8192",
    "data.validation_bytes": "4096",
    "data.final_bytes": "4096",
    "data.max_bytes": "262144",
}

DATA = [key for key in SMALL if key.startswith("data.")]


def words(**changes: Any) -> list[str]:
    return [f"--config.{key.replace('__', '.')}={value}" for key, value in (SMALL | changes).items()]


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """A command asks what a word names once; each test is a command of its own."""
    bases.found.cache_clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign_folder(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in which a base is too large to lie beside others."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("research.training.memory.LARGE", 0)
        assert ran(CONFIG, *words(base=f"hf:{folder}"), f"--workdir={workdir}") == 0
    return workdir


def values(workdir: Path) -> dict[tuple, float]:
    """Returns what was measured, by where: names of cells are left out."""
    rows, _ = read_rows(workdir / "records.jsonl")
    left_out = ("cell", "value", "unit", "experiment", "note")
    return {tuple(sorted((k, str(v)) for k, v in row.items() if k not in left_out)): row["value"] for row in rows}


def test_the_checkpoint_decides_the_shape_and_the_resolved_model_is_kept(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    assert (config["model"]["d_model"], config["model"]["vocab_size"], config["model"]["rope_theta"]) == (24, 280, 50_000.0)
    assert config["model"]["tied"] and config["model"]["scan"] and config["model"]["max_length"] == 32
    assert config["pretraining"]["steps"] == 0 and config["pretraining"]["bases"] == 1
    assert config["mesh"]["member"] == 1  # a large base, held once by each host device
    pinned = json.loads((run / "fingerprints.json").read_text())
    assert pinned["base"] == find(config["base"]).identity


@pytest.mark.slow
def test_one_base_at_a_time_gives_what_all_together_do(run: Path, folder: Path, tmp_path: Path) -> None:
    assert ran(CONFIG, *words(base=f"hf:{folder}"), f"--workdir={tmp_path / 'together'}", "--config.mesh.member=1") == 0
    one, all_together = values(run), values(tmp_path / "together")
    assert one.keys() == all_together.keys() and len(one) > 100
    assert {key for key in one if one[key] is None} == {key for key in all_together if all_together[key] is None}
    assert all(one[key] == pytest.approx(all_together[key], rel=1e-4, abs=1e-6) for key in one if one[key] is not None)


def test_the_report_says_whose_base_it_is_and_that_intervals_leave_it_out(run: Path, folder: Path) -> None:
    report = (run / "report.md").read_text()
    assert str(folder) in report and "base is left out" in report


def test_weights_replaced_between_stop_and_resume_are_noticed(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "finished.json").unlink()
    whole = folder / "model.safetensors"
    kept = whole.read_bytes()
    try:
        shutil.copy(foreign_folder(tmp_path / "other", seed=2) / "model.safetensors", whole)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("research.training.memory.LARGE", 0)
            assert ran(CONFIG, *words(base=f"hf:{folder}"), f"--workdir={tmp_path / 'run'}") == 2
    finally:
        whole.write_bytes(kept)
    assert "base changed since" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"inits": "pretrained@20%,random"}, "was pretrained elsewhere"),
        ({"inits": "pretrained:stdlib:code,random"}, "was pretrained elsewhere"),
        ({"inits": "pretrained@step3000,random", "base": "gguf:{}"}, "no such file"),
        ({"model.d_model": "128"}, "has d_model = 24"),
        ({"model.d_model": "64"}, "has d_model = 24"),  # typed, though it is the default
        ({"model.max_length": "16384"}, "made for 64 tokens"),
        ({"pretraining.bases": "3"}, "taken as it is"),
        ({"base": "hf:./nowhere"}, "no such folder"),
        ({"base": "someone/model"}, "write hf:FOLDER"),
        ({"base": "run:nowhere/cell"}, "is not the folder of a run"),
    ],
)
def test_what_says_otherwise_than_the_checkpoint_is_refused_in_one_line(
    changes: dict[str, str], word: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = words(**({"base": f"hf:{folder}"} | {key: value.replace("{}", str(tmp_path / "x.gguf")) for key, value in changes.items()}))
    assert ran(CONFIG, *command, f"--workdir={tmp_path / 'new'}") == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(error) == 1 and word in error[0], error
    assert not (tmp_path / "new").exists()


def test_what_is_planted_refuses_a_base_from_elsewhere(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert_refused("--config=configs/planted_rank.py:smoke", f"base=hf:{folder}", "leave base=own", tmp_path, capsys)


@pytest.mark.parametrize(
    ("config", "mend"),
    [
        ("lora_rank_sweep.py --config.ranks=1,2,4 --config.rate_ranks=1,", ""),
        ("lora_rank_sweep.py:smoke", ""),
        ("lora_rank_sweep.py:smoke --config.after=spectra,", "set --config.keep=0,"),
        ("intrinsic_dimension.py --config.dimensions.lm=64,256,1024 --config.models=lm,", ""),
        ("intrinsic_dimension.py:smoke", ""),
        ("planted_rank.py", "base=own"),
        ("planted_rank.py:smoke", "base=own"),
    ],
)
def test_every_default_and_smoke_plans_from_such_a_base_or_says_in_one_line_what_to_set(
    config: str, mend: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = (*f"--config=configs/{config}".split(), f"--config.base=hf:{folder}", f"--workdir={tmp_path / 'new'}", "--dry_run")
    code, said = ran(*command), capsys.readouterr()
    errors = [line for line in said.err.splitlines() if line.startswith("error:")]
    assert (code, len(errors)) == ((2, 1) if mend else (0, 0)), said.err
    assert mend in said.err and not (tmp_path / "new").exists()


def test_what_memory_cannot_hold_is_refused_before_a_weight_is_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("research.training.memory.machine_bytes", lambda: 9 * 2**20)
    monkeypatch.setattr("research.pretrained.checkpoint.Checkpoint.load", lambda *_: pytest.fail("a weight was read"))
    assert ran(CONFIG, *words(base=f"hf:{folder}"), f"--workdir={tmp_path / 'new'}") == 2
    assert "needs about" in capsys.readouterr().err and not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_kept_cell_of_a_run_is_a_base(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    own = ("inits", "seeds", "steps", "matched", "after", "read_at", "ranks", "rate_ranks", "targets", "batch_size", *DATA)
    base = [f"--config.{key}={SMALL[key]}" for key in own]
    shape = [f"--config.{word}" for word in ("arms=block,", "model.d_model=16", "model.n_layers=1", "pretraining.steps=4", "keep=0,")]
    assert ran(CONFIG, *base, *shape, f"--workdir={tmp_path / 'first'}") == 0
    kept = [path.stem for path in sorted((tmp_path / "first" / "artifacts").glob("*.npz"))]
    rows, _ = read_rows(tmp_path / "first" / "records.jsonl")
    full = next(row["cell"] for row in rows if row.get("trains") == "full" and row["cell"] in kept)
    second = (CONFIG, *base, "--config.arms=block,", f"--config.base=run:{tmp_path / 'first'}/{full}", f"--workdir={tmp_path / 'second'}")
    assert ran(*second) == 0
    rows, _ = read_rows(tmp_path / "second" / "records.jsonl")
    assert json.loads((tmp_path / "second" / "config.json").read_text())["model"]["d_model"] == 16
    capsys.readouterr()
    lora = next(cell for cell in kept if cell != full)
    assert ran(*second[:-2], f"--config.base=run:{tmp_path / 'first'}/{lora}", f"--workdir={tmp_path / 'third'}", "--dry_run") == 2
    assert "only what moved is kept" in capsys.readouterr().err
