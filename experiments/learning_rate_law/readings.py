"""What is read of best learning rates: where they lie, their powers of the rank, and the curvature beside them."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.learning_rate_law.laws import judged, rules_cost
from experiments.learning_rate_law.optima import Best, Optima, Pair, optima, rules_of
from research.analysis import described
from research.analysis.contrasts import contrast
from research.analysis.intervals import join_notes
from research.analysis.rate_laws import LAWS, exponent, plane, spread_of
from research.findings import Estimate, Finding, finding


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns best rates, their powers, curvature, errors of laws, and contrasts, on each target and from each start."""
    if "phase" not in results:
        return []
    some, before = list(optima(results, rules_of(results))), list(optima(results, rules_of(results), last=False))
    found = [*described.base(results)]
    for own in some:
        found += [*described.window(results[results["target"] == own.target], {"target": own.target})]
        found += [*_rates(own), *_exponents(own), *_curvature(own), *rules_cost(own)]
        for earlier in (one for one in before if (one.target, one.init) == (own.target, own.init)):
            found += [*_rates(earlier), *_exponents(earlier), *_since(own, earlier)]
    found += judged(some)
    for other in some[1:]:
        found += _between(some[0], other)
    return [*found, *_worst_residual(results)]


def _where(own: Optima) -> dict[str, Any]:
    return {"target": own.target, "init": own.init, "step": own.step}


def _rates(own: Optima) -> Iterator[Finding]:
    """The best rate of training everything and of each setting, and the ratio of the two."""
    full = own.best.get(None)
    if full is not None:
        yield finding("best_rate", {**_where(own), "trains": "full", "rule": None, "rank": None, "alpha": None}, _rate(own, full), "1")
    for rule, rank, alpha in own.pairs:
        where = {**_where(own), "trains": "lora", "rule": rule, "rank": rank, "alpha": alpha}
        best = own.best[rank, alpha]
        yield finding("best_rate", where, _rate(own, best), "1")
        yield finding("best_loss", where, contrast(best.losses, own.bases), "bits/byte")
        if full is not None:
            lost = join_notes(*dict.fromkeys((*full.notes, *best.notes)))
            ratio = _censored(own, lost) if lost else own.over(best.logs - full.logs, factor=True)
            yield finding("lr_ratio", {**where, "reference": "full"}, ratio, "1")


def _rate(own: Optima, best: Best) -> Estimate:
    return _censored(own, join_notes(*dict.fromkeys(best.notes))) if best.notes else own.over(best.logs, factor=True)


def _censored(own: Optima, why: str) -> Estimate:
    return Estimate(None, None, None, len(np.unique(own.bases)), "geometric mean over bases", why)


def _by_rule(own: Optima) -> dict[str, list[Pair]]:
    """The pairs of each rule that were read, where these are of three ranks or more."""
    grouped = {rule: [pair for pair in own.read() if pair[0] == rule] for rule, _, _ in own.pairs}
    return {rule: pairs for rule, pairs in grouped.items() if len(pairs) > 2}


def slope(own: Optima, pairs: Sequence[Pair]) -> np.ndarray:
    """Returns the power of the rank in the best rate of a rule's pairs, (seeds, 1 + groups)."""
    return exponent(np.log([float(rank) for _, rank, _ in pairs]), own.logs(pairs))


def _spread(pairs: Sequence[Pair]) -> float:
    """The standard error of `slope` for best rates that are off by a deviation of 1."""
    logs = np.log([float(rank) for _, rank, _ in pairs])
    return float(spread_of(np.stack([np.ones(len(logs)), logs], axis=1))[1])


def slopes(own: Optima, pairs: Sequence[Pair], other: Optima, others: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns `slope` of two rules, or of one at two steps or places, over the ranks that both have; None for fewer than three."""
    shared = {rank for _, rank, _ in pairs} & {rank for _, rank, _ in others}
    if len(shared) < 3:
        return None
    one, two = (slope(o, [pair for pair in some if pair[1] in shared]) for o, some in ((own, pairs), (other, others)))
    return one, two


def _exponents(own: Optima) -> Iterator[Finding]:
    """Powers: of the rank under each rule, and how they differ; of rank and scale in all settings; of the curvature."""
    rules = _by_rule(own)
    for rule, pairs in rules.items():
        estimate = own.fitted(slope(own, pairs), _spread(pairs))
        if len(pairs) < len([pair for pair in own.pairs if pair[0] == rule]):
            estimate = estimate._replace(note=join_notes(f"of ranks {', '.join(str(rank) for _, rank, _ in pairs)} alone", estimate.note))
        yield finding("rate_exponent", {**_where(own), "rule": rule, "of": "rank"}, estimate, "1")
    for (rule, pairs), (other, others) in itertools.combinations(rules.items(), 2):
        if (both := slopes(own, pairs, own, others)) is not None:
            where = {**_where(own), "what": "rate_exponent", "between": f"{rule} - {other}"}
            yield finding("contrast", where, own.fitted(both[0] - both[1], math.hypot(_spread(pairs), _spread(others))), "1")
    pairs = own.read()
    if len(rules) > 1:
        settings = own.settings(pairs, 0)
        spreads = dict(zip(("rank", "scale"), spread_of(LAWS["rank and scale"](settings)[1])[1:], strict=True))
        for of, values in plane(settings, own.logs(pairs)).items():
            yield finding("rate_exponent", {**_where(own), "rule": "all", "of": of}, own.fitted(values, float(spreads[of])), "1")
    if len(pairs) > 2:
        yield finding("rate_exponent", {**_where(own), "rule": "all", "of": "lambda_max"}, own.over(_of_curvature(own, pairs)), "1")


def _of_curvature(own: Optima, pairs: Sequence[Pair]) -> np.ndarray:
    """The power of the largest eigenvalue in the best rate, (seeds, 1 + groups)."""
    logs = own.logs(pairs)
    return np.stack([exponent(np.log(own.settings(pairs, seed).curvature), logs[:, seed]) for seed in range(len(own.bases))])


def _curvature(own: Optima) -> Iterator[Finding]:
    """The largest eigenvalue at the start, its power of the rank under each rule, and of rank and scale in all settings."""
    start = {"target": own.target, "init": own.init}
    for rule, rank, alpha in own.pairs:
        if (rank, alpha) in own.curvature and (own.curvature[rank, alpha] > 0).all():
            where = {**start, "rule": rule, "rank": rank, "alpha": alpha}
            yield finding("lambda_max", where, contrast(np.log(own.curvature[rank, alpha]), own.bases, factor=True), "nats")
    for rule, some in itertools.groupby(own.pairs, key=lambda pair: pair[0]):
        pairs = [pair for pair in some if pair[1:] in own.curvature]
        values = np.array([own.curvature[rank, alpha] for _, rank, alpha in pairs])
        if len(pairs) > 2 and (values > 0).all():
            powers = exponent(np.log([float(rank) for _, rank, _ in pairs]), np.log(values))
            yield finding("lambda_exponent", {**start, "rule": rule, "of": "rank"}, contrast(powers, own.bases), "1")
            if set(pairs) <= set(own.read()):
                where = {**_where(own), "what": "inverse", "rule": rule, "between": f"{rule} - 1 / lambda_max"}
                yield finding("contrast", where, contrast(slope(own, pairs)[:, 0] + powers, own.bases), "1")
    pairs = own.read()
    if len({rule for rule, _, _ in pairs}) > 1 and not own.curvature_lost(pairs):
        logs = np.log([own.curvature[rank, alpha] for _, rank, alpha in pairs])
        for of, values in plane(own.settings(pairs, 0), logs).items():
            yield finding("lambda_exponent", {**start, "rule": "all", "of": of}, contrast(values, own.bases), "1")


def _since(own: Optima, earlier: Optima) -> Iterator[Finding]:
    """How the powers at the end differ from those at a step before, paired by seed."""
    before = _by_rule(earlier)
    for rule, pairs in _by_rule(own).items():
        if (both := slopes(own, pairs, earlier, before.get(rule, []))) is not None:
            where = {**_where(own), "what": "rate_exponent", "rule": rule, "between": f"step {own.step} - step {earlier.step}"}
            yield finding("contrast", where, own.over(both[0][:, :1] - both[1][:, :1]), "1")


def _between(own: Optima, other: Optima) -> Iterator[Finding]:
    """How the powers and the rates of the first target and start differ from those of another, paired by seed."""
    theirs = _by_rule(other)
    between = f"{own.target} {own.init} - {other.target} {other.init}"
    for rule, pairs in _by_rule(own).items():
        if (both := slopes(own, pairs, other, theirs.get(rule, []))) is not None:
            one, two = both
            same = own.target == other.target  # else documents are others, too
            values = one - two if same and one.shape == two.shape else (one - two[:, :1])[:, :1]
            where = {"what": "rate_exponent", "rule": rule, "between": between}
            bases = min((own.bases, other.bases), key=lambda some: len(set(some)))
            yield finding("contrast", where, own._replace(bases=bases).over(values), "1")


def _worst_residual(results: pd.DataFrame) -> Iterator[Finding]:
    """To which share of itself the least exact of all largest eigenvalues is exact."""
    rows = results[results["phase"] == "curvature"]
    if len(rows):
        table = rows.pivot_table(index=["target", "init", "rank", "alpha", "seed"], columns="metric", values="value")
        share = float((table["lambda_max_residual"] / table["lambda_max"]).max())
        yield finding("lambda_residual", {}, Estimate(share, None, None, len(table), "largest residual over its eigenvalue"), "1")
