import bz2
import itertools
import lzma
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from research.data.corpus import DataSpec, load_corpus
from research.data.generated import GRAMMARS, Choice, Text, document, floor, generated_documents, measure

GRAMMAR = GRAMMARS["restaurants"]
SAMPLE = 20_000


@pytest.fixture(scope="module")
def documents() -> list[bytes]:
    """Independent documents, as many as the standard errors below take."""
    return [document("restaurants", i) for i in range(SAMPLE)]


def _choices(text: Text) -> list[Choice]:
    """Returns all choices that stand in a text, each as often as it stands there."""
    found = [part for part in text if isinstance(part, Choice)]
    return found + [inner for choice in found for way in choice.ways for inner in _choices(way)]


def _bits(content: str, grammar: Text) -> float:
    """Returns -log2 of a string's probability, read from the string alone by what each choice's ways begin with."""
    bits, parts = 0.0, list(reversed(grammar))
    while parts:
        part = parts.pop()
        if isinstance(part, str):
            assert content.startswith(part)
            content = content.removeprefix(part)
        else:
            (taken,) = [i for i, way in enumerate(part.ways) if content.startswith(str(way[0]))]
            bits -= math.log2(part.weights[taken] / sum(part.weights))
            parts.extend(reversed(part.ways[taken]))
    assert content == ""
    return bits


def _n_gram_bits(stream: bytes, order: int) -> float:
    """Returns the bits a byte, but for separators, of a predictor that knows the true frequencies after each `order` bytes."""
    padded = b"\0" * order + stream
    grams = Counter(padded[i : i + order + 1] for i in range(len(stream)))
    contexts: Counter[bytes] = Counter()
    for gram, count in grams.items():
        contexts[gram[:-1]] += count
    return sum(count * math.log2(contexts[gram[:-1]] / count) for gram, count in grams.items() if gram[-1]) / (
        len(stream) - stream.count(0)
    )


def test_what_a_way_begins_with_tells_it_from_the_others() -> None:
    choices = _choices(GRAMMAR)
    assert len(choices) > 30
    for choice in choices:
        firsts = [way[0] for way in choice.ways]
        assert len(choice.weights) == len(firsts) and min(choice.weights) > 0
        assert all(isinstance(first, str) and first for first in firsts)
        assert not [pair for pair in itertools.permutations(map(str, firsts), 2) if pair[0].startswith(pair[1])]


def test_entropy_of_a_grammar_that_can_be_counted() -> None:
    coin = Choice((1, 1), (("a",), ("bc",)))
    grammar: Text = ("x", Choice((2, 1, 1), (("y", coin), ("zz",), ("w", coin, coin))), "!")
    strings = {"xya!": 1 / 4, "xybc!": 1 / 4, "xzz!": 1 / 4} | {f"xw{a}{b}!": 1 / 16 for a in ("a", "bc") for b in ("a", "bc")}
    found = measure(grammar)
    assert sum(strings.values()) == 1
    assert found.bits == pytest.approx(-sum(p * math.log2(p) for p in strings.values()))
    assert found.mean == pytest.approx(sum(p * len(text) for text, p in strings.items()))
    assert found.equal == pytest.approx(sum(p * p for p in strings.values())) and found.longest == 7
    assert all(_bits(text, grammar) == pytest.approx(-math.log2(p)) for text, p in strings.items())


def test_the_floor_is_what_documents_have_by_their_strings_alone(documents: list[bytes]) -> None:
    bits = np.array([_bits(content.decode(), GRAMMAR) for content in documents])
    lengths = np.array([len(content) for content in documents])
    exact = measure(GRAMMAR)
    for values, expected in ((bits, exact.bits), (lengths, exact.mean)):
        assert abs(values.mean() - expected) < 2.6 * values.std() / math.sqrt(SAMPLE)
    error = (bits - floor("restaurants") * lengths).std() / math.sqrt(SAMPLE) / exact.mean
    assert abs(bits.sum() / lengths.sum() - floor("restaurants")) < 2.6 * error < 0.002
    assert lengths.max() <= exact.longest < 256  # so that each is scored whole


def test_the_page_has_the_numbers_of_the_grammar(root: Path) -> None:
    page, exact = (root / "docs" / "data.md").read_text(), measure(GRAMMAR)
    assert f"{exact.bits:.3f} bits" in page and f"{exact.mean:.2f}" in page and f"{floor('restaurants'):.4f} bits a byte" in page


def test_no_predictor_reads_the_text_below_its_floor(documents: list[bytes]) -> None:
    stream = b"\0".join(documents[:4000])
    found = [_n_gram_bits(stream, order) for order in (0, 1, 3, 5)]
    assert found == sorted(found, reverse=True) and found[-1] > 1.1 * floor("restaurants")
    packed = min(len(pack(stream)) for pack in (bz2.compress, lzma.compress))
    assert 8 * packed / (len(stream) - stream.count(0)) > floor("restaurants")


def test_a_predictor_with_other_weights_pays_for_it(documents: list[bytes]) -> None:
    def flat(text: Text) -> Text:
        return tuple(Choice((1,) * len(part.ways), tuple(map(flat, part.ways))) if isinstance(part, Choice) else part for part in text)

    true, other = (np.array([_bits(content.decode(), grammar) for content in documents[:4000]]) for grammar in (GRAMMAR, flat(GRAMMAR)))
    assert (other - true).mean() > 10 * (other - true).std() / math.sqrt(4000)


def test_copies_are_too_rare_to_move_the_floor() -> None:
    found = generated_documents("restaurants").splits["train"]
    assert len(found) * (len(found) - 1) / 2 * measure(GRAMMAR).equal < 0.05  # pairs of copies to expect
    assert len(set(found)) == len(found) > 10_000


def test_documents_are_the_same_each_time_and_fewer_are_the_first_of_more() -> None:
    few, more = (generated_documents("restaurants", limit).splits["train"] for limit in (5000, 50_000))
    assert 5000 <= sum(map(len, few)) < 5256 and more[: len(few)] == few
    assert document("restaurants", 3) == few[3]
    assert few[3].startswith(b"Near the university, the Green Pear is a small bistro with Czech dishes for locals. Prices are moderate,")


def test_a_corpus_of_it_scores_whole_documents() -> None:
    corpus = load_corpus(DataSpec("generated:restaurants", 8192, 8192, 8192, max_bytes=200_000))
    held = [bytes(corpus.parts[part]).decode().split("\0") for part in ("validation", "test", "final")]
    assert all(_bits(content, GRAMMAR) > 0 for contents in held for content in contents)
    assert corpus.provenance["dropped_duplicates"] == 0
