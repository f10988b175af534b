"""What a run says about the updates of LoRA and of full training: findings from its records alone."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.lora_vs_full.levels import above, levels, place, shares, standing, steps, ways
from experiments.lora_vs_full.readings_altered import cuts, scaled
from experiments.lora_vs_full.tables import END, FULL, NOISE, NONE, ROTATED, arms, bases_of, nulls, over, paired, updates
from research.analysis import described
from research.analysis.contrasts import contrast
from research.analysis.intervals import t_interval
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

UNITS = {"energy_rank": "rank", "intruders": "count", "strength": "1", "relative_norm": "1", "stable_rank": "rank"}


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns losses, ranks, intruders, subspaces, what is left of changed updates, and how far the detector can be trusted."""
    results = standing(results)
    found = [
        *described.base(results),
        *described.window(results, {}),
        *_target(results),
        *_rates(results),
        *_losses(results),
        *_nulls(results),
    ]
    found += [f for metric in UNITS for f in _updates(results, metric)]
    return [*found, *_amplified(results), *_detector(results), *_alike(results), *cuts(results), *scaled(results)]


def _target(results: pd.DataFrame) -> Iterator[Finding]:
    for row in rows(results, metric="target").head(1).itertuples():
        yield finding("target", {}, Estimate(1.0, None, None, 1, "set by the config", str(row.note)), "count")


def _rates(results: pd.DataFrame) -> Iterator[Finding]:
    for row in rows(results, phase="choice", metric="best_learning_rate").itertuples():
        value = None if np.isnan(row.value) else float(row.value)
        note = row.note if isinstance(getattr(row, "note", None), str) else ""
        yield finding("learning_rate", {"arm": row.arm}, Estimate(value, None, None, 1, "best of a grid by selection seeds", note), "1")


def _losses(results: pd.DataFrame) -> Iterator[Finding]:
    """Losses at the end, and the loss and the step at which each arm is compared, beside full's."""
    bases = bases_of(results)
    before = rows(results, phase="reference", metric="source_loss")
    for arm in arms(results):
        own = rows(results, phase="result", arm=arm)
        last = own[own["step"] == own["step"].max()]
        ends = {name: last[last["metric"] == name].set_index("seed")["value"] for name in ("target_loss", "source_loss")}
        yield finding("target_loss", {"arm": arm, "at": END}, over(ends["target_loss"], bases), "bits/byte")
        rise = paired(ends["source_loss"], before.set_index("seed")["value"])
        yield finding("source_rise", {"arm": arm, "at": END}, over(rise, bases), "bits/byte")
        yield from _gained(results, arm, ends["target_loss"], bases)
    for share in shares(results):
        level = pd.Series(levels(results, share), dtype=float)
        if len(level):
            yield finding("level", {"at": place(share), "share": share}, over(level, bases), "bits/byte")
        yield from _matched(results, share, bases)


def _gained(results: pd.DataFrame, arm: str, ends: pd.Series, bases: pd.Series) -> Iterator[Finding]:
    """The share of what full training gains on the target that an arm gains."""
    start = rows(results, phase="reference", metric="target_loss").set_index("seed")["value"]
    full = rows(results, phase="result", arm=FULL, metric="target_loss")
    reached = full[full["step"] == full["step"].max()].set_index("seed")["value"]
    if arm != FULL and len(reached):
        share = paired(start, ends) / paired(start, reached)
        yield finding("gain_share", {"arm": arm}, over(share.dropna(), bases), "1")


def _nulls(results: pd.DataFrame) -> Iterator[Finding]:
    """What nulls of full training did to both losses by their end."""
    before, bases = rows(results, phase="reference"), bases_of(results)
    for null in nulls(results):
        own = rows(results, phase="altered", null=null)
        for name, metric in (("target_rise", "target_loss"), ("source_rise", "source_loss")):
            after, start = (some[some["metric"] == metric].set_index("seed")["value"] for some in (own, before))
            if len(after):
                yield finding(name, {"arm": FULL, "null": null, "at": END}, over(paired(after, start), bases), "bits/byte")


def _matched(results: pd.DataFrame, share: float, bases: pd.Series) -> Iterator[Finding]:
    """The loss and the step of the budget that is nearest to a share's level."""
    way, at, full = ways(results), steps(results, [share]), pd.Series(dtype=float)
    missed = Counter(arm for arm, _ in above(results, share))
    for arm in sorted(arms(results), key=lambda arm: arm != FULL):
        where = {"arm": arm, "at": place(share)}
        runs = [seed for seed in bases.index if (arm, NONE, seed) in at]
        if missed[arm]:
            lost = f"does not come down to it in {missed[arm]} of {len(runs)} runs"
            yield finding("matched_loss", where, Estimate(None, None, None, len(runs), "nearest budget", lost), "bits/byte")
            continue
        reached = pd.Series({seed: at[arm, NONE, seed][place(share)] for seed in runs}, dtype=float)
        losses = pd.Series({seed: float(way[arm, int(seed)].loc[step]) for seed, step in reached.items()}, dtype=float)
        full = losses if arm == FULL else full
        yield finding("matched_loss", where, over(losses, bases), "bits/byte")
        yield finding("matched_step", where, over(reached, bases), "steps")
        if arm != FULL and len(pairs := paired(losses, full)):
            yield finding(
                "contrast", {"what": "matched_loss", "between": f"{arm} - {FULL}", "at": place(share)}, over(pairs, bases), "bits/byte"
            )


def _updates(results: pd.DataFrame, metric: str) -> Iterator[Finding]:
    """A reading of updates, mean over matrices, of each arm and of its nulls; each arm less its nulls, and less full."""
    found, bases, others = updates(results, metric), bases_of(results), (NOISE, ROTATED, *nulls(results))
    for (arm, null, at), values in found.items():
        yield finding(metric, {"arm": arm, "null": null, "at": at}, over(values, bases), UNITS[metric])
    for (arm, null, at), own in found.items():
        beside = {other: found.get((arm, other, at)) for other in others}
        beside |= {} if arm == FULL else {FULL: found.get((FULL, NONE, at))}
        for other, values in beside.items() if null == NONE else ():
            if values is not None and len(pairs := paired(own, values)):
                where = {"what": metric, "between": f"{arm} - {other}", "at": at}
                yield finding("contrast", where, over(pairs, bases), UNITS[metric])


def _amplified(results: pd.DataFrame) -> Iterator[Finding]:
    """Amplification, and by how much it passes that of random directions for an update of the same norm."""
    found, bases = updates(results.assign(value=_logs(results)), "amplification") if len(results) else {}, bases_of(results)
    for (arm, null, at), values in found.items():
        yield finding("amplification", {"arm": arm, "null": null, "at": at}, over(values, bases, factor=True), "factor")
        noise = found.get((arm, NOISE, at))
        if null == NONE and noise is not None:
            where = {"what": "amplification", "between": f"{arm} / {NOISE}", "at": at}
            yield finding("contrast", where, over(paired(values, noise), bases, factor=True), "factor")


def _logs(results: pd.DataFrame) -> pd.Series:
    values = pd.to_numeric(results["value"])
    logs: pd.Series = np.log(values.where(values > 0))
    return logs


def _detector(results: pd.DataFrame) -> Iterator[Finding]:
    """How often a leading vector is called an intruder where noise was added to a start, and where few directions were."""
    own = rows(results, phase="reference", metric="detected")
    for (ground, added, strength), some in own.groupby(["ground", "added", "strength"], sort=False) if len(own) else ():
        name = "detector_fpr" if added == "full" else "detected_share"
        where = {"ground": ground, "strength": float(strength), "added": added}
        yield finding(name, where, t_interval(some["value"]), "1")


def _alike(results: pd.DataFrame) -> Iterator[Finding]:
    """The overlap of leading subspaces, its nulls, and by how much it passes that of permuted coordinates."""
    own = rows(results, phase="alike", metric="overlap")
    for (pair, at, side, size), some in own.groupby(["pair", "at", "side", "dimension"], sort=False) if len(own) else ():
        where = {"pair": pair, "at": at, "side": side, "dimension": int(size)}
        nulls_of = ["none", "permuted", "expected"]
        table = some.pivot_table(index=["seed", "base"], columns="null", values="value").reindex(columns=nulls_of).reset_index()
        for null in nulls_of:
            estimate = contrast(table[null].to_numpy(), table["base"].to_numpy())
            yield finding("subspace_similarity", {**where, "null": null}, estimate, "1")
        more = contrast((table["none"] - table["permuted"]).to_numpy(), table["base"].to_numpy())
        yield finding("contrast", {"what": "subspace_similarity", "between": "none - permuted", **where}, more, "1")
