"""What a run says of the data that a donor is worth: findings from its records alone."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from experiments.transfer.arms import SCRATCH, TUNED
from research.analysis import described
from research.analysis.contrasts import base_means, contrast, without_each
from research.analysis.data_transferred import Law, law
from research.analysis.effective_data import Losses, Point, effective_data, needed
from research.analysis.learning_rates import chosen
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

READ = "stopped"  # the phase of what a run reads where it is stopped
BEGINS, OWN_TEXT, SHARE = "text_begins", "own_text", "stopped_at"
FACTS = {"donor_tokens": "tokens", "unigram_loss": "bits/byte", "target": "count"}
BY = {"arm": "arm", "parameters": "parameters"}  # what a rate is chosen for
ALLOWED = 0.1  # of D(N), as in the paper
POWERS = ("k", "a", "b")


def measured(results: pd.DataFrame) -> bool:
    """Returns whether these are the records of amounts of data."""
    return bool(len(rows(results, metric=BEGINS)))


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns losses by arm, size and amount, effective data and data transferred, their law, and how many runs were still falling."""
    found = [*described.base(results), *described.window(results, {}), *_facts(results), *chosen(results, BY)]
    own = losses(results)
    if own is None:
        return found
    points = effective_data(own, ALLOWED)
    return [*found, *_losses(own), *_stops(results), *_needed(own), *(f for point in points for f in _point(point)), *_law(own)]


def losses(results: pd.DataFrame) -> Losses | None:
    """Returns what runs read where they were stopped, null where nothing ran, as the estimator takes it; None before both arms are."""
    read = rows(results, phase=READ, metric="document_loss")
    if read.empty or set(read["trains"]) != {SCRATCH, TUNED}:
        return None
    sizes, seeds = (np.sort(read[name].unique()) for name in ("parameters", "seed"))
    groups = rows(results, metric="document_bytes").sort_values("document")
    made = {}
    for arm in (SCRATCH, TUNED):
        some = read[read["trains"] == arm]
        amounts = np.sort(some["amount"].unique())
        values = np.full((len(seeds), len(sizes), len(amounts), len(groups)), np.nan)
        where = [np.searchsorted(axis, some[name]) for name, axis in (("seed", seeds), ("parameters", sizes), ("amount", amounts))]
        values[*where, some["document"].astype(int)] = some["value"]
        made[arm] = amounts.astype(float), values
    bases = read[read["trains"] == TUNED].groupby("seed")["base"].first().reindex(seeds).to_numpy()
    (data, scratch), (amounts, tuned) = made[SCRATCH], made[TUNED]
    return Losses(sizes.astype(float), data, amounts, scratch, tuned, groups["value"].to_numpy(float), bases)


def _facts(results: pd.DataFrame) -> Iterator[Finding]:
    for metric, unit in FACTS.items():
        for row in rows(results, phase="reference", metric=metric).head(1).itertuples():
            said = str(row.note) if metric == "target" else ""
            yield finding(metric, {}, Estimate(float(row.value), None, None, 1, "of the run", said), unit)
    begins = np.sort(rows(results, metric=BEGINS)["value"].to_numpy(float))
    if len(begins) > 1:
        said = "between where the texts of two seeds begin, at least: more than that, and they overlap"
        yield finding(OWN_TEXT, {}, Estimate(float(np.diff(begins).min()), None, None, len(begins), said), "bytes")


def _losses(own: Losses) -> Iterator[Finding]:
    alone = np.arange(len(own.bases))  # fresh weights are each seed's own; what was tuned shares the luck of its donor
    for arm, amounts, values, bases in ((SCRATCH, own.data, own.scratch, alone), (TUNED, own.amounts, own.tuned, own.bases)):
        for (n, size), (f, amount) in itertools.product(enumerate(own.sizes), enumerate(amounts)):
            estimate = _mean(values[:, n, f], own.weights, bases)
            if estimate.n:
                yield finding("transfer_loss", {"arm": arm, "parameters": int(size), "amount": int(amount)}, estimate, "bits/byte")


def _mean(losses: np.ndarray, weights: np.ndarray, bases: np.ndarray) -> Estimate:
    """The mean of losses (seeds, groups), with an interval over bases and documents."""
    replicates = np.nanmean(base_means(without_each(losses, weights), bases), axis=0) if np.isfinite(losses).any() else None
    return contrast(losses @ weights / weights.sum(), bases, replicates, weights)


def _stops(results: pd.DataFrame) -> Iterator[Finding]:
    """How many runs of an arm and amount had their lowest validation loss at the end, so that a longer one may be lower still."""
    read = rows(results, phase=READ, metric=SHARE)
    for (arm, size, amount), some in read.groupby(["trains", "parameters", "amount"], sort=False):
        late = Estimate(float((some["value"] == 1).sum()), None, None, len(some), f"of {len(some)} runs")
        yield finding("still_falling", {"arm": arm, "parameters": int(size), "amount": int(amount)}, late, "count")


def _needed(own: Losses) -> Iterator[Finding]:
    for size, value in zip(own.sizes, needed(own), strict=True):
        if np.isfinite(value):
            said = "where the mean scratch curve has 1/0.99 of the loss at its end"
            yield finding("scratch_needs", {"parameters": int(size)}, Estimate(float(value), None, None, len(own.bases), said), "bytes")


def _point(point: Point) -> Iterator[Finding]:
    where = {"parameters": int(point.size), "amount": int(point.amount), "word": point.word}
    yield finding("effective_data", where, point.effective, "bytes")
    yield finding("data_transferred", where, point.transferred, "bytes")
    value, low, high = (None if end is None else end / point.amount for end in point.effective[:3])
    yield finding("multiplier", where, point.effective._replace(value=value, low=low, high=high), "1")


def _law(own: Losses) -> Iterator[Finding]:
    found: Law = law(own, ALLOWED)
    for word, count in found.words.items():
        yield finding("points", {"word": word}, Estimate(float(count), None, None, 1, "counted"), "count")
    for power in POWERS:
        yield finding("transfer_law", {"what": power}, getattr(found, power), "bytes^(1-a) parameters^-b" if power == "k" else "1")
    for name, estimate in found.misfit.items():
        yield finding("transfer_misfit", {"what": name}, estimate, "1")


def of_name(found: Sequence[Finding], name: str) -> list[Finding]:
    """Returns the findings of a name, by size and amount where they have these."""
    return sorted((f for f in found if f.name == name), key=lambda f: (f.where.get("parameters", 0), f.where.get("amount", 0)))
