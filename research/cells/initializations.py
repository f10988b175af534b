"""Where training starts: words such as `pretrained`, and the parameters they stand for, stacked."""

import itertools
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from research import tree
from research.analysis.spectra import as_matrix
from research.errors import UsageError
from research.models.model import Variables
from research.pretrained.peft import identity

KINDS = ("pretrained", "shuffled", "rotated", "gaussian", "random")
ADAPTED = "peft"


class Initialization(NamedTuple):
    """A word taken apart: kind, text to pretrain on ("" the config's source), share of the pretraining steps, revision on a hub.

    Of kind `peft`, `source` is the folder of an adapter.
    """

    kind: str
    source: str = ""
    fraction: float = 1.0
    revision: str = ""


def parse(word: str) -> Initialization:
    """Returns the meaning of `kind[:source][@percent%]`, such as `pretrained`, `pretrained:stdlib:docs`, `shuffled@10%`.

    Of weights that were pretrained elsewhere: `kind[@revision]`, `peft:FOLDER`. Raises UsageError for anything else.
    """
    if word.startswith(f"{ADAPTED}:") and word != f"{ADAPTED}:":
        return Initialization(ADAPTED, word.partition(":")[2])
    match = re.fullmatch(r"(\w+)(?::(.+?))?(?:@(?:(\d+(?:\.\d+)?)%|(?!\d+$)([\w./-]+)))?", word)
    if match is None or match[1] not in KINDS:
        known = f"{', '.join(KINDS)}, with :SOURCE or @PERCENT% behind it where wanted"
        raise UsageError(f"inits has {word!r}: write {known}, or peft:FOLDER where the base was pretrained elsewhere")
    fraction = float(match[3] or 100) / 100
    if not 0 < fraction <= 1 or (match[1] == "random" and any(match.groups()[1:])):
        raise UsageError(f"inits has {word!r}: a percentage lies in (0, 100], and random weights have neither source nor percentage")
    return Initialization(match[1], match[2] or "", fraction, match[4] or "")


def check(words: Sequence[str], base: str) -> None:
    """Raises UsageError for words that say nothing of `base`, as the config names it: pretrained here (`own`), or elsewhere."""
    for word in words:
        init = parse(word)
        if base == "own" and (init.revision or init.kind == ADAPTED):
            raise UsageError(f"inits has {word!r}: that is of a model from elsewhere; name one, such as base=hf:NAME")
        if base != "own" and init.kind == ADAPTED:
            identity(init.source)  # a folder that is none is an error now
        if base == "own" or init.kind == ADAPTED:
            continue
        if init.source or init.fraction < 1:
            raise UsageError(f"inits has {word!r}: {base} was pretrained elsewhere, on a text and for a time that are not ours to choose")
        if init.revision and (not base.startswith("hf:") or Path(base.removeprefix("hf:")).expanduser().exists()):
            raise UsageError(f"inits has {word!r}: revisions are kept on a hub, and base={base} is none; write base=hf:NAME")


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


def gaussian(params: Variables, seed: int) -> Variables:
    """Returns the parameters with each matrix, layer by layer, redrawn from the normal law of its entries' mean and deviation.

    Vectors (the scales of norms, biases) are kept, as by `rotated`. On the host, a thread for each matrix.
    """

    def redrawn(path: str, leaf: Any) -> np.ndarray:
        own = np.asarray(leaf)
        if not path.endswith(("/kernel", "/embedding")):
            return own
        layers = own if path.startswith("layers/") else own[None]
        words = np.random.Philox(key=np.array([seed, zlib.crc32(path.encode())], np.uint64))
        made = [each.mean(dtype=np.float64) + each.std(dtype=np.float64) * _normal(words, each.shape) for each in layers]
        return np.stack(made).astype(leaf.dtype).reshape(leaf.shape)

    leaves = tree.flatten(params)
    with ThreadPoolExecutor() as pool:
        return tree.unflatten(dict(zip(leaves, pool.map(redrawn, leaves, leaves.values()), strict=True)))


def _normal(words: np.random.Philox, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers, drawn by inversion from raw words, which NumPy keeps from version to version."""
    uniform = ((words.random_raw(math.prod(shape)) >> np.uint64(11)) + 0.5) * 2.0**-53
    normal: np.ndarray = ndtri(uniform).reshape(shape)
    return normal


def _with_singular_values(matrix: np.ndarray, words: np.random.Philox) -> np.ndarray:
    values = np.linalg.svd(matrix, compute_uv=False)
    left, right = (_haar(side, len(values), words) for side in matrix.shape)
    return (left * values) @ right.T


def _haar(size: int, columns: int, words: np.random.Philox) -> np.ndarray:
    """Orthonormal columns of the uniform law: QR of a Gaussian matrix with the signs of R's diagonal (Mezzadri 2007, section 5)."""
    q, r = np.linalg.qr(_normal(words, (size, columns)))
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
        drawn = seed % bases if init.kind in ("pretrained", ADAPTED) else seed
        index[word, seed] = known.setdefault((init, drawn), len(known))
    return index


def maker(
    index: Mapping[tuple[str, int], int], pretrained: Callable[[Initialization, int], Variables], random: Callable[[int], Variables]
) -> Callable[[int], Variables]:
    """Returns what makes the base at a place of `places`, on the host; `pretrained(init, seed)` and `random(seed)` make parameters."""
    first: dict[int, tuple[str, int]] = {}
    for key, place in index.items():
        first.setdefault(place, key)

    def make(place: int) -> Variables:
        word, seed = first[place]
        init = parse(word)
        if init.kind == "random":
            return random(seed)
        params = pretrained(init, seed)
        return NULLS[init.kind](params, seed) if init.kind in NULLS else params

    return make


NULLS = {"shuffled": shuffled, "rotated": rotated, "gaussian": gaussian}
