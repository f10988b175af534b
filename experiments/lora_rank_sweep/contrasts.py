"""Contrasts: what a rank costs, and how that differs between initializations, with intervals over bases and documents."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from experiments.lora_rank_sweep.measured import Curve, Measured, curve
from research.analysis.contrasts import contrast, ratio
from research.analysis.learning_rates import parabola_optimum
from research.analysis.recovery import relative_r90, start_loss
from research.findings import Estimate, Finding, finding

FIRST = "pretrained"


def gaps(own: Measured) -> Iterator[Finding]:
    """Yields, of each arm, initialization and rank, LoRA's loss minus that of the same matrices, and of everything, at full rank."""
    for arm in own.arms():
        for init in own.inits():
            found = curve(own, init, arm)
            if found is None:
                continue
            for reference, rank in _pairs(found):
                where = {"target": own.target, "arm": arm, "init": init, "rank": int(rank), "reference": reference}
                yield finding("gap", where, own.over(found.gap(rank, reference), found.bases), "bits/byte")


def between_inits(own: Measured) -> Iterator[Finding]:
    """Yields how the gap at each rank, r90, and the loss before any training differ between pretrained and other initializations."""
    for arm, other in itertools.product(own.arms(), own.inits()):
        first, second = curve(own, FIRST, arm), curve(own, other, arm)
        if other == FIRST or first is None or second is None:
            continue
        where = {"between": f"{FIRST} - {other}", "target": own.target, "arm": arm}
        for reference, rank in (pair for pair in _pairs(first) if pair in _pairs(second)):
            gap = _paired(own, first, second, _gap(rank, reference))
            yield finding("contrast", {"of": f"gap to {reference}", **where, "rank": int(rank)}, gap, "bits/byte")
        before = _paired(own, first, second, lambda one: one.untouched)
        yield finding("contrast", {"of": "untouched loss", **where, "rank": None}, before, "bits/byte")
        where = {**where, "between": f"{FIRST} / {other}"}
        yield finding("contrast", {"of": "r90", **where, "rank": None}, _of_r90(own, first, second), "1")


def rates(chosen: pd.DataFrame, target: str) -> Iterator[Finding]:
    """Yields how the best learning rate differs between pretrained and other initializations, as a factor, paired by selection seed."""
    optima: dict[tuple[Any, ...], dict[int, float | None]] = {}
    rows = chosen[chosen["metric"] == "validation_loss"]
    rows = rows[rows["step"] == rows["step"].max()]
    for key, own in rows.groupby(["init", "arm", "trains", "rank", "seed"], dropna=False, sort=False):
        init, arm, trains, rank, seed = (None if pd.isna(part) else part for part in key)
        best = parabola_optimum(own["learning_rate"].to_numpy(float), own["value"].to_numpy(float)).learning_rate
        optima.setdefault((init, arm, trains, rank), {})[int(float(str(seed)))] = best
    bases = rows.groupby("seed")["base"].first().astype(int)
    for (init, arm, trains, rank), own in optima.items():
        first = optima.get((FIRST, arm, trains, rank))
        if init == FIRST or first is None:
            continue
        logs = {s: np.log(one / other) if (one := first.get(s)) and other else np.nan for s, other in own.items()}
        estimate = contrast(np.array(list(logs.values()), float), bases.loc[list(logs)].to_numpy(), factor=True)
        note = f"{sum(map(np.isnan, logs.values()))} of {len(logs)} seeds have their best rate on an edge"
        estimate = estimate._replace(note=note) if np.isnan(list(logs.values())).any() else estimate
        where = {"of": "best rate", "between": f"{FIRST} / {init}", "target": target, "arm": arm, "trains": trains}
        yield finding("contrast", {**where, "rank": None if rank is None else int(rank)}, estimate, "1")


def _gap(rank: float, reference: str) -> Callable[[Curve], np.ndarray]:
    return lambda found: found.gap(rank, reference)


def _pairs(found: Curve) -> list[tuple[str, float]]:
    references = ["matched", *(["full"] if np.isfinite(found.full).all() else [])]
    return [(reference, rank) for reference in references for rank in found.ranks]


def _paired(own: Measured, first: Curve, second: Curve, reading: Callable[[Curve], np.ndarray]) -> Estimate:
    """A reading of one curve minus that of another, paired by seed; seeds count as one where they share a base of either."""
    kept = [np.isin(one.seeds, other.seeds) for one, other in ((first, second), (second, first))]
    values = reading(first)[kept[0]] - reading(second)[kept[1]]
    bases = first.bases[kept[0]], second.bases[kept[1]]
    return own.over(values, min(bases, key=lambda some: len(set(some))))


def _of_r90(own: Measured, first: Curve, second: Curve) -> Estimate:
    """r90 of one curve over that of another."""

    def reading(found: Curve) -> Estimate:
        start = start_loss(found.untouched, own.known["unigram_loss"])
        return relative_r90(found.ranks, start, found.reached, found.matched)

    groups = range(1, 1 + (0 if own.weights is None else len(own.weights)))
    replicates = [[reading(found.by_base(group)).value for group in groups] for found in (first, second)]
    logs = [np.log(np.array(values, float)) for values in replicates if None not in values and 0.0 not in values]
    whole = [reading(found.by_base()) for found in (first, second)]
    return ratio(whole[0], whole[1], logs[0] - logs[1] if len(logs) == 2 and len(groups) else None, own.weights)
