"""What a run says about forgetting: findings from its records alone."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.forgetting.paths import FULL, SLOW, WISE, Arm, arms, levels, lost_at, lost_without, paths, volume, without_documents
from research.analysis import described
from research.analysis.contrasts import base_means, contrast, without_each
from research.analysis.learning_rates import chosen
from research.analysis.mediation import explained
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

LEAST = 3  # points, to fit a curve to
EQUAL = "linear between readings of a run's way, the untouched model first"


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns rises and losses of each method, at the end and where all have learned equally, fronts, updates, what divergences explain."""
    found = [
        *described.base(results),
        *described.window(results, {}),
        *_target(results),
        *_ignorance(results),
        *chosen(results, {"arm": "method"}),
    ]
    found += [*_ends(results), *_equal(results), *_volumes(results), *_updates(results), *_explained(results)]
    return found


def _target(results: pd.DataFrame) -> Iterator[Finding]:
    for row in rows(results, metric="target").head(1).itertuples():
        yield finding("target", {}, Estimate(1.0, None, None, 1, "set by the config", str(row.note)), "count")


def _ignorance(results: pd.DataFrame) -> Iterator[Finding]:
    """What the source costs somebody who knows no more of it than how often each byte occurs, above the untouched model's loss."""
    own, before = (rows(results, phase="reference", metric=metric) for metric in ("source_unigram", "source_loss"))
    if len(own) and len(before):
        rise = float(own["value"].iloc[0] - before["value"].mean())
        yield finding("unigram_rise", {}, Estimate(rise, None, None, 1, "unigram entropy less the untouched model's loss"), "bits/byte")


def _ends(results: pd.DataFrame) -> Iterator[Finding]:
    """At the last step: the loss on the target, and the rise of the source's with an interval over bases and documents."""
    start = rows(results, phase="reference")
    before = start[start["metric"] == "source_loss"].set_index("seed")["value"]
    documents, sizes = _documents(start), rows(start, metric="document_bytes").sort_values("document")["value"].to_numpy(float)
    rises: dict[Arm, tuple[pd.Series, pd.Series, np.ndarray | None]] = {}
    for arm in arms(results):
        own = rows(results, phase="result", arm=arm.word)
        last = own[own["step"] == own["step"].max()]
        learned, lost = (last[last["metric"] == name].set_index("seed") for name in ("target_loss", "source_loss"))
        rise, bases = lost["value"] - before, lost["base"]
        by_document = _documents(last)
        replicates = None if by_document is None or documents is None else _left_out(by_document, documents, sizes)
        rises[arm] = rise, bases, replicates
        yield finding("target_loss", arm.where, contrast(learned["value"].to_numpy(), learned["base"].to_numpy()), "bits/byte")
        yield finding("source_rise", arm.where, _over(rise, bases, replicates, sizes), "bits/byte")
    beside = next(((rise, replicates) for arm, (rise, _, replicates) in rises.items() if arm.word == FULL), None)
    for arm, (rise, bases, replicates) in rises.items():
        if beside is not None and arm.word != FULL:
            both = None if replicates is None or beside[1] is None else replicates - beside[1]
            where = {"what": "source_rise", "between": f"{arm.word} - {FULL}"}
            yield finding("contrast", where, _over(rise - beside[0], bases, both, sizes), "bits/byte")


def _documents(own: pd.DataFrame) -> pd.DataFrame | None:
    """Losses by seed and group of documents, None where none were read."""
    some = rows(own, metric="document_loss")
    return None if some.empty else some.pivot_table(index="seed", columns="document", values="value")


def _left_out(after: pd.DataFrame, before: pd.DataFrame, sizes: np.ndarray) -> np.ndarray:
    """The mean rise over seeds with one group of documents left out each."""
    rise = (after - before.loc[after.index]).to_numpy(float)
    kept: np.ndarray = without_each(np.nanmean(rise, axis=0), sizes)
    return kept


def _over(values: pd.Series, bases: pd.Series, replicates: np.ndarray | None, sizes: np.ndarray) -> Estimate:
    weights = None if replicates is None else sizes
    return contrast(values.to_numpy(float), bases.loc[values.index].to_numpy(), replicates, weights)


class Read(NamedTuple):
    """Rises of an arm at one loss on the target: by seed, and by seed and the group of documents that is left out (or no seed)."""

    values: pd.Series
    without: pd.DataFrame

    @property
    def is_whole(self) -> bool:
        """Returns whether there are values, and every run reached the loss."""
        return len(self.values) > 0 and bool(self.values.notna().all())

    def less(self, other: "Read") -> "Read":
        """Returns the differences from another arm's rises, paired by seed and by documents."""
        both = [seed for seed in self.without.index if seed in other.without.index]
        apart = self.without.loc[both] - other.without.loc[both]
        return Read(self.values - other.values.loc[self.values.index], apart)


def over_documents(read: Read, bases: pd.Series, sizes: np.ndarray) -> Estimate:
    """Returns the mean rise over bases, with an interval over these and over groups of documents of so many bytes (groups,)."""
    own = bases.loc[read.values.index].to_numpy()
    if not read.values.index.equals(read.without.index):
        return contrast(read.values.to_numpy(), own)
    return contrast(read.values.to_numpy(), own, base_means(read.without.to_numpy(float), own).mean(axis=0), sizes)


def _equal(results: pd.DataFrame) -> Iterator[Finding]:
    """The source's rise where each method has learned a share of what full learns, and its difference from full's, paired by seed."""
    ways = paths(results)
    without, sizes = without_documents(results, ways)
    bases = rows(results, phase="result").groupby("seed")["base"].first()
    for share, bits in levels(results).items():
        every = arms(results, wise=True)
        read = {arm: Read(lost_at(ways, arm, bits), lost_without(ways, without, arm, bits)) for arm in every}
        at, beside = {"share": share, "bits": None if bits.empty else round(float(bits.mean()), 3)}, _beside(read)
        for arm, own in read.items():
            yield finding("source_rise_at_equal_target", {**arm.where, **at}, _reached(own, bases, sizes), "bits/byte")
            others = [(other, its) for other, its in beside.items() if arm.word not in (FULL, other)]
            for other, its in others if own.is_whole else ():
                between = {"what": "source_rise_at_equal_target", "between": f"{arm.word} - {other}", **at}
                yield finding("contrast", between, over_documents(own.less(its), bases, sizes), "bits/byte")


def _reached(read: Read, bases: pd.Series, sizes: np.ndarray) -> Estimate:
    values = read.values
    if values.empty:
        return Estimate(None, None, None, 0, EQUAL, "no such loss: full diverged, or learned nothing")
    if lost := int(values.isna().sum()):
        return Estimate(None, None, None, len(values), EQUAL, f"does not reach it in {lost} of {len(values)} runs")
    return over_documents(read, bases, sizes)


def _beside(read: Mapping[Arm, Read]) -> dict[str, Read]:
    """What arms are compared with: full, and full at the lowest of its lower rates at which it reaches the loss."""
    reached = {arm: own for arm, own in read.items() if own.is_whole}
    slow = sorted((arm for arm in reached if arm.method == SLOW), key=lambda arm: arm.strength or 0.0)[:1]
    return {arm.word: reached[arm] for arm in [*(arm for arm in reached if arm.word == FULL), *slow]}


def _volumes(results: pd.DataFrame) -> Iterator[Finding]:
    """The share of the plane of losses that each method's front leaves behind it, and its difference from full's."""
    bases = rows(results, phase="result").groupby("seed")["base"].first()
    found = volume(results)
    for name, values in found.items():
        own = bases.loc[values.index].to_numpy()
        yield finding("hypervolume", {"method": name}, contrast(values.to_numpy(), own), "1")
        if name != FULL and FULL in found:
            where = {"what": "hypervolume", "between": f"{name} - {FULL}"}
            yield finding("contrast", where, contrast((values - found[FULL]).to_numpy(), own), "1")


def _updates(results: pd.DataFrame) -> Iterator[Finding]:
    """How far each method ends from its start, over how many directions that is spread, and the latter less full's, paired by seed."""
    own = rows(results, phase="kept")
    last = own[own["step"] == own["step"].max()] if len(own) else own
    bases = rows(results, phase="result").groupby("seed")["base"].first()
    for row in rows(results, metric="noise_rank").head(1).itertuples():
        yield finding("noise_rank", {}, Estimate(float(row.value), None, None, 1, "Gaussian noise of the matrices' shapes"), "rank")
    for name, unit in (("distance", "1"), ("energy_rank", "rank")) if len(rows(last, metric="energy_rank")) else ():
        read = {arm: rows(last, arm=arm.word, metric=name).set_index("seed")["value"].astype(float) for arm in arms(results)}
        read = {arm: values for arm, values in read.items() if len(values)}
        full = next((values for arm, values in read.items() if arm.word == FULL), None)
        for arm, values in read.items():
            at = bases.loc[values.index].to_numpy()
            yield finding(name, arm.where, contrast(values.to_numpy(), at), unit)
            if name == "energy_rank" and full is not None and arm.word != FULL:
                between = {"what": name, "between": f"{arm.word} - {FULL}"}
                yield finding("contrast", between, contrast((values - full.reindex(values.index)).to_numpy(), at), unit)


def _explained(results: pd.DataFrame) -> Iterator[Finding]:
    """How much of the source's rise, in logarithms, one curve through all trained methods explains, of divergences and of distance.

    The line between full's start and end is left out: it spans decades by itself, and would carry most of the variance.
    """
    own = rows(results, phase="kept")
    own = own[own["method"] != WISE] if len(own) else own
    if own.empty:
        return
    start = rows(results, phase="reference", metric="budget_source").set_index("seed")["value"]
    table = own.pivot_table(index=["arm", "method", "seed", "base", "step"], columns="metric", values="value").reset_index()
    table["rise"] = table["budget_source"] - table["seed"].map(start)
    units, what = ("base", "bases") if table["base"].nunique() > 1 else ("seed", "seeds of one base")
    for on, column in (("target", "kl_target"), ("source", "kl_source"), ("distance", "distance")):
        some: Any = table.dropna(subset=[column, "rise"])
        if len(some) < LEAST:
            continue
        x, y, methods, over = (some[name].to_numpy() for name in (column, "rise", "method", units))
        for heights in (False, True):
            where = {"on": on, "curve": "one height per method" if heights else "one"}
            yield finding("kl_r2", where, explained(x, y, methods, over, heights=heights, what=what), "1")
