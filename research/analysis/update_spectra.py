"""The spectrum of what full training changed, beside noise of the same norm."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from research import tree
from research.analysis.spectra import INPUT_AXES, mean_spectrum, noise_like
from research.records import rounded

MATRICES = r"(attention|mlp)/.*kernel$"
MOST = 128
WHERE = ("target", "init", "arm", "trains", "rank", "learning_rate", "seed", "base", "step")
Start = Callable[[int], Any]
Cells = Iterable[tuple[Mapping[str, Any], int, Mapping[str, np.ndarray]]]


def spectrum_records(experiment: str, cells: Cells, start_of: Start, scanned: bool, last: int | None = None) -> list[dict[str, Any]]:
    """Returns singular values of the block matrices' updates over the update's Frobenius norm, and those of norm-matched noise.

    cells: (coordinates, place of the base, weights by path), of the same shapes; a cell may come once for each budget, its step among
    the coordinates. start_of: place -> the parameters of a base.
    The whole spectrum and the noise's are of step `last` (of all where that is None), the first singular value and `update_norm`, the
    Frobenius norm over all block matrices, of every step. A diverged cell, and one that did not move, has neither. Over its norm, the
    spectrum of noise depends on the seed alone.
    """
    rows: list[dict[str, Any]] = []
    noise: dict[int, np.ndarray] = {}
    for coordinates, base, weights in cells:
        start = tree.flatten({"params": jax.tree.map(lambda x: np.asarray(x, np.float32), start_of(base))})
        deltas = {path: weights[path] - start[path] for path in tree.matching(MATRICES, start)}
        deltas = _unstacked(deltas) if scanned else deltas
        if not all(np.isfinite(d).all() and d.any() for d in deltas.values()):
            continue
        row, whole = _row(experiment, coordinates), last is None or coordinates["step"] == last
        rows.append({**row, "metric": "update_norm", "value": rounded(_norm(deltas)), "unit": "1"})
        rows += _values(row, "none", mean_spectrum(deltas, INPUT_AXES)[: MOST if whole else 1])
        if not whole:
            continue
        if (seed := coordinates["seed"]) not in noise:
            noise[seed] = mean_spectrum(noise_like(deltas, seed), INPUT_AXES)[:MOST]
        rows += _values(row, "noise", noise[seed])
    return rows


def _values(row: Mapping[str, Any], null: str, spectrum: np.ndarray) -> Iterator[dict[str, Any]]:
    for index, value in enumerate(spectrum, start=1):
        yield {**row, "metric": "singular_value", "index": index, "null": null, "value": rounded(value), "unit": "1"}


def _row(experiment: str, coordinates: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: coordinates[name] for name in WHERE if name in coordinates}
    return {"experiment": experiment, "cell": "", "phase": "spectrum", "step": None, **kept}


def _norm(deltas: Mapping[str, np.ndarray]) -> float:
    return float(np.sqrt(sum(np.square(delta, dtype=np.float64).sum() for delta in deltas.values())))


def _unstacked(deltas: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {path.replace("layers/", f"layers_{i}/"): layer for path, delta in deltas.items() for i, layer in enumerate(delta)}
