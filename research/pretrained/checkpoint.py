"""A checkpoint that somebody else pretrained: what its headers say, and its weights as leaves of ours when asked for."""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from research.data.vocabulary import Vocabulary
from research.errors import UsageError
from research.models.configuration import DecoderConfig
from research.pretrained import tensors
from research.pretrained.families import Row
from research.pretrained.tensors import Tensor

Leaves = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is known of a checkpoint before a weight is read.

    word: as it was typed. source: the folder or file it lies in. family: a key of families.FAMILIES. model: every shape key of
    DecoderConfig. context: the longest sequence it was made for, in tokens. note: what was done to the weights, as 'Q4_1, dequantized', or
    ''. config: the file's own, for what else is asked of it. special: ids by name ('bos', 'eos', 'pad', ...).
    stored: their tensors by name. tied_head: the name of a head that is there although the model is tied, or ''.
    metadata: bytes of config and tokenizer, in pieces, and weights: the bytes of the weights, for `identity`.
    """

    word: str
    source: Path
    family: str
    model: dict[str, Any]
    context: int
    note: str
    config: Mapping[str, Any]
    special: Mapping[str, int]
    rows: list[Row]
    stored: Mapping[str, Tensor]
    tied_head: str = ""
    metadata: Callable[[], Iterable[bytes]]
    vocabulary: Callable[[], Vocabulary]

    @property
    def nbytes(self) -> int:
        """Returns the bytes of the weights as float32, known from headers alone."""
        return sum(4 * self.stored[name].size for name in places(self.rows, self.model))

    @functools.cached_property
    def identity(self) -> str:
        """Returns the SHA-256 of config, tokenizer and weights; where they lie, and in how many files, is not in it."""
        digest = hashlib.sha256()
        for piece in self.metadata():
            digest.update(hashlib.sha256(piece).digest())
        for name in sorted(places(self.rows, self.model)):
            tensor = self.stored[name]
            digest.update(repr((name, tensor.dtype, tensor.shape)).encode())
            for block in tensors.raw(tensor):
                digest.update(block.data)
        return digest.hexdigest()

    def load(self, config: DecoderConfig) -> Leaves:
        """Returns the weights as nested dicts of NumPy arrays of config.param_dtype, stacked along a leading axis where config.scan.

        One tensor at a time: the peak is the model and its largest tensor. UsageError for a head that should equal the embedding.
        """
        if self.tied_head:
            self._check_tied_head()
        dtype, leaves = np.dtype(config.param_dtype), {}
        for name, wanted in places(self.rows, self.model).items():
            tensor = tensors.read(self.stored[name])
            for row, layer in wanted:
                stacked = config.scan and layer is not None
                path = row.ours if stacked or layer is None else row.ours.replace("layers/", f"layers_{layer}/", 1)
                if path not in leaves:
                    leaves[path] = np.empty((self.model["n_layers"], *row.shape) if stacked else row.shape, dtype)
                leaves[path][layer if stacked else ...] = row.layout.load(tensor, row.shape)
        return _nested(leaves)

    def _check_tied_head(self) -> None:
        table = next(row.theirs for row in self.rows if row.ours == "embedding/embedding")
        head, embedding = self.stored[self.tied_head], self.stored[table]
        pairs = zip(tensors.raw(head), tensors.raw(embedding), strict=False)
        if head[:2] != embedding[:2] or not all(np.array_equal(one, other) for one, other in pairs):
            raise UsageError(
                f"{self.word}: its config says tie_word_embeddings = true, but {self.tied_head} differs from {table}; set it to false there"
            )


def places(rows: Iterable[Row], model: Mapping[str, Any]) -> dict[str, list[tuple[Row, int | None]]]:
    """Returns, for every tensor of theirs, the rows and layers that lie in it; a layer of None for what stands outside the layers."""
    found: dict[str, list[tuple[Row, int | None]]] = {}
    for row in rows:
        for layer in range(model["n_layers"]) if row.ours.startswith("layers/") else (None,):
            found.setdefault(row.theirs.format(layer=layer), []).append((row, layer))
    return found


def check(word: str, checkpoint_rows: list[Row], model: Mapping[str, Any], stored: Mapping[str, Tensor], spare: str = "") -> None:
    """Raises UsageError, naming the tensors, where some are missing, left over, of another shape or of a type that cannot be read.

    `spare` is the pattern of names that may stay unread.
    """
    wanted = places(checkpoint_rows, model)
    for complaint, names in (
        ("lacks", [name for name in wanted if name not in stored]),
        (
            "holds what its family has no place for:",
            [name for name in stored if name not in wanted and not (spare and re.search(spare, name))],
        ),
    ):
        if names:
            raise UsageError(f"{word} {complaint} {_listed(names)}; its config and its weights do not belong together")
    for name, needed in wanted.items():
        row, shape = needed[0][0], stored[name].shape
        expected = row.layout.tensor_shape(row.shape)
        if shape != expected:
            raise UsageError(f"{word}: {name} is {shape} and should be {expected} by its config")
        if not tensors.readable(stored[name].dtype):
            raise UsageError(f"{word}: {name} holds {stored[name].dtype} numbers, which are not read here; use a copy in BF16, F16 or F32")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _nested(leaves: Mapping[str, np.ndarray]) -> Leaves:
    tree: Leaves = {}
    for path, leaf in sorted(leaves.items()):
        *modules, name = path.split("/")
        inner = tree
        for module in modules:
            inner = inner.setdefault(module, {})
        inner[name] = leaf
    return tree
