"""`--export`: what a run kept goes into folders; what cannot is refused in one line, and nothing is written."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from research import tree
from research.models.configuration import DecoderConfig
from research.pretrained import peft
from research.pretrained.factors import of_variables
from research.pretrained.sources import find
from research.records import Records
from research.runtime import artifacts
from tests.commands import ran
from tests.pretrained import written_gguf
from tests.pretrained.exported import GOLDENS, drawn, golden
from tests.tokenized import fields

ADAPTER, FULL, DIVERGED, LOST, SELECTED, SHUFFLED, WHOLE, OLD = (f"{digit}" * 12 for digit in "01234567")
RESULT = {"experiment": "lora_rank_sweep", "phase": "result", "target": "t", "arm": "block", "rank": 3, "seed": 0, "base": 0}
CELLS: dict[str, dict[str, Any]] = {
    ADAPTER: {"init": "pretrained", "trains": "lora"},
    FULL: {"init": "pretrained", "trains": "matched"},
    DIVERGED: {"init": "pretrained", "trains": "lora", "note": "diverged"},
    LOST: {"init": "pretrained", "trains": "full", "seed": 7},
    SELECTED: {"init": "pretrained", "trains": "lora", "phase": "select", "seed": 1000},
    SHUFFLED: {"init": "shuffled", "trains": "lora"},
    WHOLE: {"init": "shuffled", "trains": "full"},
    OLD: {"init": "pretrained", "trains": "lora", "rank": 1},
}


def made(folder: Path, word: str) -> Path:
    """Writes the folder of a run that started from a base, with what it kept, and returns it."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"experiment": "lora_rank_sweep", "base": word, "adapter": {}, "keep": []}))
    (folder / "fingerprints.json").write_text(json.dumps({"base": find(word).identity}))
    records = Records(folder / "records.jsonl")
    for cell, own in CELLS.items():
        value = None if "note" in own else 1.0
        records.append([{**RESULT, **own, "cell": cell, "step": step, "metric": "train_loss", "value": value} for step in (1, 2)])
    base = find(word)
    params = base.load(DecoderConfig(**base.model, max_length=8, scan=True))
    kept = {
        ADAPTER: drawn(base),
        DIVERGED: drawn(base),
        SHUFFLED: drawn(base),
        FULL: {"params": {"final_norm": {"scale": params["final_norm"]["scale"] + 1}}},
        WHOLE: {"params": params},
    }
    for cell, variables in kept.items():
        artifacts.save(folder / "artifacts" / f"{cell}.npz", tree.flatten(variables))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("runs") / "run", f"hf:{GOLDENS / 'llama'}")


def test_the_cells_that_can_be_exported_are_listed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(f"--workdir={run}", f"--export={tmp_path / 'new'}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"3 of 8 cells of {run} can be exported; 1 diverged")
    assert f"  --cell={ADAPTER}  adapter  phase result, target t, arm block, rank 3, seed 0, base 0, init pretrained, trains lora" in lines
    assert any(line.startswith(f"  --cell={FULL}  model ") for line in lines)
    assert lines[-1] == "  --cell=base  the base itself"
    assert not (tmp_path / "new").exists()


def test_an_adapter_names_its_base_and_its_cell(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(f"--workdir={run}", f"--export={tmp_path / 'deep' / 'new'}", f"--cell={ADAPTER}") == 0
    assert "the adapter of cell 000000000000 stands in" in capsys.readouterr().out
    folder = tmp_path / "deep" / "new"
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["use_rslora"]) == (str(GOLDENS / "llama"), False)
    origin = json.loads((folder / "lowlands.json").read_text())
    assert (origin["what"], origin["cell"], origin["coordinates"]["trains"]) == ("adapter", ADAPTER, "lora")
    assert "arm block, rank 3, seed 0, base 0" in (folder / "README.md").read_text()
    assert of_variables(peft.load(folder, golden("llama"))).keys() == of_variables(drawn(golden("llama"))).keys()


def test_what_was_trained_instead_of_an_adapter_is_a_model(run: Path, tmp_path: Path) -> None:
    before = golden("llama")
    for cell in (FULL, WHOLE):
        assert ran(f"--workdir={run}", f"--export={tmp_path / cell}", f"--cell={cell}") == 0
    config = DecoderConfig(**before.model, max_length=8, scan=True)
    moved = find(f"hf:{tmp_path / FULL}").load(config)["final_norm"]["scale"] - before.load(config)["final_norm"]["scale"]
    np.testing.assert_allclose(moved, 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (DIVERGED, "diverged"),
        (LOST, "--config.keep names: add 7"),
        (SELECTED, "cells by which learning rates are chosen never are"),
        (OLD, "before adapters of results were kept"),
        (SHUFFLED, "started from shuffled weights, which no folder holds"),
        ("00000000000f", "did you mean '000000000000'?"),
    ],
)
def test_a_cell_that_cannot_go_is_refused(cell: str, words: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(f"--workdir={run}", f"--export={tmp_path / 'new'}", f"--cell={cell}") == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_taken_or_the_bases_own_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link").symlink_to(GOLDENS / "llama")
    for target in (GOLDENS / "llama", tmp_path / "link", GOLDENS / "llama" / "adapter"):
        assert ran(f"--workdir={run}", f"--export={target}", f"--cell={ADAPTER}") == 2
        assert "in the folder of the base itself" in capsys.readouterr().err
    assert ran(f"--workdir={run}", f"--export={run}", f"--cell={ADAPTER}") == 2
    assert "is not empty" in capsys.readouterr().err
    assert not (GOLDENS / "llama" / "adapter").exists()


def test_what_is_no_run_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.json").write_text('{"experiment": "lora_rank_sweep", "base": "own"}')
    for words, complaint in (
        ((f"--workdir={tmp_path / 'none'}", "--export=x"), "is not the folder of a run"),
        ((f"--workdir={tmp_path / 'own'}", "--export=x"), "started from base=own"),
        ((f"--workdir={run}", f"--cell={ADAPTER}"), "Give --export=FOLDER"),
        (("--export=x",), "Give --workdir=FOLDER"),
    ):
        assert ran(*words) == 2
        assert complaint in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_base_that_changed_since_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    for name in ("config.json", "records.jsonl"):
        (tmp_path / "run" / name).write_bytes((run / name).read_bytes())
    (tmp_path / "run" / "fingerprints.json").write_text('{"base": "another"}')
    assert ran(f"--workdir={tmp_path / 'run'}", f"--export={tmp_path / 'new'}", f"--cell={ADAPTER}") == 2
    assert "has changed since" in capsys.readouterr().err


def test_the_base_of_a_gguf_stands_beside_its_adapters_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written_gguf.write(GOLDENS / "qwen3", tmp_path / "q.gguf", quantized=gguf.GGMLQuantizationType.Q4_1, extra=fields())
    run = made(tmp_path / "run", f"gguf:{file}")
    out = tmp_path / "out"
    for name in ("a", "b"):
        assert ran(f"--workdir={run}", f"--export={out / name}", f"--cell={ADAPTER}") == 0
        assert "Q4_1, dequantized" in capsys.readouterr().out
        (place,) = (path for path in out.iterdir() if path.name.startswith("base-"))
        assert json.loads((out / name / "adapter_config.json").read_text())["base_model_name_or_path"] == str(place)
        assert "Q4_1, dequantized" in (out / name / "README.md").read_text()
    written = (place / "model.safetensors").stat().st_mtime_ns
    assert "Q4_1, dequantized" in (place / "README.md").read_text()
    assert ran(f"--workdir={run}", f"--export={tmp_path / 'base'}", "--cell=base") == 0
    assert (place / "model.safetensors").stat().st_mtime_ns == written
    before, after = find(f"gguf:{file}"), find(f"hf:{place}")
    config = DecoderConfig(**before.model, max_length=8, scan=True)
    for path, leaf in tree.flatten(before.load(config)).items():
        np.testing.assert_array_equal(leaf, tree.flatten(after.load(config))[path], err_msg=path)
    assert json.loads((place / "tokenizer.json").read_text())["model"]["type"] == "BPE"
    assert json.loads((place / "generation_config.json").read_text()) == {"bos_token_id": 267, "eos_token_id": 267}
