import pytest

from research.data.sources import FORMS, read_documents
from research.errors import UsageError


@pytest.mark.parametrize("word", ["", "stdlib", "stdlib:", "stdlib:doc", "tfds:", "text:", "http://example.org", "Stdlib:code"])
def test_an_unknown_word_lists_the_forms(word: str) -> None:
    with pytest.raises(UsageError, match="unknown data source") as caught:
        read_documents(word)
    assert all(form in str(caught.value) for form in FORMS)


def test_an_unknown_word_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="nearest: stdlib:docs"):
        read_documents("stdlib:doc")
