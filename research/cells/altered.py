"""Weights that nobody trained as they are, made of trained ones, read as cells are: as many at a time as the programs hold bases."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from research.cells.runner import Runner


class Altered(NamedTuple):
    """Parameters of a base's shapes (any floating type), the place of that base, and what says which they are."""

    where: Any
    base: int
    params: Any


def read(runner: Runner, shape: str, phase: str, altered: Iterable[Altered]) -> Iterator[tuple[Altered, dict[str, np.ndarray]]]:
    """Yields each with what the measures of `phase` read of it, by name as in `Measure.read`; by members of `shape`, which adds nothing.

    Only so many are held at a time as are read together.
    """
    some: list[Altered] = []
    for one in altered:
        some.append(one)
        if len(some) == runner.setting.bases.at_once:
            yield from _together(runner, shape, phase, some)
            some = []
    if some:
        yield from _together(runner, shape, phase, some)


def _together(runner: Runner, shape: str, phase: str, some: list[Altered]) -> Iterator[tuple[Altered, dict[str, np.ndarray]]]:
    padded = [*some, *[some[-1]] * (runner.setting.bases.at_once - len(some))]  # the programs are compiled for stacks of that size
    like = runner.setting.bases.params(some[0].base)
    stack = jax.tree.map(lambda own, *leaves: np.stack(leaves).astype(own.dtype), like, *(one.params for one in padded))
    found = runner.untouched(shape, phase, range(len(some)), stack=stack)
    for place, one in enumerate(some):
        yield one, {name: values[place] for name, values in found.items()}
