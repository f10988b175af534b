"""What a run says about the loss landscape: findings from its records alone."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.loss_landscape import readings_barriers, readings_levels
from experiments.loss_landscape.readings_tables import Reading, by_base, mean, ratio
from research.analysis import described
from research.analysis.densities import density_of
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

LEADER = "pretrained"
CONTRASTED = ("steps_to_loss", "lambda_max", "trace", "path_ratio", "largest_stable_rate")
FULL = "full"
BEYOND = 0.01  # of the largest eigenvalue: nearer to zero lie nearly all, in few nodes, whose sign says nothing
CLIPPED = (
    "the limit is of Adam at a fixed preconditioner, without clipping: where gradients are clipped by their norm Adam sees scaled ones"
)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns whatever was read, of each initialization, and how pretrained weights compare with every other."""
    found = [*described.base(results), *described.window(results, {}), *_target(results), *_rates(results)]
    readings = [*readings_levels.steps_to_loss(results), *readings_levels.curvature(results), *_ways(results), *_stability(results)]
    for reading in readings:
        found += [finding(reading.name, {"init": init, **reading.where}, mean(reading, init), reading.unit) for init in reading.inits]
    found += [*_negative(results), *_edge(results), *readings_barriers.barriers(results), *readings_barriers.clusters(results)]
    return found + list(_contrasts(results, readings))


def _contrasts(results: pd.DataFrame, readings: list[Reading]) -> Iterator[Finding]:
    inits = list(dict.fromkeys(results["init"].dropna())) if "init" in results else []
    for other in (init for init in inits if LEADER in inits and init != LEADER):
        for reading in (one for one in readings if one.name in CONTRASTED and {LEADER, other} <= set(one.inits)):
            where = {"what": reading.name, "between": f"{LEADER} / {other}", **reading.where}
            yield finding("contrast", where, ratio(reading, LEADER, other), "1")
        yield from readings_barriers.differences(results, LEADER, other)


def _target(results: pd.DataFrame) -> Iterator[Finding]:
    for row in rows(results, metric="target").head(1).itertuples():
        yield finding("target", {}, Estimate(1.0, None, None, 1, "set by the config", str(row.note)), "count")


def _rates(results: pd.DataFrame) -> Iterator[Finding]:
    """The learning rates chosen: steps and ways depend on them."""
    for row in rows(results, phase="choice", metric="best_learning_rate").itertuples():
        note = row.note if isinstance(getattr(row, "note", None), str) else ""
        value = None if np.isnan(row.value) else float(row.value)
        estimate = Estimate(value, None, None, 1, "best of a grid by selection seeds", note)
        yield finding("learning_rate", {"init": row.init, "trains": row.trains}, estimate, "1")


def _ways(results: pd.DataFrame) -> Iterator[Reading]:
    """How straight a way was and how far it led, at its last step; and the noise of its gradients."""
    for metric in ("path_ratio", "distance"):
        own = rows(results, phase="path", metric=metric, trains=FULL)
        if not own.empty:
            last = own[own["step"] == own["step"].max()]
            yield Reading(metric, {}, "1", by_base(last, lambda some: float(some["value"].mean())))
    noise = rows(results, phase="curvature", metric="noise_scale", trains=FULL)
    for at in ("start", "end"):
        if not (own := noise[noise["at"] == at] if len(noise) else noise).empty:
            yield Reading("noise_scale", {"at": at}, "sequences", by_base(own, lambda some: float(some["value"].mean())), False)


def _stability(results: pd.DataFrame) -> Iterator[Reading]:
    own = rows(results, phase="stability", metric="largest_stable_rate")
    if own.empty:
        return
    notes = {str(init): _bounds(some) for init, some in own.groupby("init", sort=False)}
    table = by_base(own, lambda some: float(some["value"].mean()))
    yield Reading("largest_stable_rate", {}, "1", table, censored=True, notes=notes)


def _bounds(some: pd.DataFrame) -> str:
    """How many rates are known by a bound alone, which bound, and what the others are."""
    lost = some[some["value"].isna()]
    if lost.empty:
        return ""
    bounds = ", ".join(dict.fromkeys(str(note) for note in lost["note"]))
    others = ", ".join(f"{value:.3g}" for value in some["value"].dropna())
    return f"{bounds} from {len(lost)} of {len(some)} bases" + (f", others {others}" if others else "")


def _negative(results: pd.DataFrame) -> Iterator[Finding]:
    """The share of negative curvature in the spectrum, of the first base, with the interval over probes."""
    own = rows(results, phase="density")
    for (init, at), some in own.groupby(["init", "at"], sort=False) if len(own) else ():
        nodes, weights = (rows(some, metric=metric).sort_values(["probe", "node"]) for metric in ("spectral_node", "spectral_weight"))
        probes = zip(*(side.groupby("probe")["value"].apply(np.array) for side in (nodes, weights)), strict=True)
        found = density_of(list(probes), 0).negative_share(BEYOND)
        value, low, high = (None if end is None else float(np.clip(end, 0.0, 1.0)) for end in found[:3])
        bits = rows(some, metric="loss")["value"].mean()
        note = f"one base, at {bits:.3g} bits/byte; eigenvalues below minus {BEYOND:.0%} of the largest; n counts probes"
        method = "stochastic Lanczos quadrature, t interval over probes of one base (95%), clipped to 0 and 1"
        yield finding("negative_share", {"init": init, "at": at}, Estimate(value, low, high, found.n, method, note), "1")


def _edge(results: pd.DataFrame) -> Iterator[Finding]:
    """The largest eigenvalue that Adam sees over the one at which its steps no longer converge, along the first base's way."""
    seen, limit = (rows(results, phase="curvature", metric=name) for name in ("preconditioned_lambda_max", "stability_limit"))
    if seen.empty or limit.empty:
        return
    keys = ["init", "seed", "step"]
    for row in seen.merge(limit[[*keys, "value"]], on=keys, suffixes=("", "_limit")).itertuples():
        value = None if np.isnan(row.value) else float(row.value / row.value_limit)
        estimate = Estimate(value, None, None, 1, "preconditioned lambda_max over (2 + 2 b1) / ((1 - b1) lr)", CLIPPED)
        yield finding("edge", {"init": row.init, "step": int(row.step)}, estimate, "1")
