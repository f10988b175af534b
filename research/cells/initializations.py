"""Where training starts: words such as `pretrained`, and the parameters they stand for, stacked."""

import itertools
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from research import tree
from research.analysis.spectra import as_matrix
from research.errors import UsageError
from research.models.model import Variables

KINDS = ("pretrained", "shuffled", "rotated", "random")


class Initialization(NamedTuple):
    """A word taken apart: kind, text to pretrain on ("" the config's source), share of the pretraining steps."""

    kind: str
    source: str
    fraction: float


def parse(word: str) -> Initialization:
    """Returns the meaning of `kind[:source][@percent%]`, such as `pretrained`, `pretrained:stdlib:docs`, `shuffled@10%`.

    Raises UsageError for anything else.
    """
    match = re.fullmatch(r"(\w+)(?::(.+?))?(?:@(\d+(?:\.\d+)?)%)?", word)
    if match is None or match[1] not in KINDS:
        raise UsageError(f"inits has {word!r}: write {', '.join(KINDS)}, with :SOURCE or @PERCENT% behind it where wanted")
    fraction = float(match[3] or 100) / 100
    if not 0 < fraction <= 1 or (match[1] == "random" and (match[2] or match[3])):
        raise UsageError(f"inits has {word!r}: a percentage lies in (0, 100], and random weights have neither source nor percentage")
    return Initialization(match[1], match[2] or "", fraction)


def shuffled(params: Variables, seed: int) -> Variables:
    """Returns the parameters with the entries of each tensor permuted, layer by layer: the same marginals, no structure.

    On the host, a thread for each tensor: NumPy sorts without Python's lock.
    """

    def permuted(path: str, leaf: Any) -> np.ndarray:
        layers = leaf.shape[0] if path.startswith("layers/") else 1  # stacked by nn.scan
        rows = np.asarray(leaf).reshape(layers, -1)
        words = np.random.Philox(key=np.array([seed, zlib.crc32(path.encode())], np.uint64)).random_raw(rows.size)
        order = np.argsort(words.reshape(rows.shape), axis=1, kind="stable")
        return np.take_along_axis(rows, order, axis=1).reshape(leaf.shape)

    leaves = tree.flatten(params)
    with ThreadPoolExecutor() as pool:
        return tree.unflatten(dict(zip(leaves, pool.map(permuted, leaves, leaves.values()), strict=True)))


def rotated(params: Variables, seed: int) -> Variables:
    """Returns the parameters with each matrix W, layer by layer, as Q1 W Q2 with Haar rotations: its singular values stay, all else goes.

    Drawn as U S V^T with new orthonormal U and V, which has the same law and needs no square matrix of the vocabulary's size. Vectors (the
    scales of norms, biases) are kept. On the host, a thread for each matrix.
    """

    def turned(path: str, leaf: Any) -> np.ndarray:
        if not path.endswith(("/kernel", "/embedding")):
            return np.asarray(leaf)
        layers = np.asarray(leaf) if path.startswith("layers/") else np.asarray(leaf)[None]
        words = np.random.Philox(key=np.array([seed, zlib.crc32(path.encode())], np.uint64))
        made = [_with_singular_values(as_matrix(path, layer), words).reshape(layer.shape) for layer in layers]
        return np.stack(made).astype(leaf.dtype).reshape(leaf.shape)

    leaves = tree.flatten(params)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor() as pool:
        return tree.unflatten(dict(zip(leaves, pool.map(turned, leaves, leaves.values()), strict=True)))


def _with_singular_values(matrix: np.ndarray, words: np.random.Philox) -> np.ndarray:
    values = np.linalg.svd(matrix, compute_uv=False)
    left, right = (_haar(side, len(values), words) for side in matrix.shape)
    return (left * values) @ right.T


def _haar(size: int, columns: int, words: np.random.Philox) -> np.ndarray:
    """Orthonormal columns of the uniform law: QR of a Gaussian matrix with the signs of R's diagonal (Mezzadri 2007, section 5).

    Drawn by inversion from raw words, which NumPy keeps from version to version.
    """
    uniform = ((words.random_raw(size * columns) >> np.uint64(11)) + 0.5) * 2.0**-53
    q, r = np.linalg.qr(ndtri(uniform).reshape(size, columns))
    return q * np.sign(np.diag(r))


def base_of(word: str, seed: int, bases: int) -> int:
    """Returns which base a seed starts from: of `bases` pretrained ones in turn, or the seed's own where weights are random."""
    return seed if parse(word).kind == "random" else seed % bases


def places(words: Sequence[str], seeds: Sequence[int], bases: int) -> dict[tuple[str, int], int]:
    """Returns the place of each (word, seed) in a stack of bases; of `bases` pretrained ones, each serves every seed that draws it."""
    known: dict[Any, int] = {}
    index = {}
    for word, seed in itertools.product(words, seeds):
        init = parse(word)
        drawn = seed % bases if init.kind == "pretrained" else seed
        index[word, seed] = known.setdefault((init, drawn), len(known))
    return index


def stack(
    index: Mapping[tuple[str, int], int], pretrained: Callable[[Initialization, int], Variables], random: Callable[[int], Variables]
) -> Any:
    """Returns the bases of `places` stacked along a leading axis, on the host.

    `pretrained(init, seed)` and `random(seed)` make parameters.
    """
    made: dict[int, Variables] = {}
    for (word, seed), place in index.items():
        if place not in made:
            init = parse(word)
            params = random(seed) if init.kind == "random" else pretrained(init, seed)
            made[place] = {"shuffled": shuffled, "rotated": rotated}.get(init.kind, _kept)(params, seed)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(made[place] for place in sorted(made)))


def _kept(params: Variables, seed: int) -> Variables:
    return params
