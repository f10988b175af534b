"""Which words of annotated text are probed: some of all, labels as often as they occur, each sentence a window of its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.probing.axes import ProbingSweep
from experiments.probing.drawn import CHOOSING, CONTROL, Drawn, Examples, raw_words
from experiments.probing.tasks_of_words import ATTRIBUTE, Annotated, numbered, of_sentences, of_subjects
from research.analysis.control_tasks import control_labels
from research.data.relations import Relations
from research.data.treebank import Treebank
from research.data.vocabulary import Vocabulary
from research.errors import UsageError

EXCERPT = 32  # a document gives at most so small a part of all sentences: fifty documents say more than fourteen
BEFORE = 8  # empty bytes before a text, which the last eight bytes reach into
SPLITS = {"test": "test", "final": "train"}  # of a treebank, by `data.part`: nothing else reads its train split


class Reader(NamedTuple):
    """What makes tokens of a text: a vocabulary, the tokens of a context, a mark before the text among them, and how a word is read."""

    vocabulary: Vocabulary
    length: int
    pooling: str


class Left(NamedTuple):
    """How many texts of a source are read, how many are longer than the context and dropped, and what else was left out, in words."""

    read: int
    longer: int
    why: str


class _Words(NamedTuple):
    """Texts as windows and bytes, and words: the text of each, its first and last token and last byte there, form and labels."""

    rows: list[np.ndarray]
    texts: list[bytes]
    text: np.ndarray
    start: np.ndarray
    offset: np.ndarray
    byte: np.ndarray
    forms: np.ndarray
    labels: Mapping[str, list[str]]


class _Part(NamedTuple):
    """Texts of a part and the group of each, -1 for all where they choose the ridge; wanted: words drawn from them."""

    name: str
    texts: Sequence[Annotated]
    groups: Sequence[int]
    wanted: int


def words_of_treebank(bank: Treebank, sweep: ProbingSweep, reader: Reader, part: str) -> tuple[Drawn, Left]:
    """Returns the words of every task but `attribute`, all tasks on the same ones, and what was left out; UsageError as in `drawn`."""
    tasks, own, parts, longer = [task for task in sweep.tasks if task != ATTRIBUTE], sweep.sentences, [], 0
    for split, key, wanted, count in (
        (CHOOSING, "choosing", own.choosing, sweep.choosing),
        (SPLITS[part], "read", own.read, sweep.examples),
    ):
        fitting, dropped = _fitting(of_sentences(bank.parts[split], tasks), reader)
        some = _documents(fitting, wanted, f"{split} of {bank.name}")
        if len(some) < wanted:
            said = f"{bank.name} has {len(some)} sentences in excerpts of its part {split} that a context of {reader.length} tokens holds"
            raise UsageError(f"{said}, and sentences.{key} = {wanted}; lower it, or raise model.max_length")
        groups = [-1] * len(some) if split == CHOOSING else _grouped(some, sweep.groups)
        parts.append(_Part(key, some, groups, count))
        longer += dropped
    why = f"{sum(bank.unfit[split] for split in (CHOOSING, SPLITS[part]))} have words that are not in their text"
    return _drawn(tasks, parts, reader), Left(sum(len(each.texts) for each in parts), longer, why)


def words_of_subjects(relations: Relations, sweep: ProbingSweep, reader: Reader, part: str) -> tuple[Drawn, Left]:
    """Returns the subjects of the task `attribute`, each a document of its own, and what was left out; UsageError as in `drawn`."""
    every, longer = _fitting(of_subjects(relations), reader)
    order = np.argsort(raw_words(ATTRIBUTE, "subjects", len(every)), kind="stable")
    first = sweep.choosing + (sweep.examples if part == "final" else 0)
    wanted = first + sweep.examples
    if len(every) < wanted:
        raise UsageError(f"{relations.name} has {len(every)} subjects, and examples and choosing want {wanted}; lower examples")
    chosen, read = ([every[place] for place in order[where]] for where in (slice(sweep.choosing), slice(first, wanted)))
    parts = [_Part("choosing", chosen, [-1] * len(chosen), len(chosen)), _Part("examples", read, _grouped(read, sweep.groups), len(read))]
    several = sum(len(one.relations) > 1 for one in relations.subjects)
    return _drawn([ATTRIBUTE], parts, reader), Left(wanted, longer, f"{several} stand in several relations")


def joined(pieces: Sequence[Drawn], tasks: Sequence[str]) -> Drawn:
    """Returns windows of several sources as one stack, with the tasks in this order."""
    found: dict[str, Examples] = {}
    for place, piece in enumerate(pieces):
        first = sum(len(each.rows) for each in pieces[:place])
        found.update({task.name: task._replace(window=task.window + first) for task in piece.tasks})
    width = max(piece.text.shape[1] for piece in pieces)
    text = [np.pad(piece.text, ((0, 0), (0, width - piece.text.shape[1]))) for piece in pieces]
    return Drawn(np.concatenate([piece.rows for piece in pieces]), np.concatenate(text), tuple(found[task] for task in tasks))


def _fitting(texts: Sequence[Annotated], reader: Reader) -> tuple[list[Annotated], int]:
    """The texts that a context holds behind a mark, and how many are longer."""
    ids = reader.vocabulary.encode_all([each.text for each in texts])
    kept = [each for each, own in zip(texts, ids, strict=True) if len(own) < reader.length and len(each.spans)]
    return kept, sum(len(own) >= reader.length for own in ids)


def _documents(texts: Sequence[Annotated], wanted: int, name: str) -> list[Annotated]:
    """So many texts, of each document the first ones, at most 1/EXCERPT of all, documents in an order that Philox's raw words decide."""
    names = sorted({each.document for each in texts})
    order = dict(zip(names, raw_words(name, "documents", len(names)).tolist(), strict=True))
    most, held, kept = max(1, wanted // EXCERPT), Counter[str](), []
    for each in sorted(texts, key=lambda each: order[each.document]):
        held[each.document] += 1
        if held[each.document] <= most:
            kept.append(each)
    return kept[:wanted]


def _grouped(texts: Sequence[Annotated], groups: int) -> list[int]:
    """The group of each text: whole documents, each, from the largest, put into the group that has the fewest words."""
    size: dict[str, int] = {}
    for each in texts:
        size[each.document] = size.get(each.document, 0) + len(each.spans)
    if len(size) < groups:
        raise UsageError(f"{len(size)} documents make no {groups} groups; raise sentences.read, or lower groups")
    held, of = [0] * groups, {}
    for document in sorted(size, key=lambda name: -size[name]):
        of[document] = held.index(min(held))
        held[of[document]] += size[document]
    return [of[each.document] for each in texts]


def _drawn(tasks: Sequence[str], parts: Sequence[_Part], reader: Reader) -> Drawn:
    """So many words of each part, whichever their labels, in an order that Philox's raw words decide."""
    words = _words([each for part in parts for each in part.texts], tasks, reader)
    groups = np.array([group for part in parts for group in part.groups])[words.text]
    kept = []
    for part in parts:
        own = np.flatnonzero((groups < 0) == (part.groups[0] < 0))
        if len(own) < part.wanted:
            key = "choosing" if part.groups[0] < 0 else "examples"
            raise UsageError(
                f"{len(own)} words of {len(part.texts)} texts, and {key} = {part.wanted}; lower it, or raise sentences.{part.name}"
            )
        kept.append(own[np.argsort(raw_words(tasks[0], part.name, len(own)), kind="stable")][: part.wanted])
    some = np.concatenate(kept)
    some = some[np.argsort(raw_words(tasks[0], "order", len(some)), kind="stable")]
    text, start, offset, byte, forms, groups = (
        each[some] for each in (words.text, words.start, words.offset, words.byte, words.forms, groups)
    )

    def examples(name: str) -> Examples:
        label, classes = numbered([words.labels[name][place] for place in some])
        labels = np.stack([label, control_labels(forms, label, CONTROL)])
        return Examples(name, text, offset, labels, forms, groups, len(classes), start, byte)

    return Drawn(_filled(words.rows, reader.length, reader.vocabulary.mark), _bytes(words.texts), tuple(map(examples, tasks)))


def _words(texts: Sequence[Annotated], tasks: Sequence[str], reader: Reader) -> _Words:
    vocabulary = reader.vocabulary
    rows, found, forms = [], [], []
    for place, (each, ids) in enumerate(zip(texts, vocabulary.encode_all([one.text for one in texts]), strict=True)):
        ends = np.cumsum(vocabulary.lengths[ids.astype(int)])
        if not len(ends) or ends[-1] != len(each.text):
            said = f"tokens stand for {ends[-1] if len(ends) else 0} bytes of a text of {len(each.text)}, {each.text[:40]!r}"
            raise UsageError(f"{said}: its labels do not fit the base's tokens, whose tokenizer changes text; choose another base")
        last = np.searchsorted(ends, each.spans[:, 1]) + 1  # behind the mark
        first = np.searchsorted(ends, each.spans[:, 0], side="right") + 1 if reader.pooling == "mean" else last
        found.append(np.stack([np.full(len(last), place), first, last, BEFORE + each.spans[:, 1] - 1], axis=1))
        forms += [each.text[start:end].rsplit(b" ", 1)[-1] for start, end in each.spans.tolist()]
        rows.append(np.concatenate([[vocabulary.mark], ids]).astype(vocabulary.dtype))
    labels = {task: [label for each in texts for label in each.labels[task]] for task in tasks}
    number, first, last, byte = np.concatenate(found).T
    return _Words(rows, [each.text for each in texts], number, first, last, byte, np.array(forms, dtype=bytes), labels)


def _filled(rows: Sequence[np.ndarray], length: int, filling: int) -> np.ndarray:
    found = np.full((len(rows), length), filling, rows[0].dtype)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found


def _bytes(texts: Sequence[bytes]) -> np.ndarray:
    """Texts as bytes, (n, longest), behind BEFORE empty ones."""
    rows = [np.frombuffer(bytes(BEFORE) + text, np.uint8) for text in texts]
    return _filled(rows, max(map(len, rows)), 0)
