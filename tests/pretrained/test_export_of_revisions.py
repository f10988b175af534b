"""A cell that started from another revision of the hub is exported on that revision, where it is still the one of the run."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from research import tree
from research.models.configuration import DecoderConfig
from research.pretrained.sources import find
from research.records import Records
from research.runtime import artifacts
from tests.commands import ran
from tests.foreign_folder import foreign_folder
from tests.pretrained.exported import drawn

NAME, REVISION, CELL, FULL = "someone/tiny", "step7", "0" * 12, "1" * 12


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the hub's cache, offline, with a model at its head and as it was at step 7."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = tmp_path / "hub" / "models--someone--tiny"
    (model / "refs").mkdir(parents=True)
    for seed, revision in enumerate(("main", REVISION)):
        foreign_folder(model / "snapshots" / (f"{seed}" * 40), seed)
        (model / "refs" / revision).write_text(f"{seed}" * 40)
    return model


@pytest.fixture
def run(cache: Path, tmp_path: Path) -> Path:
    """Returns the folder of a run with an adapter and a norm that were trained on step 7."""
    folder, base = tmp_path / "run", find(f"hf:{NAME}@{REVISION}")
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"experiment": "lora_rank_sweep", "base": f"hf:{NAME}", "adapter": {}, "keep": []}))
    pinned = {"base": find(f"hf:{NAME}").identity, f"base @{REVISION}": base.identity}
    (folder / "fingerprints.json").write_text(json.dumps(pinned))
    row = {"experiment": "lora_rank_sweep", "phase": "result", "init": f"pretrained@{REVISION}", "seed": 0, "metric": "m", "value": 1.0}
    Records(folder / "records.jsonl").append([{**row, "cell": CELL, "trains": "lora"}, {**row, "cell": FULL, "trains": "matched"}])
    norm = base.load(DecoderConfig(**base.model, scan=True))["final_norm"]["scale"]
    for cell, variables in {CELL: drawn(base), FULL: {"params": {"final_norm": {"scale": norm}}}}.items():
        artifacts.save(folder / "artifacts" / f"{cell}.npz", tree.flatten(variables))
    return folder


def test_an_export_stands_on_the_revision_of_its_cell(run: Path, tmp_path: Path) -> None:
    for cell in (CELL, FULL):
        assert ran(f"--workdir={run}", f"--export={tmp_path / cell}", f"--cell={cell}") == 0
    adapter = json.loads((tmp_path / CELL / "adapter_config.json").read_text())
    assert (adapter["base_model_name_or_path"], adapter["revision"]) == (NAME, REVISION)
    moved, config = find(f"hf:{tmp_path / FULL}"), DecoderConfig(**find(f"hf:{NAME}").model)
    table, head, seventh = (
        found.load(config)["embedding"]["embedding"] for found in (moved, find(f"hf:{NAME}"), find(f"hf:{NAME}@{REVISION}"))
    )
    assert (table == seventh).all() and not (table == head).all()


def test_a_revision_that_moved_since_is_refused(run: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign_folder(cache / "snapshots" / ("2" * 40), seed=2)
    (cache / "refs" / REVISION).write_text("2" * 40)
    for cell in (CELL, FULL):
        assert ran(f"--workdir={run}", f"--export={tmp_path / 'new'}", f"--cell={cell}") == 2
        assert f"hf:{NAME}@{REVISION} has changed since {run} was made" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
