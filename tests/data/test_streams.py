"""Texts in another vocabulary than bytes: the same documents, each token's bytes of the original text, and what is kept of the work."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from research.data.batches import windows
from research.data.corpus import PARTS, Corpus, DataSpec, load_corpus
from research.data.streams import encoded, sizes
from research.data.vocabulary import BYTES, Vocabulary
from research.errors import UsageError
from tests.tokenized import HOSTILE, vocabulary

HELD_OUT = PARTS[1:]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "nul.txt").write_text(HOSTILE + "\n\nword land word" * 100, newline="")  # more NUL bytes than this are no text
    for i in range(300):
        (folder / f"{i}.txt").write_text(f"{i} {HOSTILE} ".replace("\0", "") + "cafe\u0301 word land " * (i % 7), newline="")
    return DataSpec(f"text:{folder}/*", 2000, 4000, 2000)


@pytest.fixture(scope="module")
def corpora(spec: DataSpec) -> dict[str, Corpus]:
    known = {"bytes": BYTES, "plain": vocabulary("gpt-2"), "nfc": vocabulary("qwen2")}
    return {name: load_corpus(spec, each) for name, each in known.items()}


def _texts(corpus: Corpus, part: str) -> list[str]:
    stream, known = corpus.parts[part], corpus.vocabulary
    return [known.decode(run[run != known.mark]) for run in np.split(stream, np.flatnonzero(stream == known.mark))]


def test_every_vocabulary_holds_the_same_documents_in_the_same_groups(corpora: dict[str, Corpus]) -> None:
    assert all(_texts(corpora["plain"], part) == _texts(corpora["bytes"], part) for part in PARTS)
    for corpus in corpora.values():
        assert corpus.provenance["bytes"] == corpora["bytes"].provenance["bytes"]
        for part in HELD_OUT:
            marks = corpus.parts[part] == corpus.vocabulary.mark
            assert np.array_equal(corpus.groups[part] == -1, marks) and not corpus.bytes[part][marks].any()
            documents = [set(run[run >= 0].tolist()) for run in np.split(corpus.groups[part], np.flatnonzero(marks))]
            assert documents == [set(run[run >= 0].tolist()) for run in _bytes_groups(corpora["bytes"], part)]
    assert len({corpus.fingerprint for corpus in corpora.values()}) == len(corpora)


def _bytes_groups(corpus: Corpus, part: str) -> list[np.ndarray]:
    return np.split(corpus.groups[part], np.flatnonzero(corpus.parts[part] == 0))


def test_streams_are_of_the_vocabularys_type_and_no_special_token_comes_out_of_text(corpora: dict[str, Corpus]) -> None:
    for part in PARTS:
        stream = corpora["plain"].parts[part]
        assert stream.dtype == np.uint16 and 267 not in stream
        assert (stream == 300).sum() == corpora["plain"].provenance["documents"][part] - 1
    texts = [text for part in PARTS for text in _texts(corpora["plain"], part)]
    assert all("a<|endoftext|>bc" in text for text in texts if "word land word\n" not in text) and not any("\0" in text for text in texts)


def test_bytes_of_tokens_sum_to_each_documents_bytes_exactly_also_where_text_is_normalized(corpora: dict[str, Corpus]) -> None:
    for part in HELD_OUT:
        lengths = [len(text.encode()) for text in _texts(corpora["bytes"], part)]
        for corpus in corpora.values():
            starts = np.flatnonzero(corpus.parts[part] == corpus.vocabulary.mark)
            assert [run.sum() for run in np.split(corpus.bytes[part], starts)] == lengths
            assert corpus.bytes[part].dtype == np.float64 and (corpus.bytes[part] >= 0).all()
    for name, differs in {"bytes": False, "plain": False, "nfc": True}.items():
        difference = corpora[name].provenance["byte_difference"]
        assert all((difference[part] < 0) == differs and (difference[part] == 0) != differs for part in PARTS)
    plain = corpora["plain"]
    assert np.array_equal(plain.bytes["test"], plain.vocabulary.lengths[plain.parts["test"]])


def test_bytes_that_no_token_has_are_shared_out_whole() -> None:
    known = dataclasses.replace(BYTES, lengths=np.full(257, 3, np.int32))
    found = sizes([b"abcdefg", b"", b"xy"], [np.zeros(4, np.uint8), np.zeros(0, np.uint8), np.ones(2, np.uint8)], known)
    assert found.tolist() == [2, 2, 1, 2, 0, 0, 1, 1]


def test_what_was_encoded_once_is_read_from_the_cache(spec: DataSpec, corpora: dict[str, Corpus], tmp_path: Path) -> None:
    def never(texts: Sequence[Any]) -> NoReturn:
        raise AssertionError("encoded again")

    known = corpora["plain"].vocabulary
    assert load_corpus(spec, known, cache=tmp_path).fingerprint == corpora["plain"].fingerprint
    (file,) = (tmp_path / "tokens").iterdir()
    again = load_corpus(spec, dataclasses.replace(known, encode_all=never), cache=tmp_path)
    assert again.fingerprint == corpora["plain"].fingerprint and again.parts["train"].dtype == np.uint16
    assert all(np.array_equal(again.bytes[part], corpora["plain"].bytes[part]) for part in HELD_OUT)
    with pytest.raises(AssertionError, match="encoded again"):
        load_corpus(spec, dataclasses.replace(known, encode_all=never, fingerprint="another"), cache=tmp_path)
    with pytest.raises(AssertionError, match="encoded again"):
        load_corpus(dataclasses.replace(spec, seed=1), dataclasses.replace(known, encode_all=never), cache=tmp_path)
    file.write_bytes(file.read_bytes()[:-2000])
    assert load_corpus(spec, known, cache=tmp_path).fingerprint == corpora["plain"].fingerprint
    assert load_corpus(spec, dataclasses.replace(known, encode_all=never), cache=tmp_path).fingerprint == corpora["plain"].fingerprint


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop_and_bytes_need_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "tokens").write_text("in the way")
    texts, known = {"train": [b"a word", b"land"]}, vocabulary()
    with caplog.at_level("INFO"):
        found = encoded(texts, known, tmp_path)
    assert [piece.tolist() for piece in found["train"]] == [piece.tolist() for piece in known.encode_all(texts["train"])]
    assert "the tokens of this text are not kept" in caplog.text
    encoded(texts, BYTES, tmp_path / "bytes")
    assert not (tmp_path / "bytes").exists()


@pytest.mark.parametrize("known", [BYTES, vocabulary()])
def test_a_part_shorter_than_a_window_is_told_in_its_own_tokens(spec: DataSpec, known: Vocabulary) -> None:
    stream = load_corpus(spec, known).parts["validation"]
    with pytest.raises(UsageError, match=f"a part of {len(stream)} tokens is shorter than a window of {len(stream)} . 1; give more text"):
        windows(stream, len(stream))
