"""How the cells of a sweep are laid out on the devices: members of one program, side by side or in turn."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from research.adapters.subspace import Subspace
from research.training.memory import Footprint, budget, footprint, members_side_by_side, width
from research.training.population import Members, Task, init_member

SUBSPACE_COPIES = 3  # of a base in a step: the update, what it displaces, and the gradient
Coordinates = Mapping[str, Any]


class Layout(NamedTuple):
    """Cells of each phase, tasks, members of one program, and footprints, by shape; a stack of bases as shapes.

    at_once: members in a step at the same time, before vmap. copies: of the bases, one for each member or part of a batch that has devices
    of its own. devices: that work.
    """

    counts: Mapping[str, Sequence[int]]
    tasks: dict[str, Task]
    widths: dict[str, int]
    footprints: dict[str, Footprint]
    bases: Any
    at_once: int
    copies: int
    devices: int

    @property
    def cells(self) -> int:
        """Returns how many cells there are."""
        return sum(map(sum, self.counts.values()))

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row a shape, for --dry_run and the timings; bytes are the estimate by which members were counted."""
        return [
            {
                "shape": shape,
                "cells": sum(numbers),
                "populations": sum(-(-n // self.widths[shape]) for n in numbers),
                "members": self.widths[shape],
                "side by side": self.tasks[shape].vmap,
                "bytes": self.bytes_of(shape),
            }
            for shape, numbers in self.counts.items()
        ]

    @property
    def memory_bytes(self) -> int:
        """Returns the bytes of the largest population."""
        return max(map(self.bytes_of, self.footprints))

    def bytes_of(self, shape: str) -> int:
        """Returns the bytes of a population of this shape, on all devices."""
        return self.footprints[shape].total(self.widths[shape], self.at_once * self.tasks[shape].vmap, self.copies)


def lay_out(mesh: Mesh, tasks: Mapping[str, Task], counts: Mapping[str, Sequence[int]], bases: Any, activations: int, most: int) -> Layout:
    """Returns the layout, a function of the config and the kind of device alone.

    counts: as `tally` makes them. bases: shapes, as many stacked as a population holds. activations: bytes of a member in a step. most:
    members of one program at most, 0 for as many as fit.
    """
    device, laid = jax.local_devices()[0], dict(tasks)
    apart = max(1, len(mesh.local_devices) // mesh.shape["data"])  # devices along data hold the same members
    widths, sizes = {}, {}
    for shape, numbers in counts.items():
        state = jax.eval_shape(lambda b, t=tasks[shape]: init_member(t, Members(0, 1, 0.0, 0), b), bases)
        size = sizes[shape] = footprint(activations, bases, state, SUBSPACE_COPIES if isinstance(tasks[shape].adapter, Subspace) else 2)
        room = max(1, (budget(device, apart) - size.shared) // (size.member + size.in_step))
        widths[shape] = width(list(numbers), min(room, most or room), mesh.shape["member"])
        side = members_side_by_side(size, device, widths[shape] // mesh.shape["member"])
        laid[shape] = dataclasses.replace(tasks[shape], vmap=side)
    return Layout(dict(counts), laid, widths, sizes, bases, mesh.shape["member"], mesh.shape["member"] * mesh.shape["data"], mesh.size)


def tally(
    shape_of: Callable[[Coordinates], str], *phases: Iterable[Coordinates], group_of: Callable[[Coordinates], Any] = lambda c: None
) -> dict[str, list[int]]:
    """Returns how many cells of each shape each phase has, by group where these train apart: populations are cut from them."""
    tallies = [Counter((shape_of(c), group_of(c)) for c in phase) for phase in phases]
    shapes = dict.fromkeys(shape for each in tallies for shape, _ in each)
    return {shape: [count for each in tallies for (own, _), count in each.items() if own == shape] for shape in shapes}
