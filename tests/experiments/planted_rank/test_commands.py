"""Commands of planted_rank: what is refused."""

from pathlib import Path

import pytest

from tests.commands import assert_refused

CONFIG = "--config=configs/planted_rank.py"
BAD = [
    ("planted_ranks=1,99", "above min"),
    ("planted_ranks=0", "zero"),
    ("spectra=steep", "decaying"),
    ("decoys=none", "out_of_reach"),
    ("out_of_reach=mlp", "elsewhere"),
    ("strengths=0.0", "strengths"),
    ("strength_ranks=99", "above min"),
    ("simulations=0", "simulations"),
    ("model.dropout=0.1", "exact outputs"),
]


@pytest.mark.parametrize(("override", "word"), BAD)
def test_bad_input_is_one_line_and_writes_nothing(override: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert_refused(CONFIG, override, word, tmp_path, capsys)
