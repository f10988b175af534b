"""Trees by path: everything that is named in Lowlands (targets, what moves, shardings) is a regular expression over these paths."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from flax import traverse_util

from research.errors import UsageError

T = TypeVar("T")
Tree = dict[str, Any]


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


def first_match(rules: Sequence[tuple[str, T]], path: str, what: str = "rule") -> T:
    """Returns the value of the first (pattern, value) rule whose pattern is found in `path`; raises UsageError when none is."""
    for pattern, value in rules:
        if re.search(pattern, path):
            return value
    raise UsageError(f"no {what} matches {path}; the patterns are: {', '.join(pattern for pattern, _ in rules)}")


def partition(variables: Mapping[str, Any], patterns: Sequence[str]) -> tuple[Tree, Tree]:
    """Returns (what moves, what stays): the leaves whose path matches one of the patterns, and all others.

    Paths begin with the collection: 'params/layers_0/mlp/up/kernel', 'adapter/layers_0/mlp/up/A'. Each pattern must match something,
    and at least one pattern is needed: nothing that moves is an error, never "everything".
    """
    leaves = flatten(variables)
    if not patterns:
        raise UsageError("no pattern says what may move; 'params/' moves everything of the base, 'adapter/' the adapters")
    moving = {path for pattern in patterns for path in matching(pattern, leaves, "trainable pattern")}
    moves = {path: leaf for path, leaf in leaves.items() if path in moving}
    stays = {path: leaf for path, leaf in leaves.items() if path not in moving}
    return unflatten(moves), unflatten(stays)


def combine(moves: Mapping[str, Any], stays: Mapping[str, Any]) -> Tree:
    """Returns the variables that `partition` took apart."""
    return unflatten({**flatten(stays), **flatten(moves)})
