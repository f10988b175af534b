"""The tasks of annotated text: what people wrote beside each word of a sentence, or beside a subject."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from research.data.relations import Relations
from research.data.treebank import Sentence

ATTRIBUTE = "attribute"
MOST = 17  # classes of a task; all rarer ones are one
OTHER = "other"
_DEEPEST = 4
_DISTANCES = (1, 3)  # words to a head, up to which a bin reaches; the last is open


class WordTask(NamedTuple):
    """How a sentence's words are labeled, None where a subject is; sees: what a label is made from, in words."""

    label: Callable[[Sentence], Sequence[str]] | None
    sees: str


class Annotated(NamedTuple):
    """A text, the document that it is of, and spans of it, bytes [start, end) (n, 2), with n labels by task."""

    document: str
    text: bytes
    spans: np.ndarray
    labels: Mapping[str, Sequence[str]]


def relation(sentence: Sentence) -> list[str]:
    """Returns of each word the universal relation to its head, without a language's own refinement of it."""
    return [each.partition(":")[0] for each in sentence.relations]


def head(sentence: Sentence) -> list[str]:
    """Returns of each word on which side its head is and how many words away: 1, 2 to 3, or more; `root` where there is none."""
    return ["root" if its < 0 else _away(its - place) for place, its in enumerate(sentence.heads.tolist())]


def _away(words: int) -> str:
    near = next((f"up to {most}" for most in _DISTANCES if abs(words) <= most), f"over {_DISTANCES[-1]}")
    return f"{'right' if words > 0 else 'left'}, {near}"


def tree(sentence: Sentence) -> list[str]:
    """Returns of each word how many arcs lead from it up to its root: 0, 1, 2, 3, or 4 for more."""
    heads = sentence.heads.tolist()

    def arcs(place: int) -> int:
        count = 0
        while heads[place] >= 0 and count < _DEEPEST:
            place, count = heads[place], count + 1
        return count

    return [str(arcs(place)) for place in range(len(heads))]


WORD_TASKS = {
    "pos": WordTask(lambda sentence: sentence.pos, "its whole sentence, of which a decoder has read what stands before"),
    "relation": WordTask(relation, "its whole sentence"),
    "head": WordTask(head, "its whole sentence, often words behind it"),
    "tree": WordTask(tree, "its whole sentence"),
    ATTRIBUTE: WordTask(None, "the subject's name alone, and what is known of it"),
}


def of_sentences(sentences: Sequence[Sentence], tasks: Sequence[str]) -> list[Annotated]:
    """Returns sentences with the labels of these tasks."""
    known = {task: label for task in tasks if (label := WORD_TASKS[task].label) is not None}
    return [Annotated(one.document, one.text, one.spans, {task: label(one) for task, label in known.items()}) for one in sentences]


def of_subjects(relations: Relations) -> list[Annotated]:
    """Returns subjects, each a text and a document of its own; those in several relations are left out."""
    alone = [(one.name, one.name.encode(), one.relations[0]) for one in relations.subjects if len(one.relations) == 1]
    return [Annotated(name, text, np.array([[0, len(text)]]), {ATTRIBUTE: [label]}) for name, text, label in alone]


def numbered(labels: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns each label's class and the classes' names, the most frequent first; beyond MOST, all rarer ones are the last, OTHER."""
    ranked = sorted(Counter(labels).items(), key=lambda each: (-each[1], each[0]))
    names = [name for name, _ in ranked]
    kept = tuple(names) if len(names) <= MOST else (*names[: MOST - 1], OTHER)
    place = {name: min(number, len(kept) - 1) for number, name in enumerate(names)}
    return np.array([place[label] for label in labels], int), kept
