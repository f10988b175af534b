"""The spectrum of what full training changed, beside noise of the same norm."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from research import tree
from research.analysis.spectra import INPUT_AXES, energy_rank, mean_spectrum, noise_like
from research.analysis.truncation import matrices
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
        deltas = _changed(tree.flatten({"params": start_of(base)}), weights)
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


def energy_ranks(start: Mapping[str, np.ndarray], tuned: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Returns how many directions hold 90 % of the energy of what changed in each of the blocks' matrices, by name, if it moved at all.

    start, tuned: finite parameters by path, scanned layers stacked. Squares of singular values are eigenvalues of the smaller Gram matrix,
    which are had in a fraction of the time.
    """

    def rank(matrix: np.ndarray) -> int:
        small = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        return energy_rank(np.sqrt(np.linalg.eigvalsh(small @ small.T).clip(0)))

    moved = [(name, matrix) for name, matrix in matrices(_changed(start, tuned)) if matrix.any()]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor() as pool:
        return dict(zip([name for name, _ in moved], pool.map(rank, [matrix for _, matrix in moved]), strict=True))


def noise_ranks(start: Mapping[str, np.ndarray], seed: int) -> dict[str, int]:
    """Returns `energy_ranks` of Gaussian noise in place of an update, whose norm does not matter; a pure function of (shapes, seed)."""
    noise = noise_like({path: np.ones(np.shape(start[path])) for path in tree.matching(MATRICES, start)}, seed)
    return energy_ranks({path: np.zeros_like(own) for path, own in noise.items()}, noise)


def _changed(start: Mapping[str, np.ndarray], tuned: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {path: np.asarray(tuned[path], np.float32) - np.asarray(start[path], np.float32) for path in tree.matching(MATRICES, start)}


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
