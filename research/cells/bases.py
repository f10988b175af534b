"""What cells start from, by place: small bases are stacked and held together, of large ones a single one at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from research.models.model import Variables
from research.training import memory


def at_once(params: Any, count: int) -> int:
    """Returns how many of `count` bases with these parameters (arrays or shapes) a population holds."""
    return count if memory.nbytes(params) <= memory.LARGE else 1


def stacked_shapes(params: Any, count: int) -> Any:
    """Returns the shapes of `count` bases of these parameters (arrays or shapes), stacked along a leading axis."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), params)


class Bases:
    """The weights that cells start from, on the host. A place is the position of a base among all of them.

    `make` returns the parameters of a place. Where all are held together they are made here, else one when it is asked for, and the one
    before is dropped.
    """

    def __init__(self, make: Callable[[int], Variables], count: int, together: bool) -> None:
        self._make, self.together = make, together
        self.at_once = count if together else 1
        self._held: int | None = None
        self._stack: Any = stacked([make(place) for place in range(count)]) if together else None

    @classmethod
    def stacked(cls, stack: Any) -> "Bases":
        """Returns bases that are stacked already, along the leading axis."""
        return cls(lambda place: jax.tree.map(lambda x: x[place], stack), len(jax.tree.leaves(stack)[0]), together=True)

    def index(self, place: int) -> int:
        """Returns the position of a base in the stack that a population of its cells holds."""
        return place if self.together else 0

    def together_at(self, place: int | None) -> int:
        """Returns the position of a base that another one of the same stack is compared with. ValueError where one alone is held."""
        if place is None or not self.together:
            raise ValueError("bases that are compared must be held together")
        return place

    def stack(self, place: int) -> Any:
        """Returns the stack that holds this base, (at_once, ...)."""
        if not self.together and place != self._held:
            self._stack = self._held = None  # dropped before the next one is made
            self._stack, self._held = jax.tree.map(lambda x: np.asarray(x)[None], self._make(place)), place
        return self._stack

    def params(self, place: int) -> Variables:
        """Returns the parameters of a base."""
        params: Variables = jax.tree.map(lambda x: x[self.index(place)], self.stack(place))
        return params


def stacked(trees: Sequence[Any]) -> Any:
    """Returns trees of one shape as one with a leading axis, on the host."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
