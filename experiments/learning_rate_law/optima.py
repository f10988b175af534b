"""Records of one target and start as best learning rates: by setting, seed, and without each group of documents."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from experiments.learning_rate_law.rules import parse
from research.analysis.contrasts import base_means, contrast, units, without_each
from research.analysis.intervals import join_notes, t_quantile
from research.analysis.learning_rates import Optimum, parabola_optimum
from research.analysis.rate_laws import Settings
from research.findings import Estimate
from research.records import rounded

Setting: TypeAlias = tuple[int, float] | None  # rank and alpha, None where everything is trained
Pair: TypeAlias = tuple[str, int, float]  # a rule, a rank, and the alpha that the one gives the other


class Best(NamedTuple):
    """Best rates: natural logarithms (seeds, 1 + groups), whole and without each group; null on an edge of the grid.

    curves: of each seed, logarithms of the rates that were tried, and losses in bits/byte. notes: why some are null, one a seed.
    """

    logs: np.ndarray
    curves: tuple[tuple[np.ndarray, np.ndarray], ...]
    notes: tuple[str, ...]

    @property
    def losses(self) -> np.ndarray:
        """Returns the loss at the best rate tried (seeds,), bits/byte."""
        return np.array([np.nanmin(losses) for _, losses in self.curves])

    def cost(self, seed: int, log_rate: float) -> float:
        """Returns what a rate costs beside a seed's best, bits/byte, between rates that were tried; beyond these, at least so much."""
        rates, losses = self.curves[seed]
        curve = PchipInterpolator(rates, losses)
        lowest = float(curve(np.linspace(rates[0], rates[-1], 500)).min())
        return float(curve(np.clip(log_rate, rates[0], rates[-1]))) - lowest


class Optima(NamedTuple):
    """Best rates of one target and start at a step.

    best: by setting. curvature: the largest eigenvalue at the start (seeds,), by setting, in nats. bases: of the seeds (seeds,). weights:
    bytes of the groups of documents, None where losses were not read by document. width: of the model. pairs: (rule, rank, alpha) of each
    rule that was asked for.
    """

    target: str
    init: str
    step: int
    best: dict[Setting, Best]
    curvature: dict[Setting, np.ndarray]
    bases: np.ndarray
    weights: np.ndarray | None
    width: int
    pairs: tuple[Pair, ...]

    def read(self) -> list[Pair]:
        """Returns the pairs whose best rate was read for every seed, and their curvature."""
        return [
            (rule, rank, alpha)
            for rule, rank, alpha in self.pairs
            if (rank, alpha) in self.curvature and np.isfinite(self.best[rank, alpha].logs[:, 0]).all()
        ]

    def curvature_lost(self, pairs: Sequence[Pair]) -> bool:
        """Returns whether the curvature of a pair is not positive, so that it has no logarithm."""
        return any((self.curvature[rank, alpha] <= 0).any() for _, rank, alpha in pairs)

    def settings(self, pairs: Sequence[Pair], seed: int) -> Settings:
        """Returns pairs of `read` as what a law takes, with a seed's curvature."""
        rules, ranks, alphas = (np.array(column) for column in zip(*pairs, strict=True))
        curvature = np.array([self.curvature[rank, alpha][seed] for _, rank, alpha in pairs])
        return Settings(rules, ranks.astype(float), alphas / ranks, curvature, self.width)

    def logs(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Returns the best rates of pairs, (pairs, seeds, 1 + groups)."""
        return np.stack([self.best[rank, alpha].logs for _, rank, alpha in pairs])

    def over(self, values: np.ndarray, factor: bool = False) -> Estimate:
        """Returns the mean over bases of values (seeds, 1 + groups), whole and without each group, with its interval.

        Values (seeds, 1) have no interval over documents. factor: as in `contrasts.contrast`.
        """
        replicates = base_means(values[:, 1:], self.bases).mean(axis=0) if self.weights is not None and values.shape[1] > 1 else None
        return contrast(values[:, 0], self.bases, replicates, None if replicates is None else self.weights, factor=factor)

    def noise(self) -> tuple[float, int]:
        """Returns the deviation of a seed's best rate (a logarithm) from its setting's mean, over all settings, and its degrees of freedom.

        A setting that stands under two rules counts once.
        """
        read = dict.fromkeys((rank, alpha) for _, rank, alpha in self.read())
        rates = np.stack([self.best[setting].logs[:, 0] for setting in read])
        off = units(rates.T, self.bases) - rates.mean(axis=1)
        freedom = (len(off) - 1) * len(read)
        return (float(np.sqrt((off**2).sum() / freedom)) if freedom else np.nan), freedom

    def fitted(self, values: np.ndarray, spread: float) -> Estimate:
        """Returns `over` of something that is linear in best rates, its interval no narrower than the noise of all settings says.

        Three bases that happen to agree would tell an interval of next to nothing. spread: the standard error for noise of 1.
        """
        found, (noise, freedom) = self.over(values), self.noise()
        if found.low is None or found.high is None or found.value is None or not freedom:
            return found
        half = t_quantile(0.95, freedom) * noise * spread / math.sqrt(found.n)
        if half <= found.high - found.value:
            return found
        note = join_notes(found.note, f"± {half:.2g} by the noise of all settings, which is wider")
        return found._replace(low=found.value - half, high=found.value + half, note=note)


def optima(results: pd.DataFrame, rules: Sequence[str], last: bool = True) -> Iterator[Optima]:
    """Yields what was found on each target from each start, at the last step or at each one before; `rules` are words of the config.

    Before the last step losses are of a fixed part of the text, without documents of its own.
    """
    read = results[(results["phase"] == "result") & results["metric"].isin(["target_loss", "document_loss"] if last else ["budget_loss"])]
    read = read if last else read[read["step"] < read["step"].max()]
    for (target, init, step), rows in read.groupby(["target", "init", "step"], sort=False):
        on = results[results["target"] == target]
        sizes = on[on["metric"] == "document_bytes"].sort_values("document")["value"].to_numpy(float)
        seeds = sorted(rows["seed"].dropna().astype(int).unique())
        best = {setting: _best(some, seeds, sizes) for setting, some in _by_setting(rows)}
        bent = on[(on["init"] == init) & (on["metric"] == "lambda_max")]
        curvature = {setting: _by_seed(some, seeds) for setting, some in _by_setting(bent)}
        bases = rows.drop_duplicates("seed").set_index("seed")["base"]
        width = int(on[on["metric"] == "width"]["value"].iloc[0])
        whole = all(one.logs.shape[1] == 1 + len(sizes) for one in best.values()) and len(sizes) > 1
        yield Optima(
            str(target),
            str(init),
            int(step),
            best,
            {setting: values for setting, values in curvature.items() if np.isfinite(values).all()},
            bases.loc[seeds].to_numpy(int),
            sizes if whole else None,
            width,
            tuple(_pairs(rules, best)),
        )


def _pairs(rules: Sequence[str], best: dict[Setting, Best]) -> Iterator[Pair]:
    ranks = sorted({setting[0] for setting in best if setting})
    for rule, rank in ((parse(word), rank) for word in rules for rank in ranks):
        if (rank, rounded(rule.recipe(rank))) in best:
            yield rule.word, rank, rounded(rule.recipe(rank))


def _by_setting(rows: pd.DataFrame) -> Iterator[tuple[Setting, pd.DataFrame]]:
    for (rank, alpha), some in rows.groupby(["rank", "alpha"], dropna=False, sort=True):
        yield (None if pd.isna(rank) else (int(rank), float(alpha))), some


def _by_seed(rows: pd.DataFrame, seeds: Sequence[int]) -> np.ndarray:
    return rows.set_index("seed")["value"].astype(float).reindex(seeds).to_numpy()


def _best(rows: pd.DataFrame, seeds: Sequence[int], sizes: np.ndarray) -> Best:
    found = [_of_seed(rows[rows["seed"] == seed], sizes) for seed in seeds]
    logs = np.array([[np.log(one.learning_rate) if one.learning_rate else np.nan for one in optimum] for optimum, _ in found])
    return Best(logs, tuple(curve for _, curve in found), tuple(optimum[0].note for optimum, _ in found if optimum[0].note))


def _of_seed(rows: pd.DataFrame, sizes: np.ndarray) -> tuple[list[Optimum], tuple[np.ndarray, np.ndarray]]:
    """The best rate of a seed, whole and without each group of documents, and its curve: logarithms of rates, and losses."""
    whole = rows[rows["metric"].isin(["target_loss", "budget_loss"])].set_index("learning_rate")["value"].astype(float).sort_index()
    columns = [whole.to_numpy()]
    documents = rows[rows["metric"] == "document_loss"]
    if len(sizes) > 1 and len(documents):
        table = documents.pivot(index="learning_rate", columns="document", values="value").astype(float).reindex(whole.index)
        columns += list(without_each(table.to_numpy(), sizes).T)
    rates = whole.index.to_numpy(float)
    finite = np.isfinite(columns[0])
    return [parabola_optimum(rates, column) for column in columns], (np.log(rates[finite]), columns[0][finite])


def rules_of(results: pd.DataFrame) -> list[str]:
    """Returns the words of the rules that a run asked for, from its records."""
    return [str(word) for word in results[results["metric"] == "rule"]["arm"].drop_duplicates()]
