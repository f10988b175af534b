"""Records say what was read at once, and of a base from elsewhere which one it is, with what belongs beside its numbers."""

import types

import pytest

from research.cells.described import described


@pytest.mark.parametrize(("note", "said"), [("Q4_1, dequantized", "gguf:x (Q4_1, dequantized)"), ("", "gguf:x")])
def test_window_and_base_stand_among_the_references(note: str, said: str) -> None:
    own = types.SimpleNamespace(model=types.SimpleNamespace(max_length=96), checkpoint=None)
    (window,) = described("e", own, target="t")
    assert (window["phase"], window["metric"], window["value"], window["unit"]) == ("reference", "window", 96, "tokens")
    own.checkpoint = types.SimpleNamespace(word="gguf:x", note=note)
    rows = described("e", own, target="t")
    assert rows[0] == window and (rows[1]["metric"], rows[1]["note"], rows[1]["target"]) == ("foreign_base", said, "t")
