"""A cell, and what all cells of a run share."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from research.cells.bases import Bases
from research.cells.measures import Measure
from research.data.vocabulary import Vocabulary


class Cell(NamedTuple):
    """One run of a sweep: its fingerprint, what stands in its records, and what makes it a member.

    strength, importance, alpha: as in `Members`, places. replayed: share of its examples that come from the windows to replay.
    span, again: [first, last) of the windows that it draws from, and of those that it replays; None for all of the setting's.
    after: the artifact whose weights it goes on from, its optimizer anew; None where it begins with its base.
    """

    fingerprint: str
    coordinates: Mapping[str, Any]
    shape: str
    base: int
    rank: int
    learning_rate: float
    seed: int
    reference: int | None = None
    strength: float | None = None
    importance: int | None = None
    alpha: float | None = None
    replayed: float = 0.0
    span: tuple[int, int] | None = None
    again: tuple[int, int] | None = None
    after: str | None = None


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all cells of a run share: data, mesh, budgets (steps at which losses are measured, the last ends training), measures by phase.

    widths: members of one program, by shape. keep: whether the weights of a cell with these coordinates become an artifact at a step,
    one of `kept_at`, which the end is among. unit: of the training loss. vocabulary: of windows of text. replay: how many of the windows,
    the last ones, are there to be replayed.
    """

    experiment: str
    mesh: Mesh
    bases: Bases
    windows: np.ndarray
    batch_size: int
    budgets: tuple[int, ...]
    chunk: int
    measures: Mapping[str, tuple[Measure, ...]]
    widths: Mapping[str, int]
    keep: Callable[[Mapping[str, Any], int], bool] = lambda coordinates, step: False
    kept_at: tuple[int, ...] = ()
    unit: str = "bits/byte"
    vocabulary: Vocabulary | None = None
    replay: int = 0


def kept_as(cell: Cell, step: int, last: int) -> str:
    """Returns the name of the artifact with a cell's weights at a step."""
    return cell.fingerprint if step == last else f"{cell.fingerprint}-{step}"
