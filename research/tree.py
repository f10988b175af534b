"""Trees by path: everything that is named in Lowlands (targets, what moves, shardings) is a regular expression over these paths."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from flax import traverse_util

from research.errors import UsageError

T = TypeVar("T")
Tree = dict[str, Any]
STACKED = "/layers/"  # in the path of leaves that hold a layer each along their first axis, as nn.scan stacks them
_OF_LAYERS = re.compile(r"(?P<pattern>.*)@(?P<layers>\d+(-\d+)?(\+\d+(-\d+)?)*)", re.DOTALL)


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the leaves of nested dicts by '/'-joined path, in sorted order of paths."""
    return dict(sorted(traverse_util.flatten_dict(dict(tree), sep="/").items()))


def unflatten(leaves: Mapping[str, Any]) -> Tree:
    """Returns nested dicts from leaves by '/'-joined path; the inverse of `flatten`."""
    return traverse_util.unflatten_dict(dict(leaves), sep="/")


def matching(pattern: str, paths: Iterable[str], what: str = "pattern") -> list[str]:
    """Returns the paths in which the regular expression `pattern` is found; anchor it with ^ and $ to be exact.

    Raises UsageError, naming the paths there are, when none matches or the expression does not parse.
    """
    paths = list(paths)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{what} {pattern!r} is not a regular expression ({error})") from None
    found = [path for path in paths if expression.search(path)]
    if not found:
        raise UsageError(f"{what} {pattern!r} matches nothing; the paths are: {', '.join(paths) or 'none'}")
    return found


def of_layers(pattern: str) -> tuple[str, list[int] | None]:
    """Returns the expression of a pattern and the layers that it names behind an @, None for all: 'mlp/@0+5-7' is of layers 0, 5, 6 and 7.

    A pattern of paths may choose so among layers that are stacked in one leaf; those of other models have paths of their own.
    """
    found = _OF_LAYERS.fullmatch(pattern)
    if not found:
        return pattern, None
    layers: set[int] = set()
    for part in found["layers"].split("+"):
        first, last = int(part.split("-")[0]), int(part.split("-")[-1])
        if first > last:
            raise UsageError(f"pattern {pattern!r} asks for layers {first} to {last}, of which there are none")
        layers.update(range(first, last + 1))
    return found["pattern"], sorted(layers)


def layers_chosen(patterns: Sequence[str], leaves: Mapping[str, Any]) -> dict[str, list[bool]]:
    """Returns which layers `patterns` choose in each stacked leaf of which they do not choose all, by path.

    Raises UsageError for layers that a leaf does not have, and for layers of a leaf that holds one alone.
    """
    chosen: dict[str, set[int]] = {}
    whole: set[str] = set()
    for expression, layers in map(of_layers, patterns):
        for path in (path for path in leaves if re.search(expression, path)):
            if layers is None:
                whole.add(path)
            elif STACKED not in f"/{path}" or max(layers) >= leaves[path].shape[0]:
                words = f"has layers 0 to {leaves[path].shape[0] - 1}" if STACKED in f"/{path}" else "is not stacked: name it by its path"
                raise UsageError(f"{expression!r} is asked for in layers {', '.join(map(str, layers))}, but {path} {words}")
            else:
                chosen.setdefault(path, set()).update(layers)
    return {path: [layer in mine for layer in range(leaves[path].shape[0])] for path, mine in chosen.items() if path not in whole}


def first_match(rules: Sequence[tuple[str, T]], path: str, what: str = "rule") -> T:
    """Returns the value of the first (pattern, value) rule whose pattern is found in `path`; raises UsageError when none is."""
    for pattern, value in rules:
        if re.search(pattern, path):
            return value
    raise UsageError(f"no {what} matches {path}; the patterns are: {', '.join(pattern for pattern, _ in rules)}")


def partition(variables: Mapping[str, Any], patterns: Sequence[str]) -> tuple[Tree, Tree]:
    """Returns (what moves, what stays): the leaves whose path matches one of the patterns, and all others.

    Paths begin with the collection: 'params/layers_0/mlp/up/kernel', 'adapter/layers_0/mlp/up/A'. Each pattern must match something,
    and at least one pattern is needed: nothing that moves is an error, never "everything". A stacked leaf of which a pattern chooses
    layers is among what moves; the optimizer leaves its other layers alone.
    """
    leaves = flatten(variables)
    if not patterns:
        raise UsageError("no pattern says what may move; 'params/' moves everything of the base, 'adapter/' the adapters")
    moving = {path for pattern in patterns for path in matching(of_layers(pattern)[0], leaves, "trainable pattern")}
    layers_chosen(patterns, leaves)
    moves = {path: leaf for path, leaf in leaves.items() if path in moving}
    stays = {path: leaf for path, leaf in leaves.items() if path not in moving}
    return unflatten(moves), unflatten(stays)


def combine(moves: Mapping[str, Any], stays: Mapping[str, Any]) -> Tree:
    """Returns the variables that `partition` took apart."""
    return unflatten({**flatten(stays), **flatten(moves)})
