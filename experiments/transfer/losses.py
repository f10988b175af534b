"""Losses on the target by arm, seed and group of documents, and means of their weighted sums with intervals."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from scipy import stats

from research.analysis.comparisons import two_sided
from research.analysis.contrasts import contrast, of_one_base, units, without_each
from research.analysis.tables import rows
from research.findings import Estimate

Arm: TypeAlias = tuple[str, int | None]  # name, number of blocks
UNTOUCHED = "{} untouched"  # the word of a donor as it is
WHOLE, EARLY, ACCURACY = "target_loss", "budget_loss", "accuracy"


class Losses(NamedTuple):
    """The losses of one budget.

    values: seed x arm. documents: of each arm, seed x group; empty where none were read. sizes: (groups,) bytes. bases: by seed. unit: of
    values. every: those of all budgets, by share of the steps.
    """

    values: pd.DataFrame
    documents: Mapping[Arm, pd.DataFrame]
    sizes: np.ndarray
    bases: pd.Series
    unit: str
    every: Mapping[float, "Losses"]

    @property
    def arms(self) -> list[Arm]:
        """Returns the arms that were read."""
        return list(self.values.columns)

    @property
    def shares(self) -> list[float]:
        """Returns the shares of the steps at which losses were read."""
        return list(self.every)

    def at(self, share: float) -> "Losses":
        """Returns the losses at a share of the steps."""
        return self.every[share]

    def blocks(self, name: str) -> list[int]:
        """Returns at which numbers of blocks an arm was read, ascending."""
        return sorted(n for arm, n in self.arms if arm == name and n is not None)

    def mean(self, weights: Mapping[Arm, float]) -> Estimate:
        """Returns the mean over seeds of a weighted sum of arms' losses, paired by seed, with an interval over bases and documents."""
        return self._over(*self._summed(weights))

    def p_value(self, weights: Mapping[Arm, float]) -> float | None:
        """Returns the p value of such a sum that is 0, two-sided, None where one base carries no interval."""
        value, replicates = self._summed(weights)
        known = np.isfinite(value)
        bases = self.bases.loc[self.values.index].to_numpy()[known]
        if replicates is not None:
            return two_sided(value[known], bases, replicates, self.sizes)
        means = units(value[known], bases)
        if len(means) < 2 or of_one_base(bases):
            return None
        return float(stats.ttest_1samp(means, 0.0).pvalue)

    def share(self, part: Mapping[Arm, float], whole: Mapping[Arm, float]) -> Estimate:
        """Returns the mean over seeds of one such sum as a share of another one's, with its interval."""
        (a, without_a), (b, without_b) = self._summed(part), self._summed(whole)
        replicates = None if without_a is None or without_b is None else without_a / without_b
        return self._over(a / b, replicates)

    def _over(self, value: np.ndarray, replicates: np.ndarray | None) -> Estimate:
        return contrast(value, self.bases.loc[self.values.index].to_numpy(), replicates, None if replicates is None else self.sizes)

    def _summed(self, weights: Mapping[Arm, float]) -> tuple[np.ndarray, np.ndarray | None]:
        """A weighted sum by seed, and its mean with one group of documents left out each, None where none were read."""
        value = sum((weight * self.values[arm] for arm, weight in weights.items()), pd.Series(0.0, self.values.index))
        if not all(arm in self.documents for arm in weights):
            return value.to_numpy(float), None
        some = sum(weight * self.documents[arm].loc[self.values.index].to_numpy(float) for arm, weight in weights.items())
        return value.to_numpy(float), without_each(np.nanmean(some, axis=0), self.sizes) if np.isfinite(some).any() else None


def read(results: pd.DataFrame, metric: str = WHOLE) -> Losses:
    """Returns the losses of a run at its end, or another metric, those of earlier budgets beside them."""
    own = rows(results, phase="result")
    if len(own):
        own = pd.concat([own, _donors(results, metric)], ignore_index=True)
    some = own[own["metric"].isin((metric, EARLY))] if len(own) else own
    if some.empty or metric not in set(some["metric"]):
        return Losses(pd.DataFrame(), {}, np.empty(0), pd.Series(dtype=float), "bits/byte", {})
    weights = rows(results, metric="document_bytes")
    sizes = weights.sort_values("document")["value"].to_numpy(float) if len(weights) else np.empty(0)
    bases, ends = own.groupby("seed")["base"].first(), some.groupby("arm")["step"].transform("max")
    last = some[(some["step"] == ends) & (some["metric"] == metric)]
    early, unit = some[some["step"] < ends], str(last["unit"].iloc[0])
    every = {
        float(share): Losses(_table(those), {}, sizes, bases, unit, {})
        for share, those in early.groupby((early["step"] / ends.loc[early.index]).round(4))
    }
    documents = {_arm(key): table for key, table in _by_arm(own[own["metric"] == "document_loss"]).items()} if metric == WHOLE else {}
    end = Losses(_table(last), documents, sizes, bases, unit, {})
    return end._replace(every={**every, 1.0: end})


def _donors(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of donors as they are, which are no runs."""
    some = rows(results, phase="reference")
    return some[some["metric"].isin((metric, "document_loss")) & some["arm"].notna()] if "arm" in some else some[:0]


def _table(own: pd.DataFrame) -> pd.DataFrame:
    """Losses, seed x arm, in the order of the records."""
    wide = own.pivot_table(index="seed", columns="arm", values="value", dropna=False, sort=False).sort_index()
    wide.columns = pd.Index([_arm(word) for word in wide.columns], tupleize_cols=False)
    return wide


def _by_arm(own: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(arm): some.pivot_table(index="seed", columns="document", values="value", dropna=False) for arm, some in own.groupby("arm")}


def _arm(word: str) -> Arm:
    name, at, blocks = word.partition("@")
    return name, int(blocks) if at else None
