"""What a sweep over ranks says: findings from the records alone."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from experiments.lora_rank_sweep import ledger, updates
from experiments.lora_rank_sweep.contrasts import FIRST, between_inits, gaps, rates, untrained
from experiments.lora_rank_sweep.forgetting import source_at_equal_loss
from experiments.lora_rank_sweep.measured import UNTOUCHED, Curve, Measured, curve, measured, targets
from experiments.lora_rank_sweep.wording import FULL, MATCHED
from research.analysis import described
from research.analysis.contrasts import BASE_LEFT_OUT, contrast, of_one_base, units
from research.analysis.intervals import join_notes
from research.analysis.learning_rates import lr_ratio
from research.analysis.recovery import definitions, rank_needed, relative_r90, sensitivity, shared_targets, start_loss, steps_needed
from research.findings import Estimate, Finding, finding

METHODS = {"unigram_loss": "of the text that is read", "bigram_loss": "of the text that is read", "floor_loss": "exact, of the grammar"}


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns all findings of a sweep, target by target: losses, what a rank costs, contrasts, r90 by every definition, and the rest.

    Beside them what they are compared with: untouched weights, n-gram entropies, a generated target's floor, noise.
    """
    found: list[Finding] = [*described.base(results)]
    for target in targets(results):
        own = measured(results, target)
        if "unigram_loss" not in own.known:
            continue
        found += [*_losses(own), *_known(own), *described.window(results[results["target"] == target], {"target": target})]
        found += [*gaps(own), *untrained(own), *between_inits(own)]
        for arm in own.arms():
            for init in own.inits():
                found += _relative(own, init, arm)
        found += _absolute(results, own)
        found += [*updates.first_values(results, target), *updates.cut(results, own)]
        found += [*_source(results, target), *source_at_equal_loss(results, target, FIRST)]
        chosen = results[(results["target"] == target) & (results["phase"] == "select")]
        found += [*_ratios(chosen, target), *rates(chosen, target)]
    return [*found, *ledger.findings(results)]


def _losses(own: Measured) -> Iterator[Finding]:
    """The loss of everything that was trained, and of untouched weights, with intervals over bases and documents."""
    untouched = [(init, None, UNTOUCHED, None) for init in own.inits()]
    for init, arm, trains, rank in (*untouched, *own.trained()):
        runs = own.of(init, arm, trains, rank)
        where = {"target": own.target, "init": init} | ({} if trains == UNTOUCHED else {"arm": arm, "trains": trains, "rank": rank})
        diverged = Estimate(None, None, None, 0, "mean", "diverged in every seed")
        estimate = own.mean(init, runs) if len(runs.seeds) else diverged
        yield finding("untouched_loss" if trains == UNTOUCHED else "target_loss", where, estimate, "bits/byte")


def _known(own: Measured) -> Iterator[Finding]:
    for name, value in own.known.items():
        if name not in METHODS:
            continue
        yield finding(name, {"target": own.target}, Estimate(float(value), None, None, 1, METHODS[name]), "bits/byte")


def _relative(own: Measured, init: str, arm: str) -> list[Finding]:
    """The share of the gain that each rank recovers and the rank for 90 % of it, by definition, and how it hangs on the reference."""
    where, found = {"target": own.target, "init": init, "arm": arm}, curve(own, init, arm)
    against = {} if own.reference == MATCHED else {"reference": own.reference}
    if found is None or len(found.ranks) < 3:
        nothing = Estimate(None, None, None, 0, "isotonic inversion", "too few finished runs or ranks for a rank curve")
        return [finding("r90", {**where, "reading": "relative", **against}, nothing, "rank")]
    one = found.by_base()
    unigram = own.known["unigram_loss"]
    start = start_loss(one.untouched, unigram)
    reading = found.noted(relative_r90(one.ranks, start, one.reached, one.whole))
    made = [finding("r90", {**where, "reading": "relative", **against}, reading, "rank")]
    width = own.known["width"]
    value, low, high = (None if end is None else end / width for end in reading[:3])
    share = reading._replace(value=value, low=low, high=high)
    made.append(finding("r90_over_width", {**where, "width": int(width), **against}, share, "1"))
    references = {name: losses for name, losses in ((MATCHED, one.matched), (FULL, one.full)) if np.isfinite(losses).all()}
    table = definitions(one.ranks, one.reached, {"min": start, "untouched": one.untouched, "unigram": unigram}, references)
    for row in table.itertuples():
        at = {**where, "start": row.start, "reference": row.reference}
        estimate = Estimate(_none(row.value), _none(row.low), _none(row.high), row.n, row.method, row.note)
        if row.metric == "r90":
            made.append(finding("r90_by_definition", at, found.noted(estimate), "rank"))
    for row in sensitivity(one.ranks, start, one.reached, one.whole).itertuples():
        estimate = Estimate(_none(row.value), _none(row.low), _none(row.high), row.n, row.method, row.note)
        made.append(finding("r90_sensitivity", {**where, "changed": row.changed, **against}, found.noted(estimate), "rank"))
    return made


def _absolute(results: pd.DataFrame, own: Measured) -> Iterator[Finding]:
    """The rank, and the steps of training everything, for a loss that all initializations reach on validation text.

    Read at every budget on the fixed first chunk of the part, so that budgets differ by training alone.
    """
    rows = results[(results["target"] == own.target) & (results["phase"] == "result")]
    steps, chosen = (sorted(rows[name].dropna().astype(int).unique()) for name in ("step", "chosen_for"))
    at_steps = {step: measured(results, own.target, step) for step in steps}
    last = rows[(rows["metric"] == "validation_loss") & (rows["step"] == steps[-1]) & (rows["chosen_for"] == chosen[-1])]
    for arm in own.arms():
        runs = last[last["arm"] == arm].astype({"value": float})
        reached = {
            str(init): some.groupby(["trains", "rank"], dropna=False)["value"].mean().to_numpy() for init, some in runs.groupby("init")
        }
        losses = shared_targets(reached, own.known["unigram_loss"])
        for (name, bits), init in itertools.product(losses.items(), reached):
            where = {"target": own.target, "init": init, "arm": arm, "reading": "absolute", "loss": name, "bits": round(bits, 4)}
            for step, at in at_steps.items():
                note = f"rates chosen for step {step if step in chosen else chosen[-1]}"
                yield from _needed(curve(at, init, arm), bits, {**where, "step": step}, note)
            yield from _steps(at_steps, init, bits, {**where, "trains": "full"})


def _needed(found: Curve | None, bits: float, where: dict[str, Any], note: str) -> Iterator[Finding]:
    if found is not None and len(found.ranks) > 2:
        one = found.by_base()
        estimate = found.noted(rank_needed(one.ranks, one.reached, bits))
        yield finding("r90", where, estimate._replace(note=join_notes(estimate.note, note)), "rank")


def _steps(at_steps: dict[int, Measured], init: str, bits: float, where: dict[str, Any]) -> Iterator[Finding]:
    runs = [own.of(init, None, "full") for own in at_steps.values()]
    seeds = np.array(sorted(set.intersection(*(set(one.seeds) for one in runs))), int)
    if len(seeds) and len(runs) > 1:
        bases = np.array([next(iter(at_steps.values())).bases[init, seed] for seed in seeds])
        curves = units(np.stack([one.at(seeds)[:, 0] for one in runs], axis=1), bases)
        estimate = steps_needed(np.array(list(at_steps), float), curves, bits)
        if of_one_base(bases):
            estimate = estimate._replace(note=join_notes(estimate.note, f"over {estimate.n} {BASE_LEFT_OUT}"))
        yield finding("steps_needed", where, estimate, "steps")


def _source(results: pd.DataFrame, target: str) -> Iterator[Finding]:
    rows = results[(results["target"] == target) & (results["phase"] == "result") & (results["metric"] == "source_loss")]
    rows = rows[(rows["step"] == rows["step"].max()) & (rows["chosen_for"] == rows["chosen_for"].max())]
    for (init, arm, trains, rank), some in rows.groupby(["init", "arm", "trains", "rank"], dropna=False, sort=False):
        where = {"target": target, "init": init, "arm": _none(arm), "trains": trains, "rank": _whole(rank)}
        yield finding("source_loss", where, contrast(some["value"].to_numpy(float), some["base"].to_numpy(int)), "bits/byte")


def _ratios(chosen: pd.DataFrame, target: str) -> Iterator[Finding]:
    bases = chosen.groupby("init")["base"].nunique()
    for row in lr_ratio(chosen).itertuples():
        where = {"target": target, "init": row.init, "arm": row.arm, "rank": _whole(row.rank), "reference": row.reference}
        estimate = Estimate(_none(row.value), _none(row.low), _none(row.high), row.n, row.method, row.note)
        if bases[row.init] == 1 < row.n:
            estimate = estimate._replace(note=join_notes(row.note, f"over {row.n} {BASE_LEFT_OUT}"))
        elif bases[row.init] < row.n:
            estimate = estimate._replace(
                low=None, high=None, n=int(bases[row.init]), note=join_notes(row.note, "seeds share a base: no interval")
            )
        yield finding("lr_ratio", where, estimate, "1")


def _none(value: Any) -> Any:
    return None if value is None or (not isinstance(value, str) and pd.isna(value)) else value


def _whole(value: Any) -> int | None:
    return None if _none(value) is None else int(float(str(value)))
