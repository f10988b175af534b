"""Documents as streams of tokens: encoded once, joined by marks, with the group and the bytes of the text that each token belongs to."""

import hashlib
import heapq
import io
import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from research.data.vocabulary import Vocabulary
from research.errors import UsageError
from research.files import atomic_write

MOST_GROUPS = 48
_log = logging.getLogger(__name__)
Pieces = list[np.ndarray]  # the tokens of each document
Parts = Mapping[str, list[bytes]]  # the documents of each part


def encoded(documents: Parts, vocabulary: Vocabulary, cache: Path | None = None) -> dict[str, Pieces]:
    """Returns the tokens of each document of each part, from the folder `cache` where they stand there, and kept there if not.

    They are kept under a digest of all documents and the vocabulary. Bytes are never kept: encoding them costs nothing.
    """
    if cache is None or not vocabulary.fingerprint:
        return {part: vocabulary.encode_all(texts) for part, texts in documents.items()}
    path = cache / "tokens" / f"{_name(documents, vocabulary)}.npz"
    found = _kept(path, documents)
    if found is None:
        found = {part: vocabulary.encode_all(texts) for part, texts in documents.items()}
        _keep(path, found)
    return found


def joined(pieces: Pieces, vocabulary: Vocabulary) -> np.ndarray:
    """Returns the stream of documents, a mark between them."""
    mark = np.full(1, vocabulary.mark, vocabulary.dtype)
    return np.concatenate([piece for document in pieces for piece in (mark, document)][1:])


def groups(documents: Sequence[bytes], pieces: Pieces) -> np.ndarray:
    """Returns the group of each token's document in the stream of `pieces`, (tokens,) int32, -1 at marks.

    A group is of whole documents, of about equal bytes, the same for every vocabulary; there are at most `MOST_GROUPS`.
    """
    marked = [(group, len(piece)) for group, piece in zip(_gathered([len(document) for document in documents]), pieces, strict=True)]
    return np.repeat(*np.array([run for pair in marked for run in ((-1, 1), pair)], np.int32)[1:].T)


def sizes(documents: Sequence[bytes], pieces: Pieces, vocabulary: Vocabulary) -> np.ndarray:
    """Returns how many bytes of the text each token of the stream of `pieces` stands for, (tokens,) float64, 0 at marks.

    They are whole numbers, and those of a document sum to its length exactly: the vocabulary's own where these do, else (where the text was
    normalized before it was encoded) these stretched alike over the document.
    """
    mark = np.zeros(1)
    found = [_size(len(text), vocabulary.lengths[piece]) for text, piece in zip(documents, pieces, strict=True)]
    return np.concatenate([piece for document in found for piece in (mark, document)][1:])


def _size(length: int, table: np.ndarray) -> np.ndarray:
    total = table.sum()
    if total in (length, 0):
        return table.astype(np.float64)
    return np.diff(np.rint(np.cumsum(table) * (length / total)), prepend=0)


def _gathered(lengths: list[int]) -> list[int]:
    """Returns the group of each document: one of its own, or where there are too many the lightest so far, largest document first."""
    if len(lengths) <= MOST_GROUPS:
        return list(range(len(lengths)))
    lightest, found = [(0, group) for group in range(MOST_GROUPS)], [0] * len(lengths)
    for document in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        weight, found[document] = lightest[0]
        heapq.heapreplace(lightest, (weight + lengths[document], found[document]))
    return found


def _name(documents: Parts, vocabulary: Vocabulary) -> str:
    digest = hashlib.sha256(vocabulary.fingerprint.encode())
    for part, texts in documents.items():
        digest.update(f"{part}:{len(texts)}:".encode())
        for text in texts:
            digest.update(hashlib.sha256(text).digest())
    return digest.hexdigest()


def _kept(path: Path, documents: Parts) -> dict[str, Pieces] | None:
    """Returns what stands in a file of the cache, None where there is none or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {part: np.split(arrays[part], np.cumsum(arrays[f"{part} lengths"])[:-1]) for part in documents}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        _log.info("%s is damaged (%s); the text is encoded again", path, error)
        return None


def _keep(path: Path, pieces: Mapping[str, Pieces]) -> None:
    """Keeps the tokens of documents in a file; a cache that cannot be written is no reason to stop."""
    arrays = {part: np.concatenate(some) for part, some in pieces.items()}
    arrays |= {f"{part} lengths": np.array([len(piece) for piece in some]) for part, some in pieces.items()}
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # a keyword of that name is no array
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, file.getvalue())
    except (OSError, UsageError) as error:
        _log.info("the tokens of this text are not kept: %s", error)
