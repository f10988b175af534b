"""Laws of the best rate, each fitted to some settings and judged on those that were left out."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from experiments.learning_rate_law.optima import Optima, Pair
from research.analysis.rate_laws import LAWS, Settings, error, left_out, predicted
from research.findings import Finding, finding

MEASURED = "measured elsewhere"  # on other bases, or on another target: what a sweep would tell instead of a law
CONSTANT, WIDTH = "constant", "width"
SETTING, RANK, RULE, TARGET, SHAPE = "setting", "rank", "rule", "target", "target but for a factor"
Residuals: TypeAlias = Mapping[str, np.ndarray]  # by law, (pairs, seeds, 1 + groups)


def judged(some: Sequence[Optima]) -> list[Finding]:
    """Returns the error of each law (a root mean square of natural logarithms), what it costs, and how laws compare.

    Left out, seed by seed, are a setting, all settings of a rank, or of a rule; a law for a target is fitted to the first one, from the
    first start, and judged there as it is, and but for one factor for all settings.
    """
    made: list[Finding] = []
    for own in some:
        pairs = own.read()
        if len(pairs) < 4 or len({rule for rule, _, _ in pairs}) < 2 or own.curvature_lost(pairs):
            continue
        for what in (SETTING, RANK, RULE):
            made += _findings(own, what, pairs, _within(own, what, pairs))
        first = some[0]
        shared = [pair for pair in pairs if pair in first.read()]
        if own.target != first.target and len(shared) > 3:
            across = _across(own, first, shared)
            made += _findings(own, TARGET, shared, across)
            made += _findings(own, SHAPE, shared, {name: values - values.mean(axis=0) for name, values in across.items()})
    return made


def _within(own: Optima, what: str, pairs: Sequence[Pair]) -> Residuals:
    logs = own.logs(pairs)
    groups = np.array([f"{rank} {alpha:g}" if what == SETTING else str(rank) if what == RANK else rule for rule, rank, alpha in pairs])
    seeds = range(len(own.bases))
    found = {
        name: np.stack([left_out(law, own.settings(pairs, seed), logs[:, seed], groups) for seed in seeds], axis=1)
        for name, law in LAWS.items()
    }
    if what == SETTING and len(np.unique(own.bases)) > 1:
        found[MEASURED] = np.stack([logs[:, own.bases != own.bases[seed]].mean(axis=1) - logs[:, seed] for seed in seeds], axis=1)
    return found


def _across(own: Optima, first: Optima, pairs: Sequence[Pair]) -> Residuals:
    """Errors on a target of laws that were fitted to another one, and of the rates that were measured there, seed by seed."""
    logs, theirs = own.logs(pairs), first.logs(pairs)[:, :, :1]
    known = np.arange(2 * len(pairs)) < len(pairs)
    found: dict[str, list[np.ndarray]] = {name: [] for name in LAWS}
    for (name, law), seed in itertools.product(LAWS.items(), range(len(own.bases))):
        both = _joined(first.settings(pairs, seed), own.settings(pairs, seed))
        line = predicted(law, both, np.concatenate([theirs[:, seed], logs[:, seed, :1]]), known)[len(pairs) :]
        found[name].append(line - logs[:, seed])
    return {**{name: np.stack(values, axis=1) for name, values in found.items()}, MEASURED: theirs - logs}


def _joined(first: Settings, second: Settings) -> Settings:
    rule, rank, scale, curvature = (np.concatenate([a, b]) for a, b in zip(first[:4], second[:4], strict=True))
    return Settings(rule, rank, scale, curvature, first.width)


def _findings(own: Optima, what: str, pairs: Sequence[Pair], residuals: Residuals) -> Iterator[Finding]:
    where = {"target": own.target, "init": own.init, "left_out": what}
    settings, logs = own.settings(pairs, 0), own.logs(pairs)[:, :, 0]
    told = {name: values for name, values in residuals.items() if np.isfinite(values[:, :, 0]).any()}
    for name, values in told.items():
        yield finding("law_error", {**where, "law": name}, own.over(np.log(error(values, settings)), factor=True), "1")
        if name != WIDTH:
            yield finding("law_cost", {**where, "law": name}, own.over(_costs(own, pairs, logs + values[:, :, 0])), "bits/byte")
    for (name, values), (other, others) in itertools.combinations(told.items(), 2):
        both = np.isfinite(values) & np.isfinite(others)
        if both[:, :, 0].any(axis=0).all():
            one, two = (error(np.where(both, side, np.nan), settings) for side in (values, others))
            yield finding("contrast", {**where, "what": "law_error", "between": f"{name} - {other}"}, own.over(one - two), "1")


def rules_cost(own: Optima) -> Iterator[Finding]:
    """Yields what one rate for all ranks costs under each rule, mean over its ranks, at the geometric mean of their best rates."""
    for rule in dict.fromkeys(rule for rule, _, _ in own.read()):
        pairs = [pair for pair in own.read() if pair[0] == rule]
        rates = own.logs(pairs)[:, :, 0]
        where = {"target": own.target, "init": own.init, "step": own.step, "rule": rule}
        yield finding("one_rate_cost", where, own.over(_costs(own, pairs, np.broadcast_to(rates.mean(axis=0), rates.shape))), "bits/byte")


def _costs(own: Optima, pairs: Sequence[Pair], log_rates: np.ndarray) -> np.ndarray:
    """What rates (pairs, seeds) cost beside the best ones, mean over settings, (seeds, 1); a setting under two rules counts once."""
    once = {(rank, alpha): place for place, (_, rank, alpha) in enumerate(pairs)}
    seeds = range(log_rates.shape[1])
    costs = [[own.best[setting].cost(seed, log_rates[place, seed]) for seed in seeds] for setting, place in once.items()]
    return np.mean(costs, axis=0)[:, None]
