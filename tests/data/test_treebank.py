"""Sentences have the words, labels and heads that went in, at the bytes where they stand; what does not fit is left out or refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow_datasets as tfds

from research.data.treebank import Sentence, load_treebank, sentence
from research.errors import UsageError

POS = ("NOUN", "VERB", "_")
TEXT = tfds.features.Text()
FEATURES = {
    "idx": TEXT,
    "text": TEXT,
    **{name: tfds.features.Sequence(TEXT) for name in ("tokens", "head", "deprel")},
    "upos": tfds.features.Sequence(tfds.features.ClassLabel(names=POS)),
}
ROW = {
    "idx": "web-1-0001",
    "text": "Who's näher? Cats don't.",
    "tokens": ["Who's", "Who", "'s", "näher", "?", "Cats", "do", "n't", "."],
    "head": ["None", "3", "3", "0", "3", "3", "5", "6", "3"],
    "deprel": ["_", "nsubj", "cop", "root", "punct", "conj", "aux", "advmod", "punct"],
    "upos": ["_", "NOUN", "VERB", "VERB", "NOUN", "NOUN", "VERB", "VERB", "NOUN"],
}


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")
    features: dict[str, Any]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.features))

    def _split_generators(self, _: object) -> dict[str, Any]:
        return {name: self._generate_examples(name) for name in ("train", "dev", "test")}

    def _generate_examples(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        yield 0, {key: value for key, value in ROW.items() if key in self.features}
        if name == "dev":
            yield 1, {**{key: value for key, value in ROW.items() if key in self.features}, "text": "Something else."}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a small treebank, and a set that is none."""
    found = tmp_path_factory.mktemp("tfds")
    for name, features in (("bank", FEATURES), ("no_bank", {"idx": TEXT, "text": TEXT})):
        body = {"name": name, "features": features}
        type(name, (_Builder,), body, skip_registration=True)(data_dir=found, file_format="array_record").download_and_prepare()
    return found


def test_words_are_where_the_text_has_them_with_their_labels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
    bank = load_treebank("tfds:bank")
    assert {part: len(some) for part, some in bank.parts.items()} == {"train": 1, "validation": 1, "test": 1}
    assert dict(bank.unfit) == {"train": 0, "validation": 1, "test": 0}
    (one,) = bank.parts["test"]
    assert [one.text[start:end].decode() for start, end in one.spans] == ROW["tokens"][1:]  # "Who's" is two words, which have labels
    assert one.document == "web-1" and one.relations == tuple(ROW["deprel"][1:])
    assert one.pos == tuple(ROW["upos"][1:]) and one.heads.tolist() == [2, 2, -1, 2, 2, 4, 5, 2]
    assert bank.fingerprint == load_treebank("tfds:bank").fingerprint


def test_what_is_no_treebank_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
    with pytest.raises(UsageError, match="has no deprel, head, tokens, upos: it is no treebank"):
        load_treebank("tfds:no_bank")
    with pytest.raises(UsageError, match="write tfds:universal_dependencies"):
        load_treebank("en_ewt")
    with pytest.raises(UsageError, match="prepare it: tfds build universal_dependencies"):
        load_treebank("tfds:universal_dependencies/en_ewt")


def parsed(**changes: Any) -> Sentence | None:
    row = {**ROW, **changes}
    return sentence(row["idx"], row["text"].encode(), row["tokens"], row["head"], row["deprel"], row["upos"])


def test_labels_that_do_not_fit_the_tokens_are_refused() -> None:
    assert parsed() is not None and parsed(text=f"{ROW['text'][:-4]}") is None
    with pytest.raises(UsageError, match="9 tokens, 9 heads, 8 relations .* labels do not fit its tokens"):
        parsed(deprel=ROW["deprel"][1:])
    with pytest.raises(UsageError, match="has a head 9 and 8 words"):
        parsed(head=[*ROW["head"][:-1], "9"])
