"""Laws of the best rate, each fitted to some settings and judged on those that were left out."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from experiments.learning_rate_law.optima import Optima, Pair
from research.analysis.rate_laws import LAWS, Settings, error, left_out, predicted
from research.findings import Finding, finding

MEASURED = "measured elsewhere"  # on other bases, or on another target: what a sweep would tell instead of a law
CONSTANT = "constant"
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
    bend = np.stack([own.best[rank, alpha].bend for _, rank, alpha in pairs])
    told = {name: values for name, values in residuals.items() if np.isfinite(values[:, :, 0]).any()}
    for name, values in told.items():
        yield finding("law_error", {**where, "law": name}, own.over(error(values)), "1")
        cost = np.nanmean(bend * values[:, :, 0] ** 2, axis=0)
        yield finding("law_cost", {**where, "law": name}, own.over(cost[:, None]), "bits/byte")
    for (name, values), (other, others) in itertools.combinations(told.items(), 2):
        both = np.isfinite(values) & np.isfinite(others)
        if both[:, :, 0].any(axis=0).all():
            one, two = (error(np.where(both, side, np.nan)) for side in (values, others))
            yield finding("contrast", {**where, "what": "law_error", "between": f"{name} - {other}"}, own.over(one - two), "1")
