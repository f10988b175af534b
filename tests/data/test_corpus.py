import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from research.data.corpus import PARTS, Corpus, DataSpec, HeldOut, load_corpus
from research.data.documents import digest
from research.data.vocabulary import BYTES
from research.errors import UsageError

Folder = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A function that writes texts to files, named in the order given, and returns their source word."""

    def write(texts: list[str], name: str = "texts") -> str:
        (tmp_path / name).mkdir()
        for i, text in enumerate(texts):
            (tmp_path / name / f"{i:04}.txt").write_text(text)
        return f"text:{tmp_path / name}/*.txt"

    return write


def _texts(count: int = 120, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [f"document {i} " + " ".join(draw.choices(["low", "land", "rank", "sea"], k=draw.randint(5, 60))) for i in range(count)]


def _documents(corpus: Corpus, part: str) -> set[str]:
    return set(BYTES.decode(corpus.parts[part]).split("\0"))


def test_parts_share_no_document_and_together_hold_all(folder: Folder) -> None:
    texts = _texts()
    corpus = load_corpus(DataSpec(folder([*texts, *texts[:40], texts[0] + "\n\n"]), 1500, 3000))
    sets = {part: _documents(corpus, part) for part in PARTS}
    assert sum(map(len, sets.values())) == len(set.union(*sets.values())) == 120
    assert set.union(*sets.values()) == set(texts)
    assert corpus.provenance["documents"] == {part: len(sets[part]) for part in PARTS}
    assert corpus.provenance["dropped_duplicates"] == 41


def test_parts_have_about_the_size_wanted(folder: Folder) -> None:
    corpus = load_corpus(DataSpec(folder(_texts()), 1500, 3000))
    assert 0.75 * 1500 <= len(corpus.parts["validation"]) <= 1500
    assert 0.75 * 3000 <= len(corpus.parts["test"]) <= 3000
    assert corpus.parts["train"].ndim == 1 and corpus.parts["train"].dtype == np.uint8
    assert corpus.provenance["bytes"]["test"] == (corpus.parts["test"] != BYTES.separator).sum()


def test_the_order_of_files_does_not_matter_but_content_does(folder: Folder) -> None:
    texts = _texts()
    corpora = [
        load_corpus(DataSpec(folder(list(content), str(i)), 1500, 3000))
        for i, content in enumerate([texts, random.Random(3).sample(texts, len(texts)), [*texts[:-1], texts[-1] + "!"]])
    ]
    assert corpora[0].fingerprint == corpora[1].fingerprint != corpora[2].fingerprint
    assert all(np.array_equal(corpora[0].parts[part], corpora[1].parts[part]) for part in PARTS)
    assert len(corpora[0].fingerprint) == 64


def test_the_cap_holds_whole_documents(folder: Folder) -> None:
    texts = _texts()
    corpus = load_corpus(DataSpec(folder(texts), 1000, 2000, 9000))
    assert 0.7 * 9000 <= sum(map(len, corpus.parts.values())) <= 9000
    assert _documents(corpus, "train") < set(texts)


def test_a_large_document_stays_out_of_the_small_parts(folder: Folder) -> None:
    large = "land and sea " * 2000
    corpus = load_corpus(DataSpec(folder([*_texts(), large]), 1500, 3000))
    assert large.strip() in _documents(corpus, "train")
    assert "blocks" not in corpus.provenance["parts"]


def test_one_large_document_is_cut_into_blocks_and_says_so(folder: Folder) -> None:
    corpus = load_corpus(DataSpec(folder(["\n\n".join(_texts())]), 1500, 3000))
    paragraphs = [set("\n\n".join(_documents(corpus, part)).split("\n\n")) for part in PARTS]
    assert "blocks of paragraphs" in corpus.provenance["parts"]
    assert sum(map(len, paragraphs)) == len(set.union(*paragraphs)) == 120
    assert len(corpus.parts["test"]) >= 0.75 * 3000


def test_windows_copies_stand_in_one_part_only(folder: Folder) -> None:
    texts = ["\n".join(text.split()) for text in _texts()]
    corpus = load_corpus(DataSpec(folder([*texts, *(text.replace("\n", "\r\n") for text in texts)]), 1500, 3000))
    assert corpus.fingerprint == load_corpus(DataSpec(folder(texts, "unix"), 1500, 3000)).fingerprint
    assert corpus.provenance["dropped_duplicates"] == 120


def test_what_a_target_holds_out_leaves_the_train_part_of_a_source(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    texts = _texts(300)
    target = load_corpus(DataSpec(folder(texts[:150]), 1500, 3000))
    spec = DataSpec(folder([text + "\r\n" for text in texts[50:]], "source"), 1500, 3000)
    alone = load_corpus(spec)
    with caplog.at_level("INFO"):
        source = load_corpus(spec, without=(target.held_out,))
    held = _documents(target, "test") | _documents(target, "validation")
    assert held & _documents(alone, "train") and not held & _documents(source, "train")
    assert _documents(source, "train") == _documents(alone, "train") - held
    assert all(np.array_equal(source.parts[part], alone.parts[part]) for part in ("validation", "test"))
    dropped = len(held & _documents(alone, "train"))
    assert source.provenance["dropped_held_out"] == dropped and f"{dropped} documents left its train part" in caplog.text
    assert source.fingerprint != alone.fingerprint


def test_held_out_parts_elsewhere_change_nothing_without_an_overlap_nor_for_the_same_text(folder: Folder) -> None:
    word, book = folder(_texts()), folder(["\n\n".join(_texts())], "book")
    others = [load_corpus(DataSpec(other, 1500, 3000)).held_out for other in (folder(_texts(seed=1), "other"), word, book)]
    for source, without in ((word, others[:2]), (book, [others[0], others[2]])):
        assert (
            load_corpus(DataSpec(source, 1500, 3000), without=without).fingerprint == load_corpus(DataSpec(source, 1500, 3000)).fingerprint
        )


@pytest.mark.parametrize(("validation", "test"), [(1500, 3000), (3000, 1500), (1500, 1500)])
def test_a_block_that_is_held_out_stands_in_no_source_whole_or_cut(folder: Folder, validation: int, test: int) -> None:
    book, others = "\n\n".join(_texts(200)), _texts(60, seed=1)
    target = load_corpus(DataSpec(folder([book]), 1500, 3000))
    held = set("\n\n".join(_documents(target, "test") | _documents(target, "validation")).split("\n\n"))
    for name, texts, cut in (("whole", [book, *others, *_texts(90, seed=2)], False), ("cut", [book, *others[:5]], True)):
        spec = DataSpec(folder(texts, name), validation, test)
        assert ("blocks" in load_corpus(spec).provenance["parts"]) == cut
        train = load_corpus(spec, without=(target.held_out,)).parts["train"]
        assert not held & set(BYTES.decode(train).replace("\0", "\n\n").split("\n\n"))


def test_blocks_of_a_document_that_is_held_out_whole_leave_a_source(folder: Folder) -> None:
    paragraphs = _texts(480)
    texts = ["\n\n".join(paragraphs[i : i + 8]) for i in range(0, 480, 8)]
    target = load_corpus(DataSpec(folder(texts), 6000, 12_000))
    held = {paragraph for text in _documents(target, "test") | _documents(target, "validation") for paragraph in text.split("\n\n")}
    source = load_corpus(DataSpec(folder(texts, "again"), 1500, 3000), without=(target.held_out,))
    train = {paragraph for text in _documents(source, "train") for paragraph in text.split("\n\n")}
    assert "blocks" in source.provenance["parts"] and "blocks" not in target.provenance["parts"]
    assert train and not train & held


def test_a_source_that_is_held_out_altogether_is_refused(folder: Folder) -> None:
    target = load_corpus(DataSpec(folder(_texts()), 1500, 3000))
    everything = HeldOut(target.held_out.digests | {digest(text.encode()) for text in _texts()})
    with pytest.raises(UsageError, match="every document of text:.* is held out of the target"):
        load_corpus(DataSpec(folder(_texts(), "again"), 1500, 3000), without=(everything,))


def test_too_short_a_text_is_told_what_is_needed(folder: Folder) -> None:
    with pytest.raises(UsageError, match="too short: 22 bytes.* 9000 are needed"):
        load_corpus(DataSpec(folder(["only a little", "or less"]), 1500, 3000))
    with pytest.raises(UsageError, match="too short: 0 bytes"):
        load_corpus(DataSpec(folder(["", "\n"], "empty"), 1500, 3000))


def test_a_text_that_cannot_be_cut_is_refused(folder: Folder) -> None:
    with pytest.raises(UsageError, match="too few documents of at most"):
        load_corpus(DataSpec(folder(["word " * 5000]), 1500, 3000))


@pytest.mark.parametrize(
    ("sizes", "word"), [((0, 3000, None), "more than 0"), ((1500, -1, None), "more than 0"), ((1500, 3000, 8999), "max_bytes")]
)
def test_sizes_that_make_no_parts_are_refused(sizes: tuple[int, int, int | None], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        load_corpus(DataSpec("stdlib:code", *sizes))


def test_the_default_pair_is_disjoint_and_repeatable() -> None:
    for source in ("stdlib:code", "stdlib:docs"):
        spec = DataSpec(source, 65536, 131072)
        corpus = load_corpus(spec)
        sets = [_documents(corpus, part) for part in PARTS]
        assert sum(map(len, sets)) == len(set.union(*sets)) > 300
        assert load_corpus(spec).fingerprint == corpus.fingerprint
