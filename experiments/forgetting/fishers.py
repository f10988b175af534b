"""Fisher diagonals of the bases, of each kind of labels that a method asks for: behind the bases, in the same stack.

They are kept in the cache folder, as pretrained bases are. What names one is what it is of: the very weights, not who made them, the
windows, the labels and the model. So one of other weights is never taken.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from research import tree
from research.analysis.fisher import LABELS, fisher_diagonal
from research.cells.bases import Bases
from research.cells.study import Study, model_of
from research.runtime.artifacts import digest
from research.runtime.devices import cache_folder
from research.runtime.turns import turn
from research.sweeps import fingerprint
from research.training import checkpoints
from research.training.mesh import P, jit_step, own_device

STAGE = 1  # raise by hand when the meaning of a diagonal changes
KEY = 14
Places = Mapping[tuple[str, int], int]  # of a diagonal in the stack, by its labels and the place of its base
Diagonals = Callable[[str, Any, np.ndarray], Any]  # (labels, parameters, windows (n, time + 1)) -> a tree like the parameters, on the host


def places(labels: Sequence[str], bases: int) -> Places:
    """Returns where the diagonals of so many bases stand: behind them, one kind of labels after the other."""
    return {(kind, base): bases * (1 + number) + base for number, kind in enumerate(labels) for base in range(bases)}


def with_fishers(own: Bases, study: Study, at: Places, rows: np.ndarray) -> Bases:
    """Returns the bases with the diagonals of `places` behind them, kept, from windows of the source (n, time + 1)."""
    of = kept(study, diagonals(study))
    starts = [own.params(base) for base in range(own.at_once)]
    trees = [*starts, *(of(kind, starts[base], rows) for kind, base in at)]
    return Bases(trees.__getitem__, len(trees), together=True)


def diagonals(study: Study) -> Diagonals:
    """Returns what makes the Fisher diagonal of parameters from all of the windows that it is given."""
    model, key = model_of(study), jax.random.key(KEY)

    def diagonal(params: Any, rows: Array, labels: str) -> Any:
        return fisher_diagonal(model, params, rows, study.to_batch, key, labels)

    compiled = {kind: jit_step(partial(diagonal, labels=kind), (P(), P()), P(), own_device(), donate=()) for kind in LABELS}

    def of(kind: str, params: Any, rows: np.ndarray) -> Any:
        return jax.device_get(compiled[kind](params, rows))

    return of


def kept(study: Study, of: Diagonals) -> Diagonals:
    """Returns `of`, what it makes being kept: taken from the cache where it stands there whole, else made, and made again if damaged."""
    model = {"model": dataclasses.asdict(study.model), "elsewhere": list(study.named_by)}

    def found(kind: str, params: Any, rows: np.ndarray) -> Any:
        own = {"labels": kind, "weights": digest(tree.flatten(params)), "windows": digest({"rows": rows})}
        folder = cache_folder(os.environ) / "fishers" / fingerprint({"stage": STAGE, "key": KEY, **model, **own})
        like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, np.promote_types(leaf.dtype, np.float32)), params)
        if (known := checkpoints.restore(folder, like)) is not None:
            return known[1]
        with turn(folder, "the Fisher diagonal"):
            if (known := checkpoints.restore(folder, like)) is not None:
                return known[1]
            checkpoints.save(folder, len(rows), made := of(kind, params, rows))
        return made

    return found


def spaced(rows: np.ndarray, count: int) -> np.ndarray:
    """Returns so many of the rows, from the first to the last at equal distances, or all where there are fewer."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), count)).round().astype(int)]
