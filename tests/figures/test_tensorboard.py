"""TensorBoard reads back what the records hold."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from research.figures.tensorboard import write_scalars
from research.files import file_word
from tests.synthetic import SELECTION_SEEDS, TARGETS

RUNS = Path("result") / file_word(TARGETS[0])


def _read(folder):
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)] for tag in events.Tags()["tensors"]
    }


def test_a_cell_is_a_run_with_its_curves(make_results, tmp_path):
    frame = make_results(inits=("pretrained",), ranks=(4,), seeds=2)
    assert write_scalars(frame, tmp_path) == 3 * 2 + 3 * 4 * len(SELECTION_SEEDS)
    curves = _read(tmp_path / RUNS / "pretrained/block-lora-r4/lr0.01-seed1")
    assert set(curves) == {"target_loss", "budget_loss", "validation_loss", "train_loss", "source_loss"}
    rows = frame[(frame["phase"] == "result") & (frame["trains"] == "lora") & (frame["seed"] == 1) & (frame["metric"] == "budget_loss")]
    assert curves["budget_loss"] == [
        (step, pytest.approx(value, rel=1e-6)) for step, value in zip(rows["step"], rows["value"], strict=True)
    ]


def test_writing_again_replaces(make_results, tmp_path):
    frame = make_results(inits=("pretrained",), ranks=(4,), seeds=1)
    write_scalars(frame, tmp_path)
    write_scalars(frame, tmp_path)
    assert len(_read(tmp_path / RUNS / "pretrained/full/lr0.01-seed0")["budget_loss"]) == 5


def test_words_with_paths_stay_inside_apart_and_are_replaced(make_results, tmp_path):
    words = ("pretrained:text:../../../out/*.txt", "pretrained:text:/../../../out/*?.txt", "pretrained@20%")
    frame = make_results(inits=words, ranks=(4,), seeds=1)
    counts = set()
    for _ in range(2):
        runs = write_scalars(frame, tmp_path / "run" / "tensorboard")
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        counts.add((runs, len(files)))
        assert all(path.is_relative_to(tmp_path / "run" / "tensorboard") for path in files)
    assert counts == {(3 * (3 + 3 * 4 * len(SELECTION_SEEDS)),) * 2}
    inits = [path.name for path in (tmp_path / "run/tensorboard" / RUNS).iterdir()]
    assert len(inits) == 3 and "pretrained@20%" in inits


def test_diverged_values_are_left_out(make_results, tmp_path):
    frame = make_results(inits=("pretrained",), ranks=(4,), seeds=1)
    frame.loc[(frame["phase"] == "result") & (frame["step"] > 100), "value"] = None
    write_scalars(frame, tmp_path)
    assert [step for step, _ in _read(tmp_path / RUNS / "pretrained/full/lr0.01-seed0")["budget_loss"]] == [50, 100]
