"""A model: a pair of pure functions over linen collections."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from jax import Array

from research import tree

Variables = dict[str, Any]
Batch = Mapping[str, Array]


class Output(NamedTuple):
    """What a model returns: logits (batch, time, vocabulary) and the captured activations by module path.

    An activation has the shape that its module returns: blocks (batch, time, d_model), linear maps (batch x time, features).
    """

    logits: Array
    captured: dict[str, Array]


class Hidden(NamedTuple):
    """What a model returns before its head: the stream (batch, time, d_model), and the captured activations by module path."""

    stream: Array
    captured: dict[str, Array]


class Model(NamedTuple):
    """A pair of pure functions, the second one in two parts as well where it can be, and the parameters that are used twice.

    init:  (key, batch) -> variables, collections of linen: 'params' the base, 'adapter' what is added, 'constants' what an adapter freezes.
    apply: (variables, batch, *, key=None, capture=()) -> Output; a key turns dropout on; `capture` holds patterns of module paths.
    tied:  patterns of parameters that serve two sites (a tied head), which an adapter of one site must not touch.
    hidden: as `apply`, up to the head -> Hidden. head: (variables, stream, *, key=None) -> logits. None for a model without such parts.
    settle: variables -> those that all parts use, computed once (a subspace's displaced ones); settling twice is settling once.
    """

    init: Callable[[Array, Batch], Variables]
    apply: Callable[..., Output]
    tied: tuple[str, ...] = ()
    hidden: Callable[..., Hidden] | None = None
    head: Callable[..., Array] | None = None
    settle: Callable[[Variables], Variables] = lambda variables: variables


def from_linen(module: nn.Module, tied: tuple[str, ...] = ()) -> Model:
    """Returns the pure functions of a linen module whose call is (batch, deterministic) -> logits.

    Where it has methods `hidden`, of the same arguments, and `head`, stream -> logits, these become the parts of its call.
    """

    def init(key: Array, batch: Batch) -> Variables:
        return dict(module.init(key, batch, deterministic=True))

    def run(method: str, variables: Variables, batch: Batch, key: Array | None, capture: Sequence[str]) -> tuple[Array, dict[str, Array]]:
        def wanted(submodule: nn.Module, method: str) -> bool:
            return method == "__call__" and any(re.search(pattern, "/".join(submodule.path)) for pattern in capture)

        rngs = {} if key is None else {"dropout": key}
        value, state = module.apply(
            variables, batch, deterministic=key is None, rngs=rngs, capture_intermediates=wanted, mutable=["intermediates"], method=method
        )
        return value, {path.removesuffix("/__call__"): calls[0] for path, calls in tree.flatten(state.get("intermediates", {})).items()}

    def apply(variables: Variables, batch: Batch, *, key: Array | None = None, capture: Sequence[str] = ()) -> Output:
        return Output(*run("__call__", variables, batch, key, capture))

    def hidden(variables: Variables, batch: Batch, *, key: Array | None = None, capture: Sequence[str] = ()) -> Hidden:
        return Hidden(*run("hidden", variables, batch, key, capture))

    def head(variables: Variables, stream: Array, *, key: Array | None = None) -> Array:
        logits: Any = module.apply(variables, stream, rngs={} if key is None else {"dropout": key}, method="head")
        return logits

    return Model(init, apply, tied, hidden, head) if hasattr(module, "hidden") else Model(init, apply, tied)


def count(variables: Mapping[str, Any]) -> int:
    """Returns the number of scalars in a tree of arrays (or of shapes)."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables))
