"""Which cells train together, written down before they do, so that a resumed run is the same program."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from research.records import Journal, Row
from research.sweeps import canonical, fingerprint


class Population(NamedTuple):
    """Cells that train as members of one program; `id` and the order of `cells` never change once written."""

    id: str
    shape_key: Any
    cells: tuple[str, ...]


class Assignments:
    """The append-only plan of a workdir, one population a line."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        self._journal = Journal(path, writes)

    def assign(
        self, cells: Sequence[tuple[str, Any]], size_of: Callable[[Any], int], finished: Collection[str] | None = None
    ) -> list[Population]:
        """Returns the populations that hold `cells`, pairs of a cell's fingerprint and its shape key (hashable, JSON-able).

        A cell that has a population keeps it, whole and in its order; the others are cut, shape by shape in the order given, into new
        ones of at most `size_of(shape_key)` cells, which are on disk before this returns. Where the cells that are `finished` are given, a
        population of others that is larger than this (members were lowered, devices are fewer) is cut anew. ValueError for a cell given
        twice or a size below 1.
        """
        shapes = dict(cells)
        if len(shapes) < len(cells):
            raise ValueError("a cell is given twice")
        fitting = [row for row in self._standing(shapes) if finished is None or self._fits(row, shapes, size_of, finished)]
        placed = {cell for row in fitting for cell in row["cells"]}
        by_shape: dict[Any, list[str]] = {}
        for cell, shape in cells:
            # A shape keeps its turn though its cells are placed, so that a plan torn while written is completed in the same order.
            new = by_shape.setdefault(shape, [])
            if cell not in placed:
                new.append(cell)
        self._journal.append([row for shape, new in by_shape.items() if new for row in _cut(shape, new, size_of(shape))])
        return [Population(row["id"], shapes[_first(row["cells"], shapes)], tuple(row["cells"])) for row in self._standing(shapes)]

    def _standing(self, shapes: Mapping[str, Any]) -> list[Row]:
        """The populations that hold some of these cells; one of whose cells a later one took is void."""
        last = {cell: row["id"] for row in self._journal.rows for cell in row["cells"]}
        rows = [row for row in self._journal.rows if shapes.keys() & set(row["cells"])]
        return [row for row in rows if all(last[cell] == row["id"] for cell in row["cells"])]

    def _fits(self, row: Row, shapes: Mapping[str, Any], size_of: Callable[[Any], int], finished: Collection[str]) -> bool:
        return all(cell in finished for cell in row["cells"]) or len(row["cells"]) <= size_of(shapes[_first(row["cells"], shapes)])


def _first(members: Sequence[str], shapes: Mapping[str, Any]) -> str:
    return next(cell for cell in members if cell in shapes)


def _cut(shape: Any, cells: list[str], size: int) -> list[dict[str, Any]]:
    if size < 1:
        raise ValueError(f"a population needs at least one cell, not {size}")
    groups = [cells[start : start + size] for start in range(0, len(cells), size)]
    return [{"id": fingerprint([shape, group]), "shape": canonical(shape), "cells": group} for group in groups]
