"""What a sweep over ranks says: findings and the answer, from the records alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from research.analysis.intervals import t_interval
from research.analysis.learning_rates import lr_ratio
from research.analysis.recovery import absolute_gap, definitions, rank_needed, relative_r90, shared_targets, start_loss, steps_needed
from research.findings import Estimate, Finding, find, finding, shown


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns all findings of a sweep: losses, recovered shares, r90 (relative and absolute), gaps, steps needed, learning rate ratios.

    Beside them what they are compared with: untouched weights, n-gram entropies, and the first singular values of updates and of noise.
    """
    tested = results.query("phase == 'result'")
    last = tested["step"].max()
    found = [*_losses(tested[tested["step"] == last]), *_ratios(results)]
    unigram = float(results.query("metric == 'unigram_loss'")["value"].iloc[0])
    for arm in tested["arm"].dropna().unique():
        for init in tested["init"].unique():
            found += _relative(results, tested, init, arm, unigram)
        found += _absolute(tested, arm, unigram)
    return [*found, *_references(results), *_first_values(results)]


def answer(found: Sequence[Finding]) -> str:
    """Returns two sentences that compare the inits: by the smallest rank and training everything, and by relative r90."""
    losses = [f for f in found if f.name == "target_loss"]
    inits = list(dict.fromkeys(f.where["init"] for f in losses))
    lowest = min((f.where["rank"] for f in losses if f.where["trains"] == "lora" and f.where["rank"]), default=None)
    small = find(losses, "target_loss", init=inits[0], trains="lora", rank=lowest) if inits else None
    parts = []
    if small is not None and small.value is not None:
        rivals = [(init, find(losses, "target_loss", init=init, trains="full")) for init in inits[1:]]
        words = [f"{shown(f)} from {init} weights" for init, f in rivals if f is not None]
        parts.append(f"LoRA of rank {lowest} from {inits[0]} weights reaches {shown(small)} bits/byte on the target")
        parts += [f"training everything, in the same steps, reaches {' and '.join(words)}"] if words else []
    shares = {f.where["init"]: shown(f, ".3g") for f in reversed(found) if f.name == "r90" and f.where["reading"] == "relative"}
    ranks = "; ".join(f"from {init} weights {shares[init]}" for init in inits if init in shares)
    sentences = ("; ".join(parts), f"Rank for 90 % of what the same matrices gain at full rank: {ranks}" if ranks else "")
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def _losses(tested: pd.DataFrame) -> Iterator[Finding]:
    keys = ["metric", "init", "arm", "trains", "rank"]
    for (metric, init, arm, trains, rank), rows in tested.groupby(keys, dropna=False, sort=False):
        if metric in ("target_loss", "source_loss"):
            where = {"init": init, "arm": _none(arm), "trains": trains, "rank": _whole(rank)}
            yield finding(metric, where, t_interval(rows["value"].astype(float)), "bits/byte")


def _ratios(results: pd.DataFrame) -> Iterator[Finding]:
    for row in lr_ratio(results.query("phase == 'select'")).itertuples():
        where = {"init": row.init, "arm": row.arm, "rank": _whole(row.rank), "reference": row.reference}
        yield finding("lr_ratio", where, Estimate(_none(row.value), _none(row.low), _none(row.high), row.n, row.method, row.note), "1")


def _references(results: pd.DataFrame) -> Iterator[Finding]:
    """What needs no training: the loss of each init untouched, and the target's n-gram entropies."""
    rows = results.query("phase == 'reference'")
    for init, losses in rows[rows["metric"] == "target_loss"].groupby("init", sort=False)["value"]:
        estimate = t_interval(losses.astype(float))
        if losses.nunique() == 1:  # every seed starts from one base
            estimate = Estimate(estimate.value, None, None, 1, "one base", "one base for all seeds: no interval")
        yield finding("untouched_loss", {"init": init}, estimate, "bits/byte")
    for name in ("unigram_loss", "bigram_loss"):
        for value in rows[rows["metric"] == name]["value"]:
            yield finding(name, {}, Estimate(float(value), None, None, 1, "entropy of the test text"), "bits/byte")


def _first_values(results: pd.DataFrame) -> Iterator[Finding]:
    """The first singular value of what training everything changed, over its norm, and that of noise (`null`)."""
    rows = results.query("phase == 'spectrum'")
    for (init, null), values in rows[rows["index"] == 1].groupby(["init", "null"], sort=False)["value"] if len(rows) else ():
        yield finding("first_singular_value", {"init": init, "trains": "full", "null": null}, t_interval(values.astype(float)), "1")


def _curve(tested: pd.DataFrame, init: str, arm: str, step: int | None = None) -> pd.DataFrame:
    """LoRA's target loss, seeds by ranks (rank 0 apart), at a step; only seeds whose runs all finished."""
    rows = tested.query("metric == 'target_loss' and trains == 'lora' and init == @init and arm == @arm and rank > 0")
    rows = rows[rows["step"] == (rows["step"].max() if step is None else step)]
    return rows.pivot(index="seed", columns="rank", values="value").astype(float).dropna()


def _reference(tested: pd.DataFrame, init: str, arm: str | None, step: int | None = None) -> pd.Series:
    trains = "full" if arm is None else "matched"
    rows = tested[(tested["metric"] == "target_loss") & (tested["init"] == init) & (tested["trains"] == trains)]
    rows = rows if arm is None else rows[rows["arm"] == arm]
    rows = rows[rows["step"] == (rows["step"].max() if step is None else step)]
    return rows.set_index("seed")["value"].astype(float).dropna()


def _relative(results: pd.DataFrame, tested: pd.DataFrame, init: str, arm: str, unigram: float) -> list[Finding]:
    curve, matched, full = _curve(tested, init, arm), _reference(tested, init, arm), _reference(tested, init, None)
    untouched = results.query("phase == 'reference' and metric == 'target_loss' and init == @init").set_index("seed")["value"].astype(float)
    seeds = curve.index.intersection(matched.index).intersection(full.index).intersection(untouched.index)
    if not len(seeds) or curve.shape[1] < 2:
        note = "too few finished runs or ranks for a rank curve"
        nothing = Estimate(None, None, None, len(seeds), "isotonic inversion", note)
        return [finding("r90", {"init": init, "arm": arm, "reading": "relative"}, nothing, "rank")]
    curve, matched, full, untouched = curve.loc[seeds], matched.loc[seeds], full.loc[seeds], untouched.loc[seeds]
    ranks, reached = curve.columns.to_numpy(float), curve.to_numpy()
    start = start_loss(untouched.to_numpy(), unigram)
    headline = relative_r90(ranks, start, reached, matched.to_numpy())
    found = [finding("r90", {"init": init, "arm": arm, "reading": "relative"}, headline, "rank")]
    starts = {"min": start, "untouched": untouched.to_numpy(), "unigram": unigram}
    table = definitions(ranks, reached, starts, {"matched": matched.to_numpy(), "full": full.to_numpy()})
    for row in table.itertuples():
        where = {"init": init, "arm": arm, "start": row.start, "reference": row.reference}
        estimate = Estimate(_none(row.value), _none(row.low), _none(row.high), row.n, row.method, row.note)
        if row.metric == "recovered":
            found.append(finding("recovered", {**where, "rank": _whole(row.rank)}, estimate, "1"))
        else:
            found.append(finding("r90_by_definition", where, estimate, "rank"))
    return found


def _absolute(tested: pd.DataFrame, arm: str, unigram: float) -> Iterator[Finding]:
    inits, steps = list(tested["init"].unique()), sorted(tested.query("metric == 'target_loss'")["step"].unique())
    curves = {init: _curve(tested, init, arm) for init in inits}
    for init, curve in curves.items():
        matched = _reference(tested, init, arm)
        for rank in curve.columns:
            where = {"init": init, "arm": arm, "rank": _whole(rank), "reference": "matched"}
            yield finding("gap", where, absolute_gap(curve[rank], matched), "bits/byte")
    reached = {init: np.append(curve.mean().to_numpy(), _reference(tested, init, arm).mean()) for init, curve in curves.items()}
    for name, target in shared_targets(reached, unigram).items():
        for init in inits:
            where = {"init": init, "arm": arm, "reading": "absolute", "target": name, "target_bits": round(target, 4)}
            yield from _needed(tested, where, steps, target)


def _needed(tested: pd.DataFrame, where: dict[str, Any], steps: Sequence[float], target: float) -> Iterator[Finding]:
    """The rank needed for an absolute loss at each budget, and the steps that training everything needs."""
    init, arm = where["init"], where["arm"]
    for step in steps:
        curve = _curve(tested, init, arm, int(step))
        if len(curve) and curve.shape[1] > 1:
            estimate = rank_needed(curve.columns.to_numpy(float), curve.to_numpy(), target)
            yield finding("r90", {**where, "step": int(step)}, estimate, "rank")
    full = pd.concat({int(step): _reference(tested, init, None, int(step)) for step in steps}, axis=1).dropna()
    if len(full) and full.shape[1] > 1:
        estimate = steps_needed(full.columns.to_numpy(float), full.to_numpy(), target)
        yield finding("steps_needed", {**where, "trains": "full"}, estimate, "steps")


def _none(value: Any) -> Any:
    return None if value is None or (not isinstance(value, str) and pd.isna(value)) else value


def _whole(value: Any) -> int | None:
    return None if _none(value) is None else int(float(str(value)))
