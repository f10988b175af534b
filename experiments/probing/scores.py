"""Records as arrays: what probes of a task say at each depth, for every seed and group of documents."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from research.analysis.contrasts import LEAST_BYTES, contrast, units, without_each
from research.analysis.tables import rows
from research.findings import Estimate

METRICS = ("accuracy", "control_accuracy", "codelength", "cumulative_accuracy")


class Scores(NamedTuple):
    """What one initialization says of one task, by metric: (seeds, depths, groups), of which cumulative ones begin at depth 0 alike.

    sizes: (groups,) examples. bases: (seeds,). depths: (depths,).
    """

    values: dict[str, np.ndarray]
    sizes: np.ndarray
    bases: np.ndarray
    depths: np.ndarray

    def whole(self, metric: str) -> np.ndarray:
        """Returns a metric over all documents, (seeds, depths)."""
        mean: np.ndarray = self.values[metric] @ self.sizes / self.sizes.sum()
        return mean

    def without(self, metric: str) -> np.ndarray:
        """Returns a metric with one group of documents left out each, (seeds, depths, groups)."""
        return without_each(self.values[metric], self.sizes)


def scores(results: pd.DataFrame) -> dict[tuple[str, str], Scores]:
    """Returns what stands in the records, by (initialization, task), in the order of the records."""
    own = rows(results, phase="probe")
    found: dict[tuple[str, str], Scores] = {}
    if own.empty:
        return found
    for key, some in own.groupby(["init", "task"], sort=False):
        sizes = rows(some, metric="examples").groupby("group")["value"].first().to_numpy(float)
        bases = some.groupby("seed")["base"].first()
        values = {name: _array(rows(some, metric=name)) for name in METRICS if (some["metric"] == name).any()}
        depths = np.sort(some["depth"].dropna().unique())
        found[str(key[0]), str(key[1])] = Scores(values, sizes, bases.to_numpy(int), depths.astype(int))
    return found


def _array(some: pd.DataFrame) -> np.ndarray:
    table = some.pivot_table(index="seed", columns=["depth", "group"], values="value")
    return table.to_numpy(float).reshape(len(table), some["depth"].nunique(), -1)


def estimate(values: np.ndarray, replicates: np.ndarray, own: Scores, *, factor: bool = False) -> Estimate:
    """Returns the mean over bases of values (seeds,) with an interval over bases and documents; replicates (seeds, groups)."""
    relative = LEAST_BYTES * own.sizes / own.sizes.min()  # examples are no bytes, of which a contrast wants so many
    return contrast(values, own.bases, units(replicates, own.bases).mean(0), relative, factor=factor)


def layers(own: Scores) -> slice:
    """Returns the depths of layers, all but the embedding; of what has no layers, its only depth."""
    return slice(1, None) if len(own.depths) > 1 else slice(None)


def ordered(words: Sequence[str], first: Sequence[str]) -> list[str]:
    """Returns distinct words, those of `first` first."""
    return [word for word in first if word in words] + [word for word in dict.fromkeys(words) if word not in first]
