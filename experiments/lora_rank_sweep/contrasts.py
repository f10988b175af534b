"""Contrasts: what a rank costs, and how that differs between initializations, with intervals over bases and documents."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from experiments.lora_rank_sweep.measured import UNTOUCHED, Curve, Measured, curve
from experiments.lora_rank_sweep.wording import FULL, MATCHED
from research.analysis.contrasts import contrast, of_one_base, ratio, units
from research.analysis.learning_rates import parabola_optimum
from research.analysis.recovery import guard, headroom, relative_r90, start_loss
from research.findings import Estimate, Finding, finding

FIRST = "pretrained"
WHAT = ["init", "arm", "trains", "rank"]


def gaps(own: Measured) -> Iterator[Finding]:
    """Yields, of each arm, initialization and rank, LoRA's loss minus that of the same matrices (if trained), and of everything."""
    for arm in own.arms():
        for init in own.inits():
            found = curve(own, init, arm)
            if found is None:
                continue
            for reference, rank in _pairs(found):
                where = {"target": own.target, "arm": arm, "init": init, "rank": int(rank), "reference": reference}
                yield finding("gap", where, own.mean(init, found.gap(rank, reference)), "bits/byte")
            for rank, (start, ceiling) in itertools.product(found.ranks[1:], _starts(own).items()):
                where = {"target": own.target, "arm": arm, "init": init, "rank": int(rank), "start": start} | _against(found)
                share = own.mean(init, found.share(rank, ceiling))
                yield finding("share_of_gain", where, _guarded(share, ceiling, found), "1")


def between_inits(own: Measured) -> Iterator[Finding]:
    """Yields how the gap and the share of the gain at each rank, and r90, differ between pretrained and other initializations."""
    for arm, other in itertools.product(own.arms(), own.inits()):
        first, second = curve(own, FIRST, arm), curve(own, other, arm)
        if other == FIRST or first is None or second is None:
            continue
        where = {"between": f"{FIRST} - {other}", "target": own.target, "arm": arm}
        for reference, rank in (pair for pair in _pairs(first) if pair in _pairs(second)):
            gap = own.difference(FIRST, first.gap(rank, reference), other, second.gap(rank, reference))
            yield finding("contrast", {"of": f"gap to {reference}", **where, "rank": int(rank)}, gap, "bits/byte")
        shared = [rank for rank in first.ranks[1:] if rank in second.ranks]
        for rank, (start, ceiling) in itertools.product(shared, _starts(own).items()):
            share = own.difference(FIRST, first.share(rank, ceiling), other, second.share(rank, ceiling))
            share = _guarded(share, ceiling, first, second)
            yield finding("contrast", {"of": "share of the gain", **where, "rank": int(rank), "start": start} | _against(first), share, "1")
        where = {**where, "between": f"{FIRST} / {other}"}
        yield finding("contrast", {"of": "r90", **where, "rank": None}, _of_r90(own, first, second), "1")


def untrained(own: Measured) -> Iterator[Finding]:
    """Yields the loss of untouched pretrained weights minus that of others, untouched too, and with everything trained: at no rank."""
    first = own.of(FIRST, None, UNTOUCHED)
    for other in (init for init in own.inits() if init != FIRST and len(first.seeds)):
        against = {
            ("untouched loss", f"{FIRST} - {other}"): own.of(other, None, UNTOUCHED),
            ("loss", f"{FIRST} untouched - {other} everything"): own.of(other, None, "full"),
        }
        for (of, between), second in against.items():
            if len(second.seeds):
                where = {"of": of, "between": between, "target": own.target, "arm": None, "rank": None}
                yield finding("contrast", where, own.difference(FIRST, first, other, second), "bits/byte")


def rates(chosen: pd.DataFrame, target: str) -> Iterator[Finding]:
    """Yields how the best learning rate differs between pretrained and other initializations, as a factor, paired by selection seed.

    Null where any seed has its best rate on an edge of the grid: what is left would be chosen by its answer.
    """
    optima: dict[tuple[Any, ...], dict[int, tuple[float, int]]] = {}
    rows = chosen[chosen["metric"] == "validation_loss"]
    for key, own in rows[rows["step"] == rows["step"].max()].groupby([*WHAT, "seed"], dropna=False, sort=False):
        init, arm, trains, rank, seed = (None if pd.isna(part) else part for part in key)
        best = parabola_optimum(own["learning_rate"].to_numpy(float), own["value"].to_numpy(float)).learning_rate
        entry = (np.nan if best is None else best, int(own["base"].iloc[0]))
        optima.setdefault((init, arm, trains, rank), {})[int(float(str(seed)))] = entry
    for (init, arm, trains, rank), own in optima.items():
        first = optima.get((FIRST, arm, trains, rank))
        if init == FIRST or first is None:
            continue
        seeds = sorted(own.keys() & first.keys())
        logs = np.log([first[seed][0] / own[seed][0] for seed in seeds])
        bases = min(([some[seed][1] for seed in seeds] for some in (first, own)), key=lambda some: len(set(some)))
        lost = int(np.isnan(logs).sum())
        note = f"{lost} of {len(seeds)} seeds have a best rate on an edge of the grid"
        nothing = Estimate(None, None, None, len(seeds), "geometric mean over bases", note)
        estimate = nothing if lost else contrast(logs, np.array(bases), factor=True)
        where = {"of": "best rate", "between": f"{FIRST} / {init}", "target": target, "arm": arm, "trains": trains}
        yield finding("contrast", {**where, "rank": None if rank is None else int(rank)}, estimate, "1")


def _starts(own: Measured) -> dict[str, float]:
    """From where a gain is counted, and the loss that it is counted from at most: coming down to the unigram entropy takes no structure."""
    return {"rank 0": np.inf, "unigram": own.known["unigram_loss"]}


def _guarded(estimate: Estimate, ceiling: float, *curves: Curve) -> Estimate:
    """A share, or null where the gain of one of the curves is not clearly there."""
    for found in curves:
        start, whole = (units(values[:, 0], found.bases) for values in (found.start(ceiling), found.whole))
        estimate = guard(estimate, headroom(start, whole))
    return estimate


def _against(found: Curve) -> dict[str, str]:
    """What else stands in the place of a share: the reference, where it is not the same matrices."""
    return {} if found.reference == MATCHED else {"reference": found.reference}


def _pairs(found: Curve) -> list[tuple[str, float]]:
    references = [name for name, losses in ((MATCHED, found.matched), (FULL, found.full)) if np.isfinite(losses).all()]
    return [(reference, rank) for reference in references for rank in found.ranks]


def _of_r90(own: Measured, first: Curve, second: Curve) -> Estimate:
    """r90 of one curve over that of another, both read at the ranks they share; the unigram entropy stays as groups are left out."""
    shared = np.intersect1d(first.ranks, second.ranks)

    def reading(found: Curve) -> Estimate:
        kept = np.isin(found.ranks, shared)
        start = start_loss(found.untouched, own.known["unigram_loss"])
        return relative_r90(found.ranks[kept], start, found.reached[:, kept], found.whole)

    groups = range(1, 1 + (0 if own.weights is None else len(own.weights)))
    replicates = [np.array([reading(found.by_base(group)).value for group in groups], float) for found in (first, second)]
    whole = [reading(found.by_base()) for found in (first, second)]
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 and censored readings have no logarithm, and the note says so
        logs = np.log(replicates[0]) - np.log(replicates[1])
    one_base = of_one_base(first.bases) or of_one_base(second.bases)
    return ratio(whole[0], whole[1], logs if len(groups) else None, own.weights, one_base=one_base)
