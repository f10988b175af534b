"""Fisher diagonals of the bases, of each kind of labels that a method asks for: behind the bases, in the same stack."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from research.analysis.fisher import LABELS, fisher_diagonal
from research.cells.bases import Bases
from research.cells.study import Study, model_of
from research.training.mesh import P, jit_step, own_device

KEY = 14
Places = Mapping[tuple[str, int], int]  # of a diagonal in the stack, by its labels and the place of its base
Diagonals = Callable[[str, Any, np.ndarray], Any]


def places(labels: Sequence[str], bases: int) -> Places:
    """Returns where the diagonals of so many bases stand: behind them, one kind of labels after the other."""
    return {(kind, base): bases * (1 + number) + base for number, kind in enumerate(labels) for base in range(bases)}


def with_fishers(own: Bases, at: Places, of: Diagonals, rows: np.ndarray) -> Bases:
    """Returns the bases with the diagonals of `places` behind them, from windows of the source (n, time + 1)."""
    starts = [own.params(base) for base in range(own.at_once)]
    trees = [*starts, *(of(kind, starts[base], rows) for kind, base in at)]
    return Bases(trees.__getitem__, len(trees), together=True)


def diagonals(study: Study, sequences: int) -> Diagonals:
    """Returns (labels, parameters, windows (n, time + 1)) -> the Fisher diagonal on the host, from so many of the windows."""
    model, key = model_of(study), jax.random.key(KEY)

    def diagonal(params: Any, chosen: Array, labels: str) -> Any:
        return fisher_diagonal(model, params, chosen, study.to_batch, key, labels)

    compiled = {kind: jit_step(partial(diagonal, labels=kind), (P(), P()), P(), own_device(), donate=()) for kind in LABELS}

    def of(kind: str, params: Any, rows: np.ndarray) -> Any:
        return jax.device_get(compiled[kind](params, spaced(rows, sequences)))

    return of


def spaced(rows: np.ndarray, count: int) -> np.ndarray:
    """Returns so many of the rows, from the first to the last at equal distances, or all where there are fewer."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), count)).round().astype(int)]
