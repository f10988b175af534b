"""What is left of updates that were changed: cut to few directions, their intruders scaled down, scaled down as a whole."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from experiments.lora_vs_full.tables import EQUAL_TARGET, INTRUDERS, NONE, OTHERS, PARTS, bases_of, over, paired
from research.analysis.contrasts import contrast, without_each
from research.analysis.pareto import at_level
from research.analysis.recovery import relative_r90
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

BEST, RANDOM, WHOLE = "best", "random", "whole"


class _Cut:
    """Losses of an arm's updates at one place, cut to a rank: whole (seeds,), and by groups of documents (seeds, groups)."""

    def __init__(self, own: pd.DataFrame) -> None:
        self.losses = own[own["metric"] == "target_loss"].set_index("seed")["value"]
        groups = own[own["metric"] == "document_loss"]
        self.groups = None if groups.empty else groups.pivot_table(index="seed", columns="document", values="value")

    def less(self, other: "_Cut", bases: pd.Series, sizes: np.ndarray) -> Estimate:
        """Returns its loss less another's, paired by seed and by document."""
        values = paired(self.losses, other.losses)
        replicates = None
        if self.groups is not None and other.groups is not None and len(sizes) > 1:
            both = (self.groups - other.groups).reindex(index=values.index, columns=range(len(sizes)))  # a diverged seed has none
            replicates = without_each(both.mean().to_numpy(float), sizes)
        return contrast(values.to_numpy(float), bases.loc[values.index].to_numpy(), replicates, None if replicates is None else sizes)


def cuts(results: pd.DataFrame) -> Iterator[Finding]:
    """Yields the loss of cut updates less that of whole ones, best ones less random ones, and the rank that keeps 90 % of the gain."""
    own, bases = rows(results, phase="cut"), bases_of(results)
    sizes = rows(results, phase="reference", metric="document_bytes")
    weights = sizes.sort_values("document")["value"].to_numpy(float) if len(sizes) else np.empty(0)
    for (arm, at), some in own.groupby(["arm", "at"], sort=False) if len(own) else ():
        made = {
            (directions, None if pd.isna(cut) else int(cut)): _Cut(one)
            for (directions, cut), one in some.groupby(["directions", "cut"], sort=False, dropna=False)
        }
        whole = made.pop((WHOLE, None))
        for (directions, cut), one in made.items():
            where = {"arm": arm, "at": at, "cut": cut}
            yield finding("truncated_loss", {**where, "directions": directions}, one.less(whole, bases, weights), "bits/byte")
            if directions == BEST and (RANDOM, cut) in made:
                between = {"what": "truncated_loss", "between": f"{BEST} - {RANDOM}", **where}
                yield finding("contrast", between, one.less(made[RANDOM, cut], bases, weights), "bits/byte")
        yield from _needed(results, made, whole, {"arm": arm, "at": at})


def _needed(results: pd.DataFrame, made: Mapping[tuple[str, int | None], _Cut], whole: _Cut, where: Mapping[str, str]) -> Iterator[Finding]:
    """The rank of a cut that keeps 90 % of what the whole update gains over the untouched model."""
    start = rows(results, phase="reference", metric="target_loss").set_index("seed")["value"]
    for directions in (BEST, RANDOM):
        ranks = sorted(cut for which, cut in made if which == directions and cut is not None)
        losses = [made[directions, rank].losses for rank in ranks]
        if not ranks or any(loss.isna().any() or len(loss) < len(whole.losses) for loss in losses):
            continue
        seeds = whole.losses.index
        reached = np.stack([loss.loc[seeds].to_numpy(float) for loss in losses] + [whole.losses.to_numpy(float)], axis=1)
        # Behind the largest cut stands the whole update, at twice its rank: a reading between the two is bounded by it.
        estimate = relative_r90(np.array([*ranks, 2 * ranks[-1]]), start.loc[seeds].to_numpy(float), reached, whole.losses.to_numpy(float))
        yield finding("rank_needed", {**where, "directions": directions}, estimate, "rank")


def scaled(results: pd.DataFrame) -> Iterator[Finding]:
    """Yields what scaling intruders, or everything, does to both losses; and the source's loss less that of scaling everything.

    The latter where both have the same loss on the target, linear between the factors that were read; and by how much more intruders fall
    behind than as many other directions do.
    """
    own, bases = rows(results, phase="altered", null=NONE), bases_of(results)
    start, result = rows(results, phase="reference"), rows(results, phase="result")
    for arm, some in own.groupby("arm", sort=False) if len(own) else ():
        ends = result[(result["arm"] == arm) & (result["step"] == result["step"].max())]
        ways = {}
        for seed in dict.fromkeys(some["seed"]):
            points = [_pair(start, seed), *(_pair(one, seed) for _, one in rows(some, scaled="all").groupby("factor")), _pair(ends, seed)]
            ways[seed] = tuple(np.array(side) for side in zip(*points, strict=True))
        behind: dict[tuple[str, float], pd.Series] = {}
        for (what, factor), one in some.groupby(["scaled", "factor"], sort=False):
            pairs = {seed: _pair(one, seed) for seed in ways}
            where = {"arm": arm, "scaled": what, "factor": float(factor)}
            for place, name in enumerate(("target_loss", "source_loss")):
                moved = pd.Series({seed: pair[place] - ways[seed][place][-1] for seed, pair in pairs.items()}, dtype=float)
                yield finding("scaled", {**where, "metric": name}, over(moved, bases), "bits/byte")
            if what in PARTS and any(pair != (ways[seed][0][-1], ways[seed][1][-1]) for seed, pair in pairs.items()):
                less = {seed: pair[1] - _beside(ways[seed], pair[0]) for seed, pair in pairs.items()}
                behind[what, float(factor)] = pd.Series(less, dtype=float)
        for (what, factor), values in behind.items():
            told = {"what": EQUAL_TARGET, "arm": arm, "factor": factor}
            yield finding("contrast", {**told, "between": f"{what} - all"}, over(values, bases), "bits/byte")
            if what == INTRUDERS and (OTHERS, factor) in behind:
                apart = paired(values, behind[OTHERS, factor])
                yield finding("contrast", {**told, "between": f"{INTRUDERS} - {OTHERS}"}, over(apart, bases), "bits/byte")


def _beside(way: tuple[np.ndarray, ...], target: float) -> float:
    """The loss on the source where scaling everything has this loss on the target."""
    return at_level(way[0], way[1], target) if np.isfinite(target) else np.nan


def _pair(own: pd.DataFrame, seed: int) -> tuple[float, float]:
    """The losses on target and source of a seed, NaN where they were not read."""
    mine = own[own["seed"] == seed].set_index("metric")["value"]
    return float(mine.get("target_loss", np.nan)), float(mine.get("source_loss", np.nan))
