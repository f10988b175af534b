"""What is probed, and which bytes of held-out text are: as many of each class of a task, each behind at least half a window of text."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.probing.axes import ProbingSweep
from experiments.probing.tasks import LANGUAGE, TASKS, labeled, type_at
from research.analysis.control_tasks import control_labels
from research.data.corpus import Corpus
from research.errors import UsageError

CHOOSING = "validation"  # the part whose documents choose the ridge
CONTROL = 0  # the seed of the control task, which is one task for all


class Examples(NamedTuple):
    """The bytes, or words, on which a task is probed.

    window, offset: (n,) where each lies, its last token. labels: (2, n), of the task and of its control. types: (n,) what decides the
    latter. groups: (n,) of documents, -1 for those that choose the ridge. classes: their number. start: (n,) the first of the tokens that
    are averaged. byte: (n,) its last byte in the window's text.
    """

    name: str
    window: np.ndarray
    offset: np.ndarray
    labels: np.ndarray
    types: np.ndarray
    groups: np.ndarray
    classes: int
    start: np.ndarray
    byte: np.ndarray

    def lies_as(self, other: "Examples") -> bool:
        """Returns whether the examples of another task are the same bytes or words."""
        return all(np.array_equal(*pair) for pair in zip(self[1:3], other[1:3], strict=True)) and np.array_equal(self.start, other.start)


class Drawn(NamedTuple):
    """All windows (n, tokens), their bytes (n, bytes), and the examples of each task in them."""

    rows: np.ndarray
    text: np.ndarray
    tasks: tuple[Examples, ...]


class _Text(NamedTuple):
    """A part of a corpus: its stream, where its windows begin in the stack of all, the group of each byte's document, and its language."""

    part: str
    stream: np.ndarray
    first: int
    groups: np.ndarray
    language: int


def drawn(sweep: ProbingSweep, languages: Mapping[str, Corpus], length: int) -> Drawn:
    """Returns windows of `length` bytes and the examples of each task; `languages` begins with the text of all tasks but `language`.

    UsageError for two languages that share a document, and for a task of which the text has too few examples.
    """
    _check_apart(languages)
    rows: list[np.ndarray] = []
    texts: list[_Text] = []
    for language, corpus in enumerate(languages.values()):
        for part in (CHOOSING, corpus.read):
            stream, groups = corpus.parts[part], corpus.groups[part] % sweep.groups  # of a mark, which has no label, it does not matter
            own = np.full(len(stream), -1) if part == CHOOSING else groups
            texts.append(_Text(part, stream, sum(len(some) for some in rows), own, language))
            rows.append(_overlapping(stream, length))
    tasks = [(name, [text for text in texts if name == LANGUAGE or text.language == 0]) for name in sweep.tasks]
    windows = np.concatenate(rows)
    return Drawn(windows, windows, tuple(_examples(name, some, list(languages), sweep, length // 2) for name, some in tasks))


def _check_apart(languages: Mapping[str, Corpus]) -> None:
    """Raises UsageError where two languages hold out the same document, which would have two labels."""
    named = list(languages.items())
    for place, (name, corpus) in enumerate(named):
        for other, its in named[:place]:
            if shared := len(corpus.held_out & its.held_out):
                raise UsageError(f"languages {other} and {name} share {shared} documents, which would have two labels; leave one out")


def _overlapping(stream: np.ndarray, length: int) -> np.ndarray:
    """The windows (n, length) of a stream, each beginning half a window behind the one before: bytes are read in their second half."""
    if len(stream) < length:
        words = f"a part of {len(stream)} bytes is shorter than a window of {length}"
        raise UsageError(f"{words}; raise data.test_bytes and data.validation_bytes, or lower model.max_length")
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(stream, length)[:: length // 2])


def _examples(name: str, texts: Sequence[_Text], languages: Sequence[str], sweep: ProbingSweep, half: int) -> Examples:
    classes = TASKS[name].classes or tuple(languages)
    found = [
        piece
        for part, wanted in ((CHOOSING, sweep.choosing), (next(text.part for text in texts if text.part != CHOOSING), sweep.examples))
        for piece in _of_part(name, [text for text in texts if text.part == part], classes, wanted, half)
    ]
    window, offset, label, types, groups = (np.concatenate(some) for some in zip(*found, strict=True))
    labels = np.stack([label, control_labels(types, label, CONTROL)])
    order = np.argsort(raw_words(name, "order", len(label)), kind="stable")  # classes in no order: an online code sends them as they stand
    window, offset, types, groups = (some[order] for some in (window, offset, types, groups))
    return Examples(name, window, offset, labels[:, order], types, groups, len(classes), offset, offset)


def raw_words(name: str, what: str, count: int) -> np.ndarray:
    """Returns Philox's raw words, which NumPy keeps from version to version; what is drawn by them is the same for all seeds."""
    return np.random.Philox(key=np.array([zlib.crc32(f"{name} {what}".encode()), 7], np.uint64)).random_raw(count)


def _of_part(
    name: str, texts: Sequence[_Text], classes: Sequence[str], wanted: int, half: int
) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Window, offset, label, type and group of as many bytes of each class, which Philox's raw words draw from all texts of a part."""
    part, labels = texts[0].part, [_labels(name, text) for text in texts]
    places = [half + np.flatnonzero(own[half : half * (len(own) // half)] >= 0) for own in labels]
    at, text = np.concatenate(places), np.repeat(np.arange(len(texts)), [len(some) for some in places])
    label = np.concatenate([own[some] for own, some in zip(labels, places, strict=True)])
    order = np.argsort(raw_words(name, part, len(at)), kind="stable")
    for number, word in enumerate(classes):
        count = wanted // len(classes) + (number < wanted % len(classes))
        own = order[label[order] == number][:count]
        if len(own) < count:
            key = "choosing" if part == CHOOSING else "examples"
            raise UsageError(
                f"task {name!r} has {len(own)} examples of the class {word!r} in the {part} part, and {key} = {wanted} wants {count}; "
                f"lower {key}, raise data.{part}_bytes, or leave the task out"
            )
        for which, some in enumerate(texts):
            mine = at[own[text[own] == which]]
            types = np.array([type_at(some.stream, place) for place in mine.tolist()], dtype=bytes)
            yield some.first + mine // half - 1, half + mine % half, np.full(len(mine), number), types, some.groups[mine]


def _labels(name: str, text: _Text) -> np.ndarray:
    """The label of each byte of a stream, document by document; marks have none."""
    if name == LANGUAGE:
        return np.where(text.stream == 0, -1, text.language)
    documents = [labeled(name, document) for document in text.stream.tobytes().split(b"\0")]
    return np.concatenate([piece for own in documents for piece in ([-1], own)][1:])
