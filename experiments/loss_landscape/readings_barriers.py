"""Barriers between runs: means over pairs, and how they differ between initializations, with intervals over bases or runs, never pairs."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from research.analysis.contrasts import BASE_LEFT_OUT
from research.analysis.intervals import join_notes
from research.analysis.pairs import Pairs, pair_difference, pair_mean
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

UNIT = "bits/byte"


def barriers(results: pd.DataFrame) -> Iterator[Finding]:
    """Yields the mean barrier of each initialization, kind of pair, and matching."""
    own = rows(results, phase="barrier", metric="barrier")
    for where, some in _kinds(own):
        for init, mine in some.groupby("init", sort=False):
            units = _Units(own, str(init))
            estimate = pair_mean(units.pairs(mine), units.name)
            yield finding("barrier", {"init": init, **where}, _noted(estimate, units), UNIT)


def differences(results: pd.DataFrame, leader: str, other: str) -> Iterator[Finding]:
    """Yields the difference of barriers between two initializations, bases or runs of the same number left out of both at once."""
    own = rows(results, phase="barrier", metric="barrier")
    if own.empty:
        return
    units = _Units(own, leader)
    for where, some in _kinds(own):
        first, second = (some[some["init"] == init] for init in (leader, other))
        if not (first.empty or second.empty):
            estimate = pair_difference(units.pairs(first), units.pairs(second), units.name)
            at = {"what": "barrier", "between": f"{leader} - {other}", **where}
            yield finding("contrast", at, _noted(estimate, units), UNIT)


def clusters(results: pd.DataFrame) -> Iterator[Finding]:
    """Yields into how many clusters the runs of one base fall, mean over bases: runs are linked where the line between them has no barrier.

    Juneja et al. 2023 (arXiv 2205.12411) find several among fine-tunes of one base. A base with a line that is not finite is left out.
    """
    own = rows(results, phase="barrier", metric="barrier", pair="one base", matching="raw")
    for init, mine in own.groupby("init", sort=False) if len(own) else ():
        counts, runs = [], 0
        for _, some in mine.groupby("seed"):
            names = sorted({*some["run"], *some["other_run"]})
            runs = max(runs, len(names))
            if some["value"].notna().all():
                linked = some[some["value"] <= 0]
                places = ([names.index(run) for run in linked[side]] for side in ("run", "other_run"))
                graph = coo_array((np.ones(len(linked)), tuple(places)), shape=(len(names),) * 2)
                counts.append(connected_components(graph, directed=False)[0])
        said = f"{', '.join(map(str, counts)) or 'none'} of {runs} runs each"
        value = float(np.mean(counts)) if counts else None
        estimate = Estimate(value, None, None, len(counts), "connected components of runs without a barrier between them, mean", said)
        yield finding("clusters", {"init": init}, estimate, "count")


class _Units:
    """What an interval leaves out: the bases of an initialization, or, where it has one, its runs."""

    def __init__(self, own: pd.DataFrame, init: str) -> None:
        mine = own[own["init"] == init]
        self._bases: Mapping[Any, Any] = dict(zip(mine["seed"], mine["base"], strict=True))
        self.several = len(set(self._bases.values())) > 1
        self.name = "bases" if self.several else "runs"
        self._labels: dict[Any, int] = {}

    def pairs(self, some: pd.DataFrame) -> Pairs:
        """The pairs of any initialization, by units of this one's: the run itself stands at a start's other end."""
        ends = [(self._label(row.seed, row.run), self._label(row.other_seed, row.other_run)) for row in some.itertuples()]
        return Pairs(some["value"].to_numpy(float), np.array(ends, int).reshape(-1, 2))

    def _label(self, seed: Any, run: Any) -> int:
        key = self._bases.get(seed, seed) if self.several else (seed, run)
        return self._labels.setdefault(key, len(self._labels))


def _kinds(own: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    if own.empty:
        return
    for (pair, matching), some in own.groupby(["pair", "matching"], sort=False):
        yield {"pair": pair, "matching": matching}, some


def _noted(estimate: Estimate, units: _Units) -> Estimate:
    return estimate if units.several else estimate._replace(note=join_notes(estimate.note, f"runs, {BASE_LEFT_OUT}"))
