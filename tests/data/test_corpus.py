import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from research.data.corpus import PARTS, Corpus, DataSpec, load_corpus
from research.data.documents import digest
from research.data.vocabulary import BYTES
from research.errors import UsageError

Folder = Callable[..., str]
HELD_OUT = PARTS[1:]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A function that writes texts to files, named in the order given, and returns their source word."""

    def write(texts: list[str], name: str = "texts") -> str:
        (tmp_path / name).mkdir()
        for i, text in enumerate(texts):
            (tmp_path / name / f"{i:04}.txt").write_text(text)
        return f"text:{tmp_path / name}/*.txt"

    return write


def _texts(count: int = 200, seed: int = 0) -> list[str]:
    """Returns texts of 20 to 220 bytes, so that each is scored whole."""
    draw = random.Random(seed)
    return [f"document {i} " + " ".join(draw.choices(["low", "land", "rank", "sea"], k=draw.randint(5, 40))) for i in range(count)]


def _large(count: int, paragraphs: int = 30) -> list[str]:
    texts = _texts(count * paragraphs, 5)
    return ["\n\n".join(texts[i * paragraphs : (i + 1) * paragraphs]) for i in range(count)]


def _spec(source: str, validation: int = 1500, test: int = 3000, final: int = 1500, **rest: Any) -> DataSpec:
    return DataSpec(source, validation, test, final, **rest)


def _documents(corpus: Corpus, *parts: str) -> set[str]:
    return {document for part in parts for document in BYTES.decode(corpus.parts[part]).split("\0")}


def _paragraphs(corpus: Corpus, *parts: str) -> set[str]:
    return set("\n\n".join(_documents(corpus, *parts)).split("\n\n"))


def test_parts_share_no_document_and_together_hold_all(folder: Folder) -> None:
    texts = _texts()
    corpus = load_corpus(_spec(folder([*texts, *texts[:40], texts[0] + "\n\n"])))
    sets = {part: _documents(corpus, part) for part in PARTS}
    assert sum(map(len, sets.values())) == len(set.union(*sets.values())) == 200
    assert set.union(*sets.values()) == set(texts)
    assert corpus.provenance["documents"] == {part: len(sets[part]) for part in PARTS}
    assert corpus.provenance["dropped_duplicates"] == 41


def test_parts_have_about_the_size_wanted(folder: Folder) -> None:
    corpus = load_corpus(_spec(folder(_texts()), final=2000))
    for part, room in {"validation": 1500, "test": 3000, "final": 2000}.items():
        assert 0.75 * room <= len(corpus.parts[part]) <= room
        assert (
            corpus.provenance["bytes"][part] == (corpus.parts[part] != BYTES.separator).sum() <= corpus.provenance["held_out_bytes"][part]
        )
    assert corpus.parts["train"].ndim == 1 and corpus.parts["train"].dtype == np.uint8


def test_the_order_of_files_does_not_matter_but_content_does(folder: Folder) -> None:
    texts = _texts()
    corpora = [
        load_corpus(_spec(folder(list(content), str(i))))
        for i, content in enumerate([texts, random.Random(3).sample(texts, len(texts)), [*texts[:-1], texts[-1] + "!"]])
    ]
    assert corpora[0].fingerprint == corpora[1].fingerprint != corpora[2].fingerprint
    assert all(np.array_equal(corpora[0].parts[part], corpora[1].parts[part]) for part in PARTS)
    assert len(corpora[0].fingerprint) == 64


def test_a_seed_carves_other_documents_and_seed_0_those_first_by_content(folder: Folder) -> None:
    texts = _texts()
    source = folder(texts)
    corpora = [load_corpus(_spec(source, seed=seed)) for seed in range(3)]
    tests = [_documents(corpus, "test") for corpus in corpora]
    assert len({frozenset(test) for test in tests}) == len({corpus.fingerprint for corpus in corpora}) == 3
    assert all(_documents(corpus, *PARTS) == set(texts) and corpus.provenance["seed"] == seed for seed, corpus in enumerate(corpora))
    first = sorted((text.encode() for text in texts), key=digest)[: len(tests[0])]
    assert tests[0] == {text.decode() for text in first}


def test_the_final_part_takes_nothing_from_the_others_and_is_read_by_its_word_alone(folder: Folder) -> None:
    source = folder(_texts())
    small, large, final = (
        load_corpus(_spec(source, final=room, part=part)) for room, part in ((1500, "test"), (3000, "test"), (1500, "final"))
    )
    assert all(np.array_equal(small.parts[part], large.parts[part]) for part in ("validation", "test"))
    assert (small.read, final.read) == ("test", "final")
    assert small.fingerprint == final.fingerprint != large.fingerprint
    with pytest.raises(UsageError, match="data.part='train' is no part .*choose one of test, final"):
        load_corpus(_spec(source, part="train"))


def test_the_cap_holds_whole_documents(folder: Folder) -> None:
    texts = _texts()
    corpus = load_corpus(_spec(folder(texts), 1000, 2000, 1000, max_bytes=13_000))
    assert 0.7 * 13_000 <= sum(map(len, corpus.parts.values())) <= 13_000
    assert _documents(corpus, "train") < set(texts)


def test_a_large_document_is_held_out_whole_and_scored_for_a_small_share(folder: Folder) -> None:
    large = _large(400)
    corpus = load_corpus(_spec(folder(large), 16_384, 16_384, 16_384))
    train, held = _documents(corpus, "train"), _documents(corpus, *HELD_OUT)
    assert max(map(len, held)) < 16_384 / 32
    of = {text: [document for document in large if text in document] for text in held}
    assert all(len(documents) == 1 and set(text.split("\n\n")) <= set(documents[0].split("\n\n")) for text, documents in of.items())
    wholes = {documents[0] for documents in of.values()}
    assert len(wholes) == len(held)  # one excerpt of each
    assert train == set(large) - wholes
    assert corpus.held_out == {digest(document.encode()) for document in wholes}
    assert "blocks" not in corpus.provenance["parts"]
    assert sum(corpus.provenance["held_out_bytes"].values()) == sum(map(len, wholes)) > 3 * sum(map(len, held))


def test_few_large_documents_are_cut_into_blocks_and_it_says_so(folder: Folder) -> None:
    for name, texts in (("one", _large(1, 400)), ("few", _large(12))):
        corpus = load_corpus(_spec(folder(texts, name)))
        train, *others = (_paragraphs(corpus, part) for part in PARTS)
        assert "train, cut into blocks of paragraphs" in corpus.provenance["parts"]
        assert sum(map(len, others)) == len(set.union(*others)) and not train & set.union(*others)
        assert train | set.union(*others) <= set("\n\n".join(texts).split("\n\n"))
        assert len(corpus.parts["test"]) >= 0.75 * 3000 and len(corpus.parts["train"]) > 6000


def test_windows_copies_stand_in_one_part_only(folder: Folder) -> None:
    texts = ["\n".join(text.split()) for text in _texts()]
    corpus = load_corpus(_spec(folder([*texts, *(text.replace("\n", "\r\n") for text in texts)])))
    assert corpus.fingerprint == load_corpus(_spec(folder(texts, "unix"))).fingerprint
    assert corpus.provenance["dropped_duplicates"] == 200


def test_what_a_target_holds_out_leaves_the_train_part_of_a_source(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    texts = _texts(400)
    target = load_corpus(_spec(folder(texts[:200])))
    spec = _spec(folder([text + "\r\n" for text in texts[50:]], "source"))
    alone = load_corpus(spec)
    with caplog.at_level("INFO"):
        source = load_corpus(spec, without=(target.held_out,))
    held = _documents(target, *HELD_OUT)
    assert held & _documents(alone, "train") and not held & _documents(source, "train")
    assert _documents(source, "train") == _documents(alone, "train") - held
    assert all(np.array_equal(source.parts[part], alone.parts[part]) for part in HELD_OUT)
    dropped = len(held & _documents(alone, "train"))
    assert source.provenance["dropped_held_out"] == dropped and f"{dropped} documents left its train part" in caplog.text
    assert source.fingerprint != alone.fingerprint


def test_an_excerpt_that_is_held_out_takes_its_whole_document_from_a_source(folder: Folder) -> None:
    large = _large(200)
    target = load_corpus(_spec(folder(large[:120])))
    source = load_corpus(_spec(folder([text.replace("\n", "\r\n") for text in large], "source"), seed=1), without=(target.held_out,))
    held = _documents(target, *HELD_OUT)
    assert len(held) > 20 and source.provenance["dropped_held_out"] > 10
    assert not any(text in document for text in held for document in _documents(source, "train"))


def test_held_out_parts_elsewhere_change_nothing_without_an_overlap_nor_for_the_same_text(folder: Folder) -> None:
    word, book = folder(_texts()), folder(_large(1, 400), "book")
    others = [load_corpus(_spec(other)).held_out for other in (folder(_texts(seed=1), "other"), word, book)]
    for source, without in ((word, others[:2]), (book, [others[0], others[2]])):
        assert load_corpus(_spec(source), without=without).fingerprint == load_corpus(_spec(source)).fingerprint


@pytest.mark.parametrize(("validation", "test"), [(1500, 3000), (3000, 1500), (1500, 1500)])
def test_a_block_that_is_held_out_stands_in_no_source_whole_or_cut(folder: Folder, validation: int, test: int) -> None:
    book, others = _large(1, 400)[0], _texts(60, seed=1)
    target = load_corpus(_spec(folder([book])))
    held = _paragraphs(target, *HELD_OUT)
    for name, texts, cut in (("whole", [book, *others, *_texts(600, seed=2)], False), ("cut", [book, *others[:5]], True)):
        spec = _spec(folder(texts, name), validation, test, seed=1)
        assert ("blocks" in load_corpus(spec).provenance["parts"]) == cut
        train = _paragraphs(load_corpus(spec, without=(target.held_out,)), "train")
        assert train and not held & train


def test_blocks_of_a_document_that_is_held_out_whole_leave_a_source(folder: Folder) -> None:
    large = _large(60)
    target = load_corpus(_spec(folder(large), 800, 800, 800))
    wholes = {document for document in large if digest(document.encode()) in target.held_out}
    source = load_corpus(_spec(folder(large[:30], "again"), 4000, 8000, 4000), without=(target.held_out,))
    assert "blocks" in source.provenance["parts"] and "blocks" not in target.provenance["parts"]
    train = _paragraphs(source, "train")
    assert wholes & set(large[:30]) and train and not train & set("\n\n".join(wholes).split("\n\n"))


def test_a_source_that_is_held_out_altogether_is_refused(folder: Folder) -> None:
    everything = frozenset(digest(text.encode()) for text in _texts())
    with pytest.raises(UsageError, match="every document of text:.* is held out of the target"):
        load_corpus(_spec(folder(_texts(), "again")), without=(everything,))


def test_too_short_a_text_is_told_what_is_needed(folder: Folder) -> None:
    with pytest.raises(UsageError, match="too short: 22 bytes.* 12000 are needed"):
        load_corpus(_spec(folder(["only a little", "or less"])))
    with pytest.raises(UsageError, match="too short: 0 bytes"):
        load_corpus(_spec(folder(["", "\n"], "empty")))


def test_a_text_that_cannot_be_cut_is_refused(folder: Folder) -> None:
    with pytest.raises(UsageError, match="too few documents, or paragraphs .* for a test part of 3000 bytes .25. found"):
        load_corpus(_spec(folder(["word " * 5000])))


@pytest.mark.parametrize(
    ("sizes", "word"),
    [
        ((0, 3000, 1500), "validation_bytes=0"),
        ((1500, -1, 1500), "test_bytes=-1"),
        ((1500, 3000, 0), "final_bytes=0; give each part more than 0"),
        ((1500, 3000, 1500, 0, "test", 11_999), "max_bytes=11999 .*at least 12000"),
    ],
)
def test_sizes_that_make_no_parts_are_refused(sizes: Any, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        load_corpus(DataSpec("stdlib:code", *sizes))


def test_the_default_pair_is_disjoint_and_repeatable() -> None:
    for source in ("stdlib:code", "stdlib:docs"):
        spec = DataSpec(source, 32_768, 98_304, 98_304)
        corpus = load_corpus(spec)
        sets = [_documents(corpus, part) for part in PARTS]
        assert sum(map(len, sets)) == len(set.union(*sets)) >= 390
        assert "blocks" not in corpus.provenance["parts"] and len(corpus.parts["train"]) > 2**20
        assert all(34 <= len(_documents(corpus, part)) <= 80 for part in ("test", "final"))
        assert load_corpus(spec).fingerprint == corpus.fingerprint
