"""Where training starts: words such as `pretrained`, and the parameters they stand for, stacked."""

import itertools
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from research import tree
from research.errors import UsageError
from research.models.model import Variables

KINDS = ("pretrained", "shuffled", "random")


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
    """Returns the parameters with the entries of each tensor permuted, layer by layer: the same marginals, no structure."""

    def permuted(path: str, leaf: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(path.encode()))
        layers = leaf.shape[0] if path.startswith("layers/") else 1  # stacked by nn.scan
        rows = leaf.reshape(layers, -1)
        return jax.vmap(jax.random.permutation)(jax.random.split(key, layers), rows).reshape(leaf.shape)

    return tree.unflatten({path: permuted(path, leaf) for path, leaf in tree.flatten(params).items()})


def stack(
    words: Sequence[str], seeds: Sequence[int], pretrained: Callable[[Initialization, int], Variables], random: Callable[[int], Variables]
) -> tuple[Any, dict[tuple[str, int], int]]:
    """Returns all bases stacked along a leading axis, and the index of each (word, seed).

    `pretrained(init, seed)` and `random(seed)` make parameters; equal pretrained bases are stacked once.
    """
    made: list[Variables] = []
    index: dict[tuple[str, int], int] = {}
    for word, seed in itertools.product(words, seeds):
        init = parse(word)
        params = random(seed) if init.kind == "random" else pretrained(init, seed)
        params = shuffled(params, seed) if init.kind == "shuffled" else params
        known = next((place for place, other in enumerate(made) if other is params), len(made))
        index[word, seed] = known
        if known == len(made):
            made.append(params)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *made), index
