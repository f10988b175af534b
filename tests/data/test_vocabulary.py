import numpy as np

from research.data.vocabulary import BYTES, dtype_for


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


def test_each_byte_of_text_counts_once_and_neither_the_separator_nor_a_mark_counts() -> None:
    tokens = BYTES.encode("naïve – 日本\n")
    assert BYTES.lengths.shape == (BYTES.size + 1,) and BYTES.lengths[BYTES.mark] == BYTES.lengths[BYTES.size] == 0
    assert BYTES.lengths[tokens].sum() == len(tokens)
    assert all(np.array_equal(one, BYTES.encode(text)) for one, text in zip(BYTES.encode_all([b"a", b""]), ["a", ""], strict=True))


def test_streams_are_as_narrow_as_their_mark_allows() -> None:
    assert [dtype_for(mark) for mark in (0, 255, 256, 65_535, 65_536, 151_936)] == ["u1", "u1", "u2", "u2", "i4", "i4"]
