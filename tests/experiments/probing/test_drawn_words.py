"""Words are read where their tokens end, documents stay whole, and what does not fit is dropped and counted, or refused."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from experiments.probing.drawn import Drawn
from experiments.probing.drawn_words import BEFORE, EXCERPT, Reader, joined, words_of_subjects, words_of_treebank
from research.data.vocabulary import BYTES, Vocabulary
from research.errors import UsageError
from tests.experiments.probing.planted_text import relations, sweep, treebank

LENGTH = 40


def pieces() -> Vocabulary:
    """Returns a vocabulary whose tokens are bytes but for a few words, with a mark and a separator that are no bytes."""
    tokenizer = Tokenizer(models.BPE(vocab=_VOCAB, merges=_MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)

    def encode_all(texts: Any) -> list[np.ndarray]:
        return [np.array(tokenizer.encode(text.decode()).ids, np.int32) for text in texts]

    size = len(_VOCAB)
    lengths = np.array([*(len(word) for word in _VOCAB), 0, 0], np.int32)
    return dataclasses.replace(
        BYTES, name="pieces", size=size, mark=size, separator=size, dtype=np.dtype(np.int32), lengths=lengths, encode_all=encode_all
    )


_ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
_MERGES = [("t", "h"), ("th", "e"), ("c", "a"), ("ca", "t"), ("s", "e"), ("e", "s")]
_VOCAB = {word: place for place, word in enumerate([*_ALPHABET, *("".join(pair) for pair in _MERGES)])}


def drawn(pooling: str = "last", vocabulary: Vocabulary | None = None, **changes: Any) -> Drawn:
    own = Reader(pieces() if vocabulary is None else vocabulary, LENGTH, pooling)
    return words_of_treebank(treebank(), sweep("pos", "head", **{"examples": 120, "choosing": 50, **changes}), own, "test")[0]


def spelled(found: Drawn, window: int, first: int, last: int) -> str:
    """Returns the text of tokens, a space as ByteLevel writes it."""
    names = list(_VOCAB)
    return "".join(names[token] for token in found.rows[window, first : last + 1])


def test_a_word_is_read_at_its_last_token_which_its_bytes_and_labels_fit() -> None:
    found = drawn()
    pos, head = found.tasks
    assert pos.lies_as(head) and len(pos.window) == 170 and (pos.groups < 0).sum() == 50
    assert (found.rows[:, 0] == len(_VOCAB)).all()  # a mark is before every sentence
    kinds: dict[bytes, set[int]] = {}
    for window, offset, byte, form, label in zip(pos.window, pos.offset, pos.byte, pos.types, pos.labels[0], strict=True):
        assert spelled(found, window, 1, offset).replace("\u0120", " ").encode("utf-8").endswith(form) or not form.isascii()
        assert found.text[window, : byte + 1].tobytes().endswith(form) and not found.text[window, :BEFORE].any()
        kinds.setdefault(form, set()).add(int(label))
    assert (
        kinds[b"cat"] == kinds[b"dog"] and kinds[b"the"] == kinds[b"a"] != kinds[b"cat"] and all(len(some) == 1 for some in kinds.values())
    )
    np.testing.assert_array_equal(pos.start, pos.offset)


def test_a_pooled_word_begins_with_its_first_token() -> None:
    found = drawn("mean")
    (pos, _), words = found.tasks, {"sees", "likes", "understands", "cat", "the"}
    told = [spelled(found, *each).lstrip("\u0120") for each in zip(pos.window, pos.start, pos.offset, strict=True)]
    by_form = {form.decode(): own for form, own in zip(pos.types, told, strict=True) if form.isascii()}
    assert {form: by_form[form] for form in words} == {form: form for form in words} and (pos.start < pos.offset).any()


def test_labels_occur_as_they_do_and_groups_are_of_documents() -> None:
    pos = drawn().tasks[0]
    read = pos.groups >= 0
    assert set(pos.groups[read]) == set(range(8))
    counts = np.bincount(pos.labels[0])
    assert counts.argmax() == 0 and counts[0] > 1.5 * counts[2] > 0  # two nouns, two articles, one verb
    of_window = {window: set(pos.groups[pos.window == window]) for window in np.unique(pos.window)}
    assert all(len(groups) == 1 for groups in of_window.values())
    assert 3 < pos.labels[0][:20].sum() < 40  # in no order


def test_own_bytes_are_tokens_too() -> None:
    found = drawn(vocabulary=BYTES)
    pos = found.tasks[0]
    assert all(
        found.rows[window, : offset + 1].tobytes().endswith(form)
        for window, offset, form in zip(pos.window, pos.offset, pos.types, strict=True)
    )


def test_long_sentences_are_dropped_and_counted() -> None:
    bank, own = treebank(), sweep("pos", examples=120, choosing=50)
    long = sum(len(each.text) > 100 for part in ("test", "validation") for each in bank.parts[part])
    _, left = words_of_treebank(bank, own, Reader(pieces(), LENGTH, "last"), "test")
    assert left.longer == long > 3 and left.read == own.sentences.read + own.sentences.choosing
    assert left.why.startswith("3 have words")
    assert words_of_treebank(bank, own, Reader(pieces(), 1000, "last"), "test")[1].longer == 0
    final = words_of_treebank(bank, own, Reader(pieces(), LENGTH, "last"), "final")[0]
    assert not np.array_equal(final.rows, drawn().rows)


def test_a_document_gives_an_excerpt() -> None:
    bank = treebank(documents=60, sentences=20)
    own = dataclasses.replace(sweep("pos"), sentences=dataclasses.replace(sweep("pos").sentences, read=64, choosing=32))
    found, _ = words_of_treebank(bank, own, Reader(pieces(), LENGTH, "last"), "test")
    assert len(found.rows) == 96 and 64 // EXCERPT == 2  # from 60 documents, of which 32 alone would do


def test_subjects_are_documents_of_their_own_and_stand_beside_sentences() -> None:
    own, reader = sweep("attribute", "pos", examples=120, choosing=50), Reader(pieces(), LENGTH, "last")
    subjects, left = words_of_subjects(relations(), own, reader, "test")
    assert left.read == 170 and left.why == "30 stand in several relations"
    both = joined([words_of_treebank(treebank(), own, reader, "test")[0], subjects], own.tasks)
    attribute, pos = both.tasks
    assert (attribute.name, pos.name) == ("attribute", "pos") and len(np.unique(attribute.window)) == 170
    assert attribute.window.min() > pos.window.max() and attribute.classes == 3
    ends = {both.text[window, BEFORE : byte + 1].tobytes()[-3:] for window, byte in zip(attribute.window, attribute.byte, strict=True)}
    assert ends == {b"ity", b"man", b"gas"}
    final = words_of_subjects(relations(), dataclasses.replace(own, examples=100), reader, "final")[0].tasks[0]
    test = words_of_subjects(relations(), dataclasses.replace(own, examples=100), reader, "test")[0].tasks[0]
    assert len(final.window) == len(test.window) == 150


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"examples": 900}, r"\d+ words of 40 texts, and examples = 900; lower it, or raise sentences.read"),
        ({"choosing": 900}, "and choosing = 900; lower it, or raise sentences.choosing"),
    ],
)
def test_too_few_words_are_refused(changes: dict[str, int], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        drawn(**changes)


def test_what_does_not_fit_is_refused() -> None:
    spoiled = dataclasses.replace(pieces(), lengths=np.full(len(_VOCAB) + 2, 2, np.int32))
    with pytest.raises(UsageError, match="labels do not fit the base's tokens, whose tokenizer changes text"):
        drawn(vocabulary=spoiled)
    own, reader = sweep("pos"), Reader(pieces(), LENGTH, "last")
    with pytest.raises(UsageError, match=r"has \d+ sentences in excerpts of its part validation that a context of 40 tokens holds"):
        words_of_treebank(treebank(documents=3), own, reader, "test")
    with pytest.raises(UsageError, match="subjects, and examples and choosing want"):
        words_of_subjects(relations(60), sweep("attribute"), reader, "test")
