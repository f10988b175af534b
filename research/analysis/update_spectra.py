"""The spectrum of what full training changed, beside noise of the same norm."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from research import tree
from research.analysis.spectra import INPUT_AXES, mean_spectrum, noise_like

MATRICES = r"(attention|mlp)/.*kernel$"
MOST = 128


def spectrum_records(
    experiment: str, cells: Iterable[tuple[Mapping[str, Any], int, Mapping[str, np.ndarray]]], bases: Any, scanned: bool
) -> list[dict[str, Any]]:
    """Returns singular values of the block matrices' updates over the update's Frobenius norm, and those of norm-matched noise.

    cells: (coordinates, index of the base, final weights by path), of the same shapes. A diverged cell, and one that did not move, has
    no spectrum. Over its norm, the spectrum of noise depends on the seed alone.
    """
    rows, noise = [], {}
    for coordinates, base, weights in cells:
        start = tree.flatten({"params": jax.tree.map(lambda x, i=base: np.asarray(x[i], np.float32), bases)})
        deltas = {path: weights[path] - start[path] for path in tree.matching(MATRICES, start)}
        deltas = _unstacked(deltas) if scanned else deltas
        if not all(np.isfinite(d).all() and d.any() for d in deltas.values()):
            continue
        if (seed := coordinates["seed"]) not in noise:
            noise[seed] = mean_spectrum(noise_like(deltas, seed), INPUT_AXES)
        for null, spectrum in (("none", mean_spectrum(deltas, INPUT_AXES)), ("noise", noise[seed])):
            for position, value in enumerate(spectrum[:MOST], start=1):
                rows.append(
                    {**_row(experiment, coordinates), "index": position, "null": null, "value": round(float(value), 9), "unit": "1"}
                )
    return rows


def _row(experiment: str, coordinates: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: coordinates[name] for name in ("init", "arm", "trains", "rank", "learning_rate", "seed")}
    return {"experiment": experiment, "cell": "", "phase": "spectrum", **kept, "step": None, "metric": "singular_value"}


def _unstacked(deltas: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {path.replace("layers/", f"layers_{i}/"): layer for path, delta in deltas.items() for i, layer in enumerate(delta)}
