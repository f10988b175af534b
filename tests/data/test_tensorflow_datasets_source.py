import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from research.data.corpus import PARTS, DataSpec, load_corpus
from research.data.tensorflow_datasets_source import data_folder, find_prepared, tfds_documents
from research.errors import UsageError

REAL_FOLDER = os.environ.get("TFDS_DATA_DIR", "")
TEXT, LABEL, STRING = tfds.features.Text(), tfds.features.ClassLabel(num_classes=2), tfds.features.Scalar(np.str_)
Rows = dict[str, list[dict[str, Any]]]


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")
    rows: Rows
    features: dict[str, Any]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.features))

    def _split_generators(self, dl_manager: object) -> dict[str, Any]:
        return {name: self._generate_examples(rows) for name, rows in self.rows.items()}

    def _generate_examples(self, rows: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from enumerate(rows)


def _prepare(folder: Path, name: str, features: dict[str, Any], rows: Rows, version: str = "1.0.0") -> None:
    body = {"name": name, "features": features, "rows": rows, "VERSION": tfds.core.Version(version)}
    builder = type(name, (_Builder,), body, skip_registration=True)(data_dir=folder, file_format="array_record")
    builder.download_and_prepare()


def _rows(word: str, count: int) -> list[dict[str, Any]]:
    return [{"text": f"{word} row {i} " + "é" * (i % 9), "label": i % 2} for i in range(count)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tfds")
    one = {"text": TEXT, "label": LABEL}
    _prepare(
        folder, "own_splits", one, {"train": _rows("train", 90) + _rows("test", 3), "dev": _rows("dev", 30), "test": _rows("test", 60)}
    )
    _prepare(folder, "train_alone", one, {"train": _rows("train", 300)})
    _prepare(folder, "no_train", one, {"validation": _rows("validation", 100), "test": _rows("test", 100)})
    _prepare(
        folder,
        "two_texts",
        {"question": TEXT, "answers": tfds.features.Sequence(TEXT)},
        {"train": [{"question": "why", "answers": ["a", "b"]}]},
    )
    _prepare(folder, "no_text", {"label": LABEL}, {"train": [{"label": 0}]})
    other_splits = {"train_sft": _rows("train", 70), "labelled_dev": _rows("dev", 30)}
    _prepare(folder, "other_names", one, other_splits)
    _prepare(folder, "more_names", one, other_splits | {"train": _rows("plain", 300), "dev": _rows("a", 20), "validation": _rows("b", 20)})
    _prepare(folder, "scalar", {"text": STRING, "number": tfds.features.Scalar(np.int64)}, {"train": [{"text": "one", "number": 1}]})
    _prepare(folder, "text_and_strings", {"id": STRING, "text": TEXT}, {"train": [{"id": "7", "text": "one"}]})
    nested = {
        "translation": tfds.features.Translation(languages=["de", "en"]),
        "turns": tfds.features.Sequence({"who": STRING, "text": TEXT}),
        "lines": tfds.features.Tensor(shape=(None,), dtype=np.str_),
    }
    row = {"translation": {"de": "ja", "en": "yes"}, "turns": {"who": ["a", "b"], "text": ["hi", "ho"]}, "lines": ["x", "y", "z"]}
    _prepare(folder, "nested", nested, {"train": [row]})
    return folder


@pytest.fixture
def data(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    return prepared


def test_own_splits_are_kept_and_copies_leave_train(data: Path) -> None:
    corpus = load_corpus(DataSpec("tfds:own_splits", 300, 600, 300))
    documents = {part: bytes(corpus.parts[part]).decode().split("\0") for part in PARTS}
    words = {part: {document.split()[0] for document in documents[part]} for part in PARTS}
    assert words == {"train": {"train"}, "validation": {"dev"}, "test": {"test"}, "final": {"test"}}
    assert len(documents["train"]) == 90 and corpus.provenance["dropped_duplicates"] == 3
    assert 0.75 * 600 <= len(corpus.parts["test"]) <= 600
    assert corpus.provenance["dataset"] == "own_splits/1.0.0"
    assert "tensorflow" not in sys.modules


def test_missing_parts_are_carved_from_train(data: Path) -> None:
    corpus = load_corpus(DataSpec("tfds:train_alone/text", 300, 600, 300))
    assert sum(corpus.provenance["documents"].values()) == 300
    assert "test: documents of train" in corpus.provenance["parts"]


def test_a_set_without_train_is_one_pool(data: Path) -> None:
    corpus = load_corpus(DataSpec("tfds:no_train", 300, 600, 300))
    assert corpus.provenance["pooled"] and sum(corpus.provenance["documents"].values()) == 200


def test_a_field_is_chosen_by_name_and_lists_are_joined(data: Path) -> None:
    assert tfds_documents("two_texts/question").splits["train"] == [b"why"]
    assert tfds_documents("two_texts/answers").splits["train"] == [b"a\nb"]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("scalar", b"one"),
        ("text_and_strings", b"one"),
        ("text_and_strings/id", b"7"),
        ("nested/translation/en", b"yes"),
        ("nested/turns/who", b"a\nb"),
        ("nested/lines", b"x\ny\nz"),
    ],
)
def test_strings_are_texts_too_and_those_inside_others_have_names(data: Path, word: str, text: bytes) -> None:
    assert tfds_documents(word).splits["train"] == [text]


def test_splits_of_other_names_are_one_pool(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        corpus = load_corpus(DataSpec("tfds:other_names", 300, 600, 100, max_bytes=10**6))
    assert sum(corpus.provenance["documents"].values()) == 100 and corpus.provenance["pooled"]
    assert "all rows of labelled_dev, train_sft are one pool" in caplog.text


def test_known_splits_are_used_and_others_left_out(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        found = tfds_documents("more_names", 10**6)
    assert {split: len(rows) for split, rows in found.splits.items()} == {"train": 300, "validation": 40}
    assert found.provenance["splits"] == ["dev", "train", "validation"] and not found.provenance["pooled"]
    assert "its splits labelled_dev, train_sft are left out; read are dev, train, validation" in caplog.text


@pytest.fixture
def copied(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a set that may be spoilt."""
    shutil.copytree(data / "own_splits", tmp_path / "own_splits")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path / "own_splits" / "1.0.0"


def _change_info(folder: Path, **values: Any) -> None:
    path = folder / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _shard(folder: Path) -> Path:
    return folder / "own_splits-train.array_record-00000-of-00001"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: _shard(folder).unlink(), "RuntimeError: .*No such file"),
        (lambda folder: _shard(folder).write_bytes(_shard(folder).read_bytes()[:-70]), "RuntimeError: Corrupted"),
        (lambda folder: (folder / "features.json").unlink(), "ValueError: .*generated with an old TFDS"),
        (lambda folder: _change_info(folder, fieldOfTheFuture=1), "ParseError"),
        (lambda folder: (folder / "features.json").write_text("{"), "JSONDecodeError"),
    ],
)
def test_a_set_that_is_broken_or_old_is_one_line(copied: Path, spoil: Callable[[Path], Any], message: str) -> None:
    spoil(copied)
    with pytest.raises(UsageError, match=f"tfds:own_splits cannot be read from {copied} .{message}") as caught:
        tfds_documents("own_splits")
    assert "prepare it again: tfds build own_splits --file_format=array_record --overwrite" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("splits", [[], [{"name": "train", "numShards": "1", "statistics": {"numExamples": "93"}}]])
def test_a_set_without_rows_lists_its_splits(copied: Path, splits: list[Any]) -> None:
    _change_info(copied, splits=splits)
    with pytest.raises(UsageError, match=f"no rows in its splits .{'train' if splits else 'none'}.*prepare it again"):
        tfds_documents("own_splits")


def test_a_set_in_another_format_is_converted_by_what_the_line_says(copied: Path) -> None:
    expected = tfds_documents("own_splits")
    _change_info(copied, fileFormat="tfrecord")
    with pytest.raises(UsageError, match=f"convert it: tfds convert_format --dataset_version_dir={copied} --out_file_format=array_record"):
        tfds_documents("own_splits")
    _change_info(copied, alternativeFileFormats=["array_record"])  # all that the command changes in this file
    assert tfds_documents("own_splits") == expected


def test_a_cap_reads_the_same_rows_each_time(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("research.data.tensorflow_datasets_source._CHUNK", 16)
    first, again = (tfds_documents("train_alone", 500).splits["train"] for _ in range(2))
    assert first == again and 500 <= sum(map(len, first)) < 1200
    assert set(first) < set(tfds_documents("train_alone").splits["train"])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("two_texts", "several text fields; its text fields: answers, question"),
        ("own_splits/label", "no text field 'label'; its text fields: text"),
        ("no_text", "no text field"),
        (
            "own_split",
            "not prepared under .*nearest: own_splits.*tfds build own_split --file_format=array_record .*requirements-prepare.txt",
        ),
        ("own_splits/text/more", "no text field 'text/more'"),
        ("own_splits:9.9.9", "not prepared"),
        ("own_splits:9.9.9/text", "not prepared"),
        ("nested", "several text fields; its text fields: lines, translation/de, translation/en, turns/text, turns/who"),
        ("nested/turns", "no text field 'turns'"),
    ],
)
def test_words_that_name_nothing_are_refused(data: Path, word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tfds_documents(word)


def test_the_newest_version_is_taken_and_configs_are_named(tmp_path: Path) -> None:
    for folder in ("one/1.9.0", "one/1.10.0", "many/a/1.0.0", "many/b/1.0.0", "single/c/2.0.0"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "dataset_info.json").touch()
    assert find_prepared("one/text", tmp_path) == (tmp_path / "one/1.10.0", "text")
    assert find_prepared("one:1.9.0", tmp_path) == (tmp_path / "one/1.9.0", "")
    assert find_prepared("many/b/text", tmp_path) == (tmp_path / "many/b/1.0.0", "text")
    assert find_prepared("single", tmp_path) == (tmp_path / "single/c/2.0.0", "")
    with pytest.raises(UsageError, match="several configs.*: a, b"):
        find_prepared("many", tmp_path)
    with pytest.raises(UsageError, match="there: nothing"):
        find_prepared("one", tmp_path / "absent")


def test_without_the_variable_the_folder_is_that_of_tfds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://bucket")
    with pytest.raises(UsageError, match="TFDS_DATA_DIR=gs://bucket is a URL"):
        data_folder()
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    assert data_folder() == Path.home() / "tensorflow_datasets"


@pytest.mark.parametrize("word", ["tiny_shakespeare", "universal_dependencies/en_ewt/text", "ag_news_small/text"])
def test_prepared_sets_where_they_are_present(word: str) -> None:
    if not REAL_FOLDER or not (Path(REAL_FOLDER) / word.split("/")[0]).is_dir():
        pytest.skip(f"TFDS_DATA_DIR names no folder with {word}")
    corpus = load_corpus(DataSpec(f"tfds:{word}", 30_000, 60_000, 30_000, max_bytes=1_000_000))
    assert len(corpus.parts["train"]) > 500_000 and 40_000 < len(corpus.parts["test"]) <= 60_000
    assert bytes(corpus.parts["test"]).count(b"e") > 1000
