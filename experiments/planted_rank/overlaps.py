"""How much the subspaces of a learned update have in common with those that were planted."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from experiments.planted_rank.updates import Planted
from research.analysis.subspaces import leading, overlap, random_overlap

SIDES = ("inputs", "outputs")


def subspace_records(
    experiment: str, cells: Iterable[tuple[Mapping[str, Any], Mapping[str, np.ndarray], Mapping[str, Planted]]]
) -> Iterator[dict[str, Any]]:
    """Yields the overlap of leading subspaces of A B and of the planted update, averaged over the matrices, beside its null.

    cells: (coordinates, final A and B by path, planted updates by path). The update A B, not A alone, has subspaces: A is defined up to
    a change of basis. A diverged cell has none.
    """
    for coordinates, weights, planted in cells:
        if not all(np.isfinite(array).all() for array in weights.values()):
            continue
        kept = {name: value for name, value in coordinates.items() if name != "phase"}
        by_matrix = [_overlaps(weights, path, update) for path, update in planted.items()]
        for side, pairs in zip(SIDES, zip(*by_matrix, strict=True), strict=True):
            for null, values in zip(("none", "random"), zip(*pairs, strict=True), strict=True):
                row = {"experiment": experiment, "cell": "", "phase": "subspace", **kept, "step": None, "metric": "overlap"}
                yield {**row, "side": side, "null": null, "value": round(float(np.mean(values)), 7), "unit": "1"}


def _overlaps(weights: Mapping[str, np.ndarray], path: str, planted: Planted) -> list[tuple[float, float]]:
    """(overlap, that of a random subspace) on the side of the inputs and on that of the outputs."""
    module = path.removeprefix("params/").rpartition("/")[0]
    rank = planted.values.size
    found = leading(weights[f"adapter/{module}/A"].astype(np.float64) @ weights[f"adapter/{module}/B"].astype(np.float64), rank)
    pairs = zip(found, (planted.left, planted.right), strict=True)
    return [(overlap(mine, np.linalg.qr(theirs)[0]), random_overlap(len(theirs), rank, rank)) for mine, theirs in pairs]
