"""The tasks: what of a text is to be read from a model's activations, from the text alone."""

import io
import keyword
import re
import tokenize
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from research.errors import UsageError

LANGUAGE = "language"  # its label is which text a document is from, which no document says
_WORD = re.compile(rb"\w+")
_ENDING = re.compile(rb"\w+\Z")
_LONGEST = 64  # bytes of a word, of which any more tell no two words apart
_STEP = 4  # spaces of an indentation
OUTSIDE, ONCE, DEEPER, QUOTED = range(4)


class Task(NamedTuple):
    """The names of a task's classes, and what labels each byte of a document, -1 for none; None where the document's text is the label.

    sees: what a label is made from, in words.
    """

    classes: tuple[str, ...]
    label: Callable[[bytes], np.ndarray] | None
    sees: str


class Token(NamedTuple):
    """A token of Python with the bytes [start, end) that it takes."""

    kind: str
    text: str
    start: int
    end: int


def boundary(document: bytes) -> np.ndarray:
    """Returns of each byte of a word whether the word ends with it: 1 or 0. It looks one byte ahead."""
    found = _unlabeled(document)
    for word in _WORD.finditer(document):
        found[word.start() : word.end()] = 0
        found[word.end() - 1] = 1
    return found


def nesting(document: bytes) -> np.ndarray:
    """Returns of each byte of code whether it lies outside of brackets, in one, in several, or in quotes.

    A bracket counts from the byte that opens it to the one before it closes, quotes likewise; brackets opened before an excerpt are
    unknown. By Python's tokenizer: behind what it refuses there are no labels.
    """
    found, depth, done = _unlabeled(document), 0, 0
    for token in tokens(document):
        found[done : token.end] = min(depth, DEEPER)
        if token.kind == "STRING" or token.kind.startswith("FSTRING"):
            quote = min((at for at in (token.text.find('"'), token.text.find("'")) if at >= 0), default=0)
            found[token.start + quote : token.end - 1] = QUOTED
        elif token.kind == "OP":
            depth = max(0, depth + sum(token.text.count(sign) for sign in "([{") - sum(token.text.count(sign) for sign in ")]}"))
            found[token.start : token.end] = min(depth, DEEPER)
        done = max(done, token.end)
    return found


def keywords(document: bytes) -> np.ndarray:
    """Returns of the last byte of each name in code whether the name is a keyword of Python (1) or an identifier (0).

    A name ends where the next byte says so: it looks one byte ahead.
    """
    found = _unlabeled(document)
    for token in tokens(document):
        if token.kind == "NAME":
            found[token.end - 1] = keyword.iskeyword(token.text)
    return found


def indentation(document: bytes) -> np.ndarray:
    """Returns of each byte behind a line's indentation how many times four spaces that has: 0, 1, 2, or 3 for more.

    A document begins with one of unknown indentation where its first line was cut off: that line has no labels.
    """
    found = _unlabeled(document)
    for line in list(re.finditer(rb"^( *)[^\s].*$", document, re.MULTILINE))[1:]:
        found[line.end(1) : line.end()] = min((line.end(1) - line.start()) // _STEP, 3)
    return found


TASKS = {
    "boundary": Task(("inside", "end"), boundary, "the byte behind, which a byte model is trained to tell"),
    "keyword": Task(("identifier", "keyword"), keywords, "the word so far, which is whole"),
    "nesting": Task(("outside", "in a bracket", "deeper", "in quotes"), nesting, "its document so far"),
    "indentation": Task(("0", "1", "2", "3 or more"), indentation, "its line so far"),
    LANGUAGE: Task((), None, "its whole document"),
}


def labeled(name: str, document: bytes) -> np.ndarray:
    """Returns a task's label of each byte of a document, (bytes,) int; UsageError where labels do not fit the bytes."""
    label = TASKS[name].label
    if label is None:
        raise ValueError(f"a document does not say its {name}")
    found = np.asarray(label(document))
    if found.shape != (len(document),):
        raise UsageError(
            f"task {name!r} has labels of shape {found.shape} for {len(document)} bytes; it must label every byte, -1 for none"
        )
    return found


def type_at(stream: np.ndarray, place: int) -> bytes:
    """Returns the word type that a byte ends: the word up to and including it, or the byte itself where it is of no word."""
    text = stream[max(0, place - _LONGEST) : place + 1].tobytes()
    word = _ENDING.search(text)
    return word[0] if word else text[-1:]


def tokens(document: bytes) -> Iterator[Token]:
    """Yields Python's tokens of an excerpt of code, up to what the tokenizer refuses; those without bytes are left out.

    Bytes are read as Latin-1, so that a character is a byte. An excerpt may begin indented: lines before it make that legal.
    """
    text = document.decode("latin-1")
    first = next((line for line in text.split("\n") if line.strip()), "")
    depth = len(first) - len(first.lstrip(" "))
    before = [" " * at + "if 1:\n" for at in range(0, depth, _STEP)]
    starts = np.cumsum([0, *(len(line) + 1 for line in text.split("\n"))])
    try:
        for token in tokenize.generate_tokens(io.StringIO("".join(before) + text).readline):
            (row, column), (last, end) = token.start, token.end
            if row > len(before) and token.string.strip():
                yield Token(
                    tokenize.tok_name[token.type],
                    token.string,
                    int(starts[row - len(before) - 1]) + column,
                    int(starts[last - len(before) - 1]) + end,
                )
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return


def _unlabeled(document: bytes) -> np.ndarray:
    return np.full(len(document), -1)
