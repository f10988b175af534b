import pytest

from research.data.sources import FORMS, floor_bits, read_documents
from research.errors import UsageError


@pytest.mark.parametrize(
    "word", ["", "stdlib", "stdlib:", "stdlib:doc", "tfds:", "text:", "generated:", "http://example.org", "Stdlib:code"]
)
def test_an_unknown_word_lists_the_forms(word: str) -> None:
    with pytest.raises(UsageError, match="unknown data source") as caught:
        read_documents(word)
    assert all(form in str(caught.value) for form in FORMS)


def test_an_unknown_word_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="nearest: stdlib:docs"):
        read_documents("stdlib:doc")


def test_a_grammar_that_is_not_there_gets_those_that_are() -> None:
    with pytest.raises(UsageError, match="no grammar generated:hotels; use generated:restaurants"):
        read_documents("generated:hotels")


def test_the_floor_is_known_of_generated_text_alone() -> None:
    assert read_documents("generated:restaurants", 1000).provenance["floor_bits_per_byte"] == pytest.approx(
        floor_bits("generated:restaurants")
    )
    assert floor_bits("stdlib:docs") is None
