"""Commands of loss_landscape: what is refused."""

from pathlib import Path

import pytest

from tests.commands import assert_refused

CONFIG = "--config=configs/loss_landscape.py"
BAD = [
    ("inits=pretraned", "pretraned"),
    ("readings=surfaces,curvature,hessian", "densities"),
    ("readings=surfaces,densities", "add curvature"),
    ("rank=999", "above min"),
    ("rank=-1", "rank"),
    ("runs=0", "runs"),
    ("sequences=0", "sequences"),
    ("grids.surface=2", "grids.surface"),
    ("grids.line=2", "grids.line"),
    ("curvature.probes=1", "no interval"),
    ("curvature.densities=1", "densities"),
    ("stability.lowest=9.0", "stability.lowest"),
    ("path=0.5,1.5", "between 0 and 1"),
    ("learning_rates.full=1e-3,1e-2", "at least 3"),
    ("selection_steps=7", "multiple"),
    ("base=gguf:nowhere.gguf", "nowhere"),
]


@pytest.mark.parametrize(("override", "word"), BAD)
def test_bad_input_is_one_line_and_writes_nothing(override: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert_refused(CONFIG, override, word, tmp_path, capsys)
