"""What a run says of styles and facts: findings from its records alone."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.style_vs_facts.readings_contrasts import contrasts
from experiments.style_vs_facts.readings_old import old_recall
from experiments.style_vs_facts.ways import FACTS, Taught, arms, bases, ends, steps_to, untouched, ways
from research.analysis import described
from research.analysis.contrasts import contrast
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

RISING = 0.05  # growth over the last readings from which on an adapter is not called saturated
FULL_UP = 0.95  # of all bits there are, from which on nothing is left to be learned
NEAR = "the first step at nine tenths of the end, linear between readings"
PER = {"total": "bits", "step": "bits/step", "parameter": "bits/parameter", "flop": "bits/FLOP"}


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns bits, styles, steps, old facts and prices of each arm, what retrieval reads, and all contrasts, paired by seed."""
    found = [*described.base(results), *described.window(results, {}), *_rates(results), *_untouched(results)]
    found += [*_bits(results), *_per_parameter(results), *_styles(results), *_steps(results)]
    found += [*old_recall(results), *_text(results), *_breakeven(results), *contrasts(results)]
    return found


def _rates(results: pd.DataFrame) -> Iterator[Finding]:
    for row in rows(results, phase="choice", metric="best_learning_rate").itertuples():
        value = None if np.isnan(row.value) else float(row.value)
        note = row.note if isinstance(getattr(row, "note", None), str) else ""
        yield finding("learning_rate", {"arm": row.arm}, Estimate(value, None, None, 1, "best of a grid by selection seeds", note), "1")


def _untouched(results: pd.DataFrame) -> Iterator[Finding]:
    """What the bases read before any training: known facts, new ones without and with their statement, or a stray one, before them."""
    own = bases(results)
    names = {"old_bits": "bits/fact", "new_bits": "bits", "retrieved_bits": "bits", "stray_bits": "bits", "style_score": "1"}
    for metric, unit in names.items():
        values = untouched(results, metric)
        if len(values) and len(own):
            yield finding("untouched", {"what": metric}, _over(values, own), unit)
    correct = untouched(results, "retrieved_correct")
    if len(correct) and len(own):
        yield finding("untouched", {"what": "retrieved_correct"}, _over(correct, own), "1")


def _bits(results: pd.DataFrame) -> Iterator[Finding]:
    """Bits of new facts at the end, in the paraphrase that all lessons train, and in one that not all do; of those taught none, too."""
    new, held, own = ends(results, "new_bits"), ends(results, "heldout_bits"), bases(results)
    last = {arm: float(way.columns[-1]) for arm, way in ways(results, "new_bits").items()}
    for arm in arms(results):
        values = new[arm.word]
        divisors = {"total": 1.0, "step": last[arm.word], "parameter": _price(results, "trained_parameters", arm.how)}
        divisors["flop"] = _price(results, "training_flops", arm.how)
        for per, divisor in divisors.items() if arm.learns else (("total", 1.0),):
            asked = "trained" if arm.learns else "untaught"
            if np.isfinite(divisor):
                yield finding("bits_learned", {**arm.where, "per": per, "asked": asked}, _over(values / divisor, own), PER[per])
        if arm.learns:
            yield finding("bits_learned", {**arm.where, "per": "total", "asked": "withheld"}, _over(held[arm.word], own), "bits")


def _per_parameter(results: pd.DataFrame) -> Iterator[Finding]:
    """Bits of new facts for each parameter that moves, at the end; the note says whether they still rise, or whether all are learned."""
    own, facts = bases(results), [arm for arm in arms(results) if arm.kind == FACTS]
    for arm in facts:
        way, count = ways(results, "new_bits")[arm.word], _price(results, "trained_parameters", arm.how)
        if not np.isfinite(count):
            continue
        estimate = _over(way.iloc[:, -1] / count, own)
        yield finding(
            "bits_per_parameter", arm.where, estimate._replace(note=f"{_saturation(arm, way)}; {estimate.note}"), "bits/parameter"
        )


def _saturation(arm: Taught, way: pd.DataFrame) -> str:
    mean = way.mean(axis=0)
    there, last = 16.0 * arm.entities, float(mean.iloc[-1])
    if last >= FULL_UP * there:
        return "all there is was learned: a lower bound of what it holds"
    before = float(mean.iloc[-2]) if len(mean) > 1 else 0.0
    growth = (last - before) / max(abs(last), 1e-9)
    since = f"since step {mean.index[-2]:g}" if len(mean) > 1 else "since the start"
    return f"not saturated: {growth:+.0%} {since}" if growth > RISING else f"saturated: {growth:+.0%} {since}"


def _styles(results: pd.DataFrame) -> Iterator[Finding]:
    own, scores = bases(results), ends(results, "style_score")
    for arm in arms(results):
        if arm.word in scores:
            yield finding("style_score", arm.where, _over(scores[arm.word], own), "1")


def _steps(results: pd.DataFrame) -> Iterator[Finding]:
    own = bases(results)
    for name, metric, kind in (("steps_to_style", "style_score", "style"), ("steps_to_facts", "new_bits", FACTS)):
        table = ways(results, metric)
        for arm in (arm for arm in arms(results) if arm.kind == kind and arm.word in table):
            steps = steps_to(table[arm.word])
            if lost := int(steps.isna().sum()):
                estimate = Estimate(None, None, None, len(steps), NEAR, f"ends no higher than it began in {lost} of {len(steps)} runs")
            else:
                estimate = _over(steps, own)
            yield finding(name, arm.where, estimate, "steps")


def _text(results: pd.DataFrame) -> Iterator[Finding]:
    own, before = bases(results), untouched(results, "source_loss")
    for word, values in ends(results, "source_loss").items():
        arm = next(arm for arm in arms(results) if arm.word == word)
        yield finding("source_rise", arm.where, _over(values - before.loc[values.index], own), "bits/byte")


def _breakeven(results: pd.DataFrame) -> Iterator[Finding]:
    """Questions from which on training is cheaper than a fact before each question: FLOPs of a run over FLOPs that such a fact adds."""
    extra = rows(results, phase="cost", metric="query_flops")
    if extra.empty:
        return
    length = rows(results, phase="cost", metric="context_bytes")["value"].iloc[0]
    method = f"FLOPs of a run over those that a fact of {length:g} bytes before a question adds; counted, not measured"
    for how in dict.fromkeys(arm.how for arm in arms(results) if arm.kind == FACTS):
        value = _price(results, "training_flops", how) / float(extra["value"].iloc[0])
        yield finding("breakeven_queries", {"how": how}, Estimate(value, None, None, 1, method), "queries")


def _price(results: pd.DataFrame, metric: str, how: str) -> float:
    own = rows(results, phase="cost", metric=metric, how=how)
    return float(own["value"].iloc[0]) if len(own) else float("nan")


def _over(values: pd.Series, own: pd.Series) -> Estimate:
    return contrast(values.to_numpy(float), own.loc[values.index].to_numpy())
