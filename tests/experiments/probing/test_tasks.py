"""Labels are what the text says, byte by byte; what no text says has none."""

import numpy as np
import pytest

from experiments.probing import tasks
from experiments.probing.tasks import LANGUAGE, Task, labeled, tokens, type_at
from research.errors import UsageError


def spelled(name: str, document: bytes) -> str:
    """Returns the labels of a document, a character each and a dot for none."""
    return "".join("." if label < 0 else str(label) for label in labeled(name, document))


def test_a_word_ends_where_the_next_byte_is_of_none() -> None:
    assert spelled("boundary", b"ab c_1+de") == "01.001.01"


def test_keywords_and_identifiers_are_labeled_at_their_last_byte() -> None:
    assert spelled("keyword", b"if xy in z:\n    pass") == ".1..0..1.0.........1"


@pytest.mark.parametrize(
    ("code", "labels"),
    [
        (b"f(a, ['b', {1}], r'q') + ''", "011112332222221111331000030"),
        (b"x = '''a\n\"b''' + 1", "0000" + "3" * 9 + "00000"),
        (b"b'])\n(c)", "00000" + "110"),  # a quote that the line does not close is none
        (b"y)\n(z)", "000110"),  # a bracket that was opened before the excerpt
    ],
)
def test_brackets_and_quotes_count_from_what_opens_them(code: bytes, labels: str) -> None:
    assert spelled("nesting", code) == labels


def test_indentation_is_that_of_the_line_and_of_a_first_line_unknown() -> None:
    assert spelled("indentation", b"    a\n  b\n     c d\n\n            e\n                f\ng") == (
        "....." + "." + "..0" + "." + ".....111" + "." + "." + "." * 12 + "3" + "." + "." * 16 + "3" + "." + "0"
    )


def test_an_excerpt_may_begin_indented_and_dedent_to_what_it_did_not_open() -> None:
    code = "        return é\n    else:\n        pass\ny = 1".encode()  # of two bytes: places are bytes
    found = {token.text: token for token in tokens(code)}
    assert [code[found[word].start : found[word].end] for word in ("return", "else", "pass", "y")] == [b"return", b"else", b"pass", b"y"]


def test_what_the_tokenizer_refuses_has_no_labels_from_there_on() -> None:
    assert set(spelled("keyword", b"if a:\n        b\n    c\nif d: e")[16:]) == {"."}
    assert spelled("keyword", b"if a:\n        b\n    c")[:5] == ".1.0."


def test_the_type_is_the_word_so_far_or_the_byte() -> None:
    stream = np.frombuffer(b"ab, cde\0f", np.uint8)
    assert [type_at(stream, place) for place in range(len(stream))] == [b"a", b"ab", b",", b" ", b"c", b"cd", b"cde", b"\0", b"f"]


def test_labels_that_do_not_fit_the_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tasks.TASKS, "short", Task(("no", "yes"), lambda document: np.zeros(len(document) - 1, int), "nothing"))
    with pytest.raises(UsageError, match=r"'short' has labels of shape \(3,\) for 4 bytes"):
        labeled("short", b"text")
    with pytest.raises(ValueError, match="does not say its language"):
        labeled(LANGUAGE, b"text")
