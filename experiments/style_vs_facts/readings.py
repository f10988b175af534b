"""What a run says of styles and facts: findings from its records alone."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.style_vs_facts.readings_contrasts import contrasts
from experiments.style_vs_facts.readings_old import old_recall
from experiments.style_vs_facts.ways import BITS, FACTS, Read, Taught, level, steps_to
from research.analysis import described
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

RISING = 0.05  # growth over the last readings from which on an adapter is not called saturated
FULL_UP = 0.95  # of all bits there are, from which on nothing is left to be learned
NEAR = "the first step at half of a sure style, or of all bits there are, linear between readings"
PER = {"total": "bits", "step": "bits/step", "parameter": "bits/parameter", "flop": "bits/FLOP"}


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns bits, styles, steps, old facts and prices of each arm, what retrieval reads, and all contrasts, paired by seed."""
    read = Read(results)
    found = [*described.base(results), *described.window(results, {}), *_rates(read), *_untouched(read)]
    found += [*_bits(read), *_per_parameter(read), *_styles(read), *_steps(read)]
    found += [*old_recall(read), *_text(read), *_marginal(read), *_breakeven(read), *contrasts(read)]
    return found


def _rates(read: Read) -> Iterator[Finding]:
    for row in rows(read.results, phase="choice", metric="best_learning_rate").itertuples():
        value = None if np.isnan(row.value) else float(row.value)
        note = row.note if isinstance(getattr(row, "note", None), str) else ""
        yield finding("learning_rate", {"arm": row.arm}, Estimate(value, None, None, 1, "best of a grid by selection seeds", note), "1")


def _untouched(read: Read) -> Iterator[Finding]:
    """What the bases read before any training: known facts, new ones without and with their statement, or a stray one, before them."""
    names = {"old_bits": "bits/fact", "new_bits": "bits", "retrieved_bits": "bits", "stray_bits": "bits", "style_score": "1"}
    for metric, unit in names.items():
        values = read.untouched(metric)
        if len(values) and len(read.bases):
            yield finding("untouched", {"what": metric}, read.over(values), unit)
    correct = read.untouched("retrieved_correct")
    if len(correct) and len(read.bases):
        yield finding("untouched", {"what": "retrieved_correct"}, read.over(correct), "1")


def _bits(read: Read) -> Iterator[Finding]:
    """Bits of new facts at the end, in the paraphrase that all lessons train, and in one that not all do; of those taught none, too."""
    new, held = read.ends("new_bits"), read.ends("heldout_bits")
    last = {arm: float(way.columns[-1]) for arm, way in read.ways("new_bits").items()}
    for arm in read.arms:
        values = new[arm.word]
        divisors = {"total": 1.0, "step": last[arm.word], "parameter": read.price("trained_parameters", arm.how)}
        divisors["flop"] = read.price("training_flops", arm.how)
        for per, divisor in divisors.items() if arm.learns else (("total", 1.0),):
            asked = "trained" if arm.learns else "untaught"
            if np.isfinite(divisor):
                yield finding("bits_learned", {**arm.where, "per": per, "asked": asked}, read.over(values / divisor), PER[per])
        if arm.learns:
            yield finding("bits_learned", {**arm.where, "per": "total", "asked": "withheld"}, read.over(held[arm.word]), "bits")


def _per_parameter(read: Read) -> Iterator[Finding]:
    """Bits of new facts for each parameter that moves, at the end; the note says whether they still rise, or whether all are learned."""
    for arm in (arm for arm in read.arms if arm.kind == FACTS):
        way, count = read.ways("new_bits")[arm.word], read.price("trained_parameters", arm.how)
        if not np.isfinite(count):
            continue
        estimate = read.over(way.iloc[:, -1] / count)
        yield finding(
            "bits_per_parameter", arm.where, estimate._replace(note=f"{_saturation(arm, way)}; {estimate.note}"), "bits/parameter"
        )


def _saturation(arm: Taught, way: pd.DataFrame) -> str:
    mean = way.mean(axis=0)
    there, last = BITS * arm.entities, float(mean.iloc[-1])
    if last >= FULL_UP * there:
        return "all there is was learned: a lower bound of what it holds"
    before = float(mean.iloc[-2]) if len(mean) > 1 else 0.0
    growth = (last - before) / max(abs(last), 1e-9)
    since = f"since step {mean.index[-2]:g}" if len(mean) > 1 else "since the start"
    return f"not saturated: {growth:+.0%} {since}" if growth > RISING else f"saturated: {growth:+.0%} {since}"


def _styles(read: Read) -> Iterator[Finding]:
    scores = read.ends("style_score")
    for arm in read.arms:
        if arm.word in scores:
            yield finding("style_score", arm.where, read.over(scores[arm.word]), "1")


def _steps(read: Read) -> Iterator[Finding]:
    for name, metric, kind in (("steps_to_style", "style_score", "style"), ("steps_to_facts", "new_bits", FACTS)):
        table = read.ways(metric)
        for arm in (arm for arm in read.arms if arm.kind == kind and arm.word in table):
            steps = steps_to(table[arm.word], level(arm))
            if lost := int(steps.isna().sum()):
                estimate = Estimate(None, None, None, len(steps), NEAR, f"not reached in {lost} of {len(steps)} runs")
            else:
                estimate = read.over(steps)
            yield finding(name, arm.where, estimate, "steps")


def _text(read: Read) -> Iterator[Finding]:
    before = read.untouched("source_loss")
    for word, values in read.ends("source_loss").items():
        arm = next(arm for arm in read.arms if arm.word == word)
        yield finding("source_rise", arm.where, read.over(values - before.loc[values.index]), "bits/byte")


def _marginal(read: Read) -> Iterator[Finding]:
    """Bits of new facts that who knows no entity, but how often each value occurs among them, reads."""
    for entities in sorted({arm.entities for arm in read.arms if arm.kind == FACTS}):
        values = read.untouched("marginal_bits", entities)
        if len(values):
            yield finding("marginal_bits", {"entities": entities}, read.over(values), "bits")


def _breakeven(read: Read) -> Iterator[Finding]:
    """Questions from which on training is cheaper than a fact before each question: FLOPs of a run over FLOPs that such a fact adds."""
    extra, length = read.price("query_flops"), read.price("context_bytes")
    if not np.isfinite(extra):
        return
    method = f"FLOPs of a run over those that a fact of {length:g} bytes before a question adds; counted, not measured"
    for how in dict.fromkeys(arm.how for arm in read.arms if arm.kind == FACTS):
        value = read.price("training_flops", how) / extra
        yield finding("breakeven_queries", {"how": how}, Estimate(value, None, None, 1, method), "queries")
