import numpy as np

from research.data.vocabulary import BYTES


def test_text_survives_the_round_trip() -> None:
    text = "naïve – 日本\n"
    tokens = BYTES.encode(text)
    assert tokens.dtype == np.uint8 and len(tokens) == len(text.encode())
    assert BYTES.decode(tokens) == text
    assert np.array_equal(BYTES.encode(text.encode()), tokens)


def test_the_separator_never_comes_out_of_text() -> None:
    assert BYTES.separator not in BYTES.encode("a\0b")
    assert BYTES.decode(BYTES.encode("a\0b")) == "ab"
    assert int(BYTES.encode(bytes(range(256))).max()) < BYTES.size
