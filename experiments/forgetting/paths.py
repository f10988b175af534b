"""The way of each method through the plane of two losses: what it learned of the target, and what it lost of the source."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.analysis.contrasts import without_each
from research.analysis.pareto import at_level, hypervolume
from research.analysis.tables import rows

FULL, SLOW, WISE = "full", "slow", "wise"
BETWEEN = 50  # points between two readings of a way
Way = tuple[np.ndarray, np.ndarray]
Ways = Mapping[tuple[str, int], Way]  # by arm and seed
BY_DOCUMENT = "budget_document"


class Arm(NamedTuple):
    """A method at a strength, by its word."""

    word: str
    method: str
    strength: float | None

    @property
    def where(self) -> dict[str, Any]:
        """Returns the coordinates of a finding about it."""
        return {"method": self.method, "strength": self.strength}


def arms(results: pd.DataFrame, wise: bool = False) -> list[Arm]:
    """Returns the arms in the order of their results; with `wise`, behind them the way from the start to full's end as one."""
    own = rows(results, phase="result").drop_duplicates("arm") if len(results) else results
    found = [Arm(row.arm, row.method, None if pd.isna(row.strength) else float(row.strength)) for row in own.itertuples()]
    return [*found, *([Arm(WISE, WISE, None)] if wise and len(rows(results, phase="kept", method=WISE)) else [])]


def paths(results: pd.DataFrame) -> dict[tuple[str, int], Way]:
    """Returns of each (arm, seed) the target's losses, and the rises of the source's, from the untouched model on (1 + budgets,).

    The way of `wise` leads along alpha, from the start to full's end.
    """
    start = _start(results)
    found: dict[tuple[str, int], Way] = {}
    for (arm, seed), own in rows(results, phase="result").groupby(["arm", "seed"], sort=False):
        found[arm, seed] = _way(own, "step", ("budget_target", "budget_source"), start.loc[seed])
    between = rows(results, phase="kept", method=WISE)
    if len(between):
        last = rows(results, phase="kept", arm=FULL)
        ends = last[last["step"] == last["step"].max()].assign(strength=1.0)
        for seed, own in pd.concat([between, ends]).groupby("seed", sort=False):
            found[WISE, seed] = _way(own, "strength", ("budget_target", "budget_source"), start.loc[seed])
    return found


def levels(results: pd.DataFrame) -> dict[float, pd.Series]:
    """Returns the target's losses at which methods are compared, by share of the way from the untouched model to full's end, and by seed.

    A seed of which full's end is not finite, or learned nothing, has none.
    """
    shares, start = rows(results, phase="reference", metric="equal_at"), _start(results)
    ends = {seed: way[0][-1] for (arm, seed), way in paths(results).items() if arm == FULL}
    begun = {seed: float(start.loc[seed, "budget_target"]) for seed in ends}
    learned = {seed: (begun[seed], end) for seed, end in ends.items() if end < begun[seed]}
    return {
        float(share): pd.Series({seed: a + share * (b - a) for seed, (a, b) in learned.items()}, dtype=float) for share in shares["value"]
    }


def lost_at(ways: Ways, arm: Arm, bits: pd.Series) -> pd.Series:
    """Returns, by seed that has such a loss, the source's rise where an arm first reaches it; null where it does not."""
    own = {seed: way for (word, seed), way in ways.items() if word == arm.word and seed in bits.index}
    return pd.Series({seed: at_level(way[0], way[1], float(bits[seed])) for seed, way in own.items()}, dtype=float)


def without_documents(results: pd.DataFrame, ways: Ways) -> tuple[dict[tuple[str, int], np.ndarray], np.ndarray]:
    """Returns the rises of `paths` with one group of the source's documents left out each, (1 + budgets, groups), and its bytes (groups,).

    Both are empty where a run's readings were not by document, or of one group alone. Losses on the target stay those of all its documents.
    """
    sizes = rows(results, metric=f"{BY_DOCUMENT}_bytes").sort_values("document")["value"].to_numpy(float) if len(ways) else np.empty(0)
    read = rows(results, metric=BY_DOCUMENT)
    if sizes.size < 2 or read.empty:
        return {}, np.empty(0)
    start = rows(read, phase="reference").set_index(["seed", "document"])["value"].unstack()
    trained, between = rows(read, phase="result"), rows(read, phase="kept")
    last = trained[(trained["arm"] == FULL) & (trained["step"] == trained["step"].max())]
    line = pd.concat([between, last.assign(arm=WISE, strength=1.0)]).assign(arm=WISE) if len(between) else between
    found: dict[tuple[str, int], np.ndarray] = {}
    for some, along in ((trained, "step"), (line, "strength")):
        for (arm, seed), own in some.groupby(["arm", "seed"], sort=False):
            table = own.set_index([along, "document"])["value"].unstack().sort_index().to_numpy(float)
            found[arm, seed] = without_each(np.vstack([np.zeros(sizes.size), table - start.loc[seed].to_numpy(float)]), sizes)
    return found, sizes


def lost_without(ways: Ways, without: Mapping[tuple[str, int], np.ndarray], arm: Arm, bits: pd.Series) -> pd.DataFrame:
    """Returns `lost_at` with one group of documents left out each, by seed and group; no row where they were not read."""
    own = {seed: without[arm.word, seed] for (word, seed) in ways if word == arm.word and seed in bits.index and (word, seed) in without}
    read = {seed: [at_level(ways[arm.word, seed][0], lost, float(bits[seed])) for lost in rises.T] for seed, rises in own.items()}
    return pd.DataFrame.from_dict(read, orient="index", dtype=float)


def volume(results: pd.DataFrame) -> dict[str, pd.Series]:
    """Returns, by method and seed, the share of a rectangle that lies behind the front of all its strengths and readings.

    The rectangle reaches from full's last loss on the target to the untouched model's, and from no rise to full's last one; what a method
    learns beyond it, or where the source falls, counts for no more. Ways are straight between their readings.
    """
    ways, found = paths(results), dict[str, dict[int, float]]()
    methods = {arm.word: arm.method for arm in arms(results, wise=True)}
    for seed in dict.fromkeys(seed for _, seed in ways):
        full = ways.get((FULL, seed))
        if full is None or not np.isfinite([full[0][-1], full[1][-1]]).all() or full[1][-1] <= 0 or full[0][-1] >= full[0][0]:
            continue
        corner, sides = np.array([full[0][0], full[1][-1]]), np.array([full[0][0] - full[0][-1], full[1][-1]])
        for method in dict.fromkeys(methods.values()):
            mine = [_dense(way) for (word, at), way in ways.items() if at == seed and methods[word] == method]
            points = np.maximum(np.concatenate(mine), corner - sides)
            found.setdefault(method, {})[seed] = hypervolume(points[np.isfinite(points).all(axis=1)], corner) / float(sides.prod())
    return {method: pd.Series(values) for method, values in found.items()}


def _dense(way: Way) -> np.ndarray:
    """A way with points between its readings, so that its front is no staircase of few steps."""
    places = np.arange(len(way[0]))
    fine = np.linspace(0, places[-1], BETWEEN * places[-1] + 1)
    return np.stack([np.interp(fine, places, side) for side in way], axis=1)


def _start(results: pd.DataFrame) -> pd.DataFrame:
    own = rows(results, phase="reference")
    own = own[own["metric"].isin(["budget_target", "budget_source"])]
    return own.pivot_table(index="seed", columns="metric", values="value").rename_axis(index=None)


def _way(own: pd.DataFrame, along: str, names: tuple[str, str], start: pd.Series) -> Way:
    table = own[own["metric"].isin(names)].pivot_table(index=along, columns="metric", values="value", dropna=False).sort_index()
    learned, lost = (table[name].to_numpy(float) for name in names)
    return np.append(start["budget_target"], learned), np.append(0.0, lost - start["budget_source"])
