"""What a run is of: read off its records where they tell, absent where they do not, said in captions."""

import pandas as pd
import pytest

from research.analysis import described
from research.analysis.wording import base_sentence, elsewhere, pieces_of, window_sentence

WINDOW = {"metric": "window", "value": 1024, "note": None}
BASE = {"metric": "foreign_base", "value": 1.0, "note": "gguf:x (Q4_1, dequantized)"}
LOSS = {"metric": "target_loss", "value": 2.0, "note": None}


@pytest.mark.parametrize(("rows", "pieces"), [([LOSS, WINDOW], "bytes"), ([LOSS, WINDOW, BASE, BASE], "tokens")])
def test_base_and_window_are_said(rows: list[dict], pieces: str) -> None:
    frame = pd.DataFrame(rows).astype({"value": object})
    found = [*described.base(frame), *described.window(frame, {"target": "t"})]
    assert window_sentence(found) == f" Read in windows of 1,024 {pieces} that do not overlap."
    assert pieces_of(found) == pieces and found[-1].where == {"target": "t"} and "stride" in found[-1].note
    assert elsewhere(found) == (BASE["note"] if BASE in rows else "")
    assert base_sentence(found) == ([f"The base is {BASE['note']}, pretrained elsewhere"] if BASE in rows else [])


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame([LOSS])])
def test_records_that_do_not_tell_are_passed_over(frame: pd.DataFrame) -> None:
    assert [*described.base(frame), *described.window(frame, {})] == [] and window_sentence([]) == ""
