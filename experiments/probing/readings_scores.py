"""Records as arrays: what probes of a task say at each depth, for every seed and group of documents."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from research.analysis.comparisons import two_sided
from research.analysis.contrasts import LEAST_BYTES, contrast, units, without_each
from research.analysis.tables import rows
from research.findings import Estimate

METRICS = ("accuracy", "control_accuracy", "codelength", "cumulative_accuracy")
WHATS = {"accuracy": "1", "codelength": "bits/label", "selectivity": "1"}  # what is compared, and its unit
LAYERS = "layers"  # in place of a depth: the mean over all but the embedding, for which nothing was chosen
LEADER = "pretrained"
CONSTANT, CHARACTERS, LONGER, BAG = "constant", "characters", "last8", "bag"
PLAIN = {  # what no network computes
    CONSTANT: "nothing at all",
    CHARACTERS: "the last two bytes and the position",
    LONGER: "the last eight bytes and the position",
    BAG: "how often each byte has occurred in the window",
}


class Scores(NamedTuple):
    """What one initialization says of one task, by metric: (seeds, depths, groups).

    sizes: (groups,) examples. seeds, bases: (seeds,). depths: (depths,). mixed: those of cumulative probes, empty where there are none.
    mix: (seeds, mixed), weights of the mix of all of these, where there is one.
    """

    values: dict[str, np.ndarray]
    sizes: np.ndarray
    seeds: np.ndarray
    bases: np.ndarray
    depths: np.ndarray
    mixed: np.ndarray
    mix: np.ndarray | None = None

    def only(self, seeds: np.ndarray) -> "Scores":
        """Returns what these seeds say."""
        kept = np.isin(self.seeds, seeds)
        values = {name: array[kept] for name, array in self.values.items()}
        return self._replace(values=values, seeds=self.seeds[kept], bases=self.bases[kept])

    def by_group(self, what: str) -> np.ndarray:
        """Returns one of WHATS, or of METRICS, (seeds, depths, groups)."""
        return self.values["accuracy"] - self.values["control_accuracy"] if what == "selectivity" else self.values[what]


class Reading(NamedTuple):
    """One number of each seed (seeds,), and the same with one group of documents left out each (seeds, groups)."""

    values: np.ndarray
    without: np.ndarray

    def less(self, other: "Reading") -> "Reading":
        """Returns the difference from another one, seed by seed."""
        return Reading(self.values - other.values, self.without - other.without)

    def estimate(self, own: Scores, *, factor: bool = False) -> Estimate:
        """Returns the mean over bases with an interval over bases and documents; with `factor`, logarithms become a factor."""
        relative = LEAST_BYTES * own.sizes / own.sizes.min()  # examples are no bytes, of which a contrast wants so many
        return contrast(self.values, own.bases, units(self.without, own.bases).mean(0), relative, factor=factor)

    def p_value(self, own: Scores) -> float | None:
        """Returns the two-sided p value of 0 that the interval of `estimate` says, None where it is not over bases and documents."""
        return two_sided(self.values, own.bases, units(self.without, own.bases).mean(0), own.sizes)


def reading(own: Scores, what: str, depth: int | str) -> Reading:
    """Returns one of WHATS at a depth, or its mean over LAYERS; of what has one depth alone, that one."""
    by_group = own.by_group(what)
    if len(own.depths) == 1:
        mean = by_group[:, 0]
    else:
        mean = by_group[:, 1:].mean(1) if depth == LAYERS else by_group[:, list(own.depths).index(depth)]
    return Reading(mean @ own.sizes / own.sizes.sum(), without_each(mean, own.sizes))


def depths_of(own: Scores) -> list[int | str]:
    """Returns the depths at which an initialization is read, LAYERS behind them where there are several."""
    return [*own.depths.tolist(), *([LAYERS] if len(own.depths) > 1 else [])]


def scores(results: pd.DataFrame) -> dict[tuple[str, str], Scores]:
    """Returns what stands in the records, by (initialization, task), in the order of the records."""
    own = rows(results, phase="probe")
    if own.empty:
        return {}
    return {(str(init), str(task)): _of(some) for (init, task), some in own.groupby(["init", "task"], sort=False)}


def _of(some: pd.DataFrame) -> Scores:
    """The scores of one initialization and task."""
    sizes = rows(some, metric="examples").groupby("group")["value"].first().to_numpy(float)
    bases = some.groupby("seed")["base"].first()
    values = {name: _array(rows(some, metric=name)) for name in METRICS if (some["metric"] == name).any()}
    depths, mixed = (np.sort(each["depth"].dropna().unique()).astype(int) for each in (some, rows(some, metric="cumulative_accuracy")))
    mix = rows(some, metric="mix")
    weights = None if mix.empty else mix.pivot_table(index="seed", columns="depth", values="value").to_numpy(float)
    return Scores(values, sizes, bases.index.to_numpy(int), bases.to_numpy(int), depths, mixed, weights)


def _array(some: pd.DataFrame) -> np.ndarray:
    table = some.pivot_table(index="seed", columns=["depth", "group"], values="value")
    return table.to_numpy(float).reshape(len(table), some["depth"].nunique(), -1)
