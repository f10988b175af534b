"""How a tensor of a file lies against a leaf of ours: pairs of pure functions, in two steps.

A file's tensor is first brought to the matrix (outputs, inputs) of one linear map of PyTorch, or its vector, and then to the leaf.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Shape = tuple[int, ...]


class Kind(NamedTuple):
    """The second step: load(matrix, shape of the leaf) -> leaf, save(leaf) -> matrix, matrix(shape of the leaf) -> shape of the matrix."""

    load: Callable[[np.ndarray, Shape], np.ndarray]
    save: Callable[[np.ndarray], np.ndarray]
    matrix: Callable[[Shape], Shape]


class Storage(NamedTuple):
    """The first step, for a tensor that holds one map, or several side by side.

    load(tensor, part, heads) -> matrix of that part; save(matrices of all parts, heads) -> tensor; tensor(shape of the matrix) -> its own.
    """

    load: Callable[[np.ndarray, int, int], np.ndarray]
    save: Callable[[Sequence[np.ndarray], int], np.ndarray]
    tensor: Callable[[Shape], Shape]
    parts: int = 1


KINDS = {
    "same": Kind(lambda w, shape: w, lambda leaf: leaf, lambda shape: shape),
    "linear": Kind(lambda w, shape: w.T, lambda leaf: leaf.T, lambda shape: shape[::-1]),
    "heads_out": Kind(  # leaf (d, n, hs)
        lambda w, shape: w.reshape(shape[1], shape[2], shape[0]).transpose(2, 0, 1),
        lambda leaf: leaf.transpose(1, 2, 0).reshape(-1, leaf.shape[0]),
        lambda shape: (shape[1] * shape[2], shape[0]),
    ),
    "heads_in": Kind(  # leaf (n, hs, d)
        lambda w, shape: w.reshape(shape[2], shape[0], shape[1]).transpose(1, 2, 0),
        lambda leaf: leaf.transpose(2, 0, 1).reshape(leaf.shape[2], -1),
        lambda shape: (shape[2], shape[0] * shape[1]),
    ),
    "heads_bias": Kind(  # leaf (n, hs)
        lambda w, shape: w.reshape(shape), lambda leaf: leaf.reshape(-1), lambda shape: (shape[0] * shape[1],)
    ),
}


def _third(w: np.ndarray, part: int, heads: int) -> np.ndarray:
    """Rows of one of three maps that lie one below the other."""
    size = w.shape[0] // 3
    return w[part * size : (part + 1) * size]


def _third_by_head(w: np.ndarray, part: int, heads: int) -> np.ndarray:
    """Rows of one of three maps that take turns head by head (GPT-NeoX)."""
    return w.reshape(heads, 3, -1, *w.shape[1:])[:, part].reshape(-1, *w.shape[1:])


def _by_head(matrices: Sequence[np.ndarray], heads: int) -> np.ndarray:
    split = [w.reshape(heads, -1, *w.shape[1:]) for w in matrices]
    return np.stack(split, axis=1).reshape(-1, *matrices[0].shape[1:])


def _unpermuted(w: np.ndarray, part: int, heads: int) -> np.ndarray:
    """Rows of queries or keys with halves paired again, where llama.cpp stores neighbors for its rotation."""
    return w.reshape(heads, -1, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def _permuted(matrices: Sequence[np.ndarray], heads: int) -> np.ndarray:
    w = matrices[0]
    return w.reshape(heads, 2, -1, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def _tripled(shape: Shape) -> Shape:
    return (3 * shape[0], *shape[1:])


STORAGES = {
    "plain": Storage(lambda w, part, heads: w, lambda matrices, heads: matrices[0], lambda shape: shape),
    "conv": Storage(lambda w, part, heads: w.T, lambda matrices, heads: matrices[0].T, lambda shape: shape[::-1]),
    "fused": Storage(_third, lambda matrices, heads: np.concatenate(matrices), _tripled, 3),
    "fused_conv": Storage(
        lambda w, part, heads: _third(w.T, part, heads),
        lambda matrices, heads: np.concatenate(matrices).T,
        lambda shape: _tripled(shape)[::-1],
        3,
    ),
    "fused_by_head": Storage(_third_by_head, _by_head, _tripled, 3),
    "permuted": Storage(_unpermuted, _permuted, lambda shape: shape),
}


class Layout(NamedTuple):
    """Where a leaf of ours lies in a tensor of theirs; `part` counts query, key and value in a fused tensor, `heads` those of this leaf."""

    kind: str
    storage: str = "plain"
    part: int = 0
    heads: int = 1

    def load(self, tensor: np.ndarray, shape: Shape) -> np.ndarray:
        """Returns the leaf of `shape` that a tensor of theirs holds, as a view where that is possible."""
        return KINDS[self.kind].load(STORAGES[self.storage].load(tensor, self.part, self.heads), shape)

    def save(self, leaf: np.ndarray) -> np.ndarray:
        """Returns the matrix (outputs, inputs), or the vector, of one leaf: the whole tensor or, of a fused one, this leaf's part."""
        return KINDS[self.kind].save(leaf)

    def tensor_shape(self, shape: Shape) -> Shape:
        """Returns the shape of their tensor around a leaf of `shape`."""
        return STORAGES[self.storage].tensor(KINDS[self.kind].matrix(shape))


def join(layouts: Sequence[Layout], leaves: Sequence[np.ndarray]) -> np.ndarray:
    """Returns their tensor from all the leaves that it holds; the inverse of `Layout.load` over the parts. Any order will do."""
    pairs = sorted(zip(layouts, leaves, strict=True), key=lambda pair: pair[0].part)
    return STORAGES[layouts[0].storage].save([layout.save(leaf) for layout, leaf in pairs], layouts[0].heads)
