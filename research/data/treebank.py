"""Sentences of Universal Dependencies as TensorFlow Datasets prepares them, `tfds:universal_dependencies/LANGUAGE_TREEBANK`."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from research.data.tensorflow_datasets_source import data_folder, find_prepared, reading, serialized_rows
from research.errors import UsageError

PARTS = {"train": "train", "validation": "dev", "test": "test"}
FIELDS = ("idx", "text", "tokens", "head", "deprel", "upos")


class Sentence(NamedTuple):
    """A sentence and its words: where each lies in the text, its part of speech, the relation to its head, and its head.

    document: the sentence's. spans: (n, 2), bytes [start, end) of the text. heads: (n,), the place of a word among the words, -1 for none.
    """

    document: str
    text: bytes
    spans: np.ndarray
    pos: tuple[str, ...]
    relations: tuple[str, ...]
    heads: np.ndarray


class Treebank(NamedTuple):
    """Sentences by part; fingerprint: SHA-256 of all. unfit: by part, sentences whose words do not stand in their text, left out."""

    name: str
    fingerprint: str
    parts: Mapping[str, tuple[Sentence, ...]]
    unfit: Mapping[str, int]


def load_treebank(source: str) -> Treebank:
    """Returns the sentences of a prepared treebank in the parts train, validation and test; UsageError for a set that is none.

    Tokens that are several words at once, and words that are not in the text, have no head in CoNLL-U and are left out.
    """
    kind, _, word = source.partition(":")
    if kind != "tfds" or not word:
        raise UsageError(f"treebank = {source!r}: write tfds:universal_dependencies/LANGUAGE_TREEBANK")
    prepared = find_prepared(word, data_folder())
    import tensorflow_datasets as tfds  # a second to import, and needed for this source alone

    with reading(word, prepared.folder):
        builder = tfds.builder_from_directory(str(prepared.folder))
        if missing := sorted({*FIELDS} - {*builder.info.features} | {*PARTS.values()} - {*builder.info.splits}):
            raise UsageError(f"{source} has no {', '.join(missing)}: it is no treebank; name one, as tfds:universal_dependencies/en_ewt")
        rows = {part: list(_rows(word, builder, split)) for part, split in PARTS.items()}
        digest = hashlib.sha256(repr(rows).encode()).hexdigest()
        parts = {part: [sentence(*row) for row in some] for part, some in rows.items()}
        fitting = {part: tuple(one for one in some if one is not None) for part, some in parts.items()}
        unfit = {part: len(some) - len(fitting[part]) for part, some in parts.items()}
        return Treebank(f"tfds:{builder.info.full_name}", digest, fitting, unfit)


def _rows(word: str, builder: Any, split: str) -> Iterator[tuple[Any, ...]]:
    """The values of FIELDS of each row, the parts of speech by name."""
    from tensorflow_datasets.proto import tf_example_pb2  # a tenth of the time of TFDS's own deserialization, which reads all fields

    source, names = serialized_rows(word, builder, split), builder.info.features["upos"].feature.names
    for record in source.__getitems__(range(len(source))):
        fields = tf_example_pb2.Example.FromString(record).features.feature
        name, text = (fields[field].bytes_list.value[0] for field in ("idx", "text"))
        lists = ([value.decode() for value in fields[field].bytes_list.value] for field in ("tokens", "head", "deprel"))
        yield (name.decode(), text, *lists, [names[number] for number in fields["upos"].int64_list.value])


def sentence(
    name: str, text: bytes, tokens: Sequence[str], heads: Sequence[str], relations: Sequence[str], pos: Sequence[str]
) -> Sentence | None:
    """Returns a row as a sentence, whose document is its name up to the last dash; None where words do not stand in the text in turn.

    UsageError where there are more or fewer labels than tokens, and for a head that is no word.
    """
    if len({len(tokens), len(heads), len(relations), len(pos)}) > 1:
        counts = f"{len(tokens)} tokens, {len(heads)} heads, {len(relations)} relations and {len(pos)} parts of speech"
        raise UsageError(f"sentence {name} has {counts}: labels do not fit its tokens; prepare the treebank again")
    kept = [place for place, head in enumerate(heads) if head.isdigit()]
    number = np.array([int(heads[place]) - 1 for place in kept], int)
    if len(number) and number.max() >= len(kept):
        raise UsageError(f"sentence {name} has a head {number.max() + 1} and {len(kept)} words: labels do not fit its tokens")
    spans, at = [], 0
    for place in kept:
        word = tokens[place].encode()
        start = text.find(word, at)
        if start < 0 or text[at:start].strip():
            return None
        at = start + len(word)
        spans.append((start, at))
    kinds, arcs = (tuple(values[place] for place in kept) for values in (pos, relations))
    return Sentence(name.rpartition("-")[0], text, np.array(spans, int).reshape(-1, 2), kinds, arcs, number)
