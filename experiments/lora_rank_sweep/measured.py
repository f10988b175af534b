"""Records of one target as curves of loss against rank, whole and without each group of its documents."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.analysis.contrasts import base_means, contrast, without_each
from research.findings import Estimate

Key = tuple[str, str | None, str, int | None, int]  # init, arm, trains, rank, seed
UNTOUCHED = "nothing"
COLUMNS = ["init", "arm", "trains", "rank", "seed"]


class Measured(NamedTuple):
    """Losses of one target (bits/byte).

    losses: by key (1 + groups,), of the whole part and without each group of documents. weights: the groups' bytes (groups,), None where
    losses were not read by document. bases: of each (init, seed). entropies: what is known without training: of the text, and the model's width.
    """

    target: str
    losses: Mapping[Key, np.ndarray]
    weights: np.ndarray | None
    bases: Mapping[tuple[str, int], int]
    entropies: Mapping[str, float]

    def inits(self) -> list[str]:
        """Returns the initializations from which something was trained."""
        return list(dict.fromkeys(key[0] for key in self.losses if key[2] != UNTOUCHED))

    def arms(self) -> list[str]:
        """Returns the arms that were trained."""
        return [arm for arm in dict.fromkeys(key[1] for key in self.losses) if arm is not None]

    def trained(self) -> list[tuple[str, str | None, str, int | None]]:
        """Returns (init, arm, trains, rank) of everything that was trained."""
        return list(dict.fromkeys(key[:4] for key in self.losses if key[2] != UNTOUCHED))

    def table(self, init: str, arm: str | None, trains: str, rank: int | None = None) -> pd.DataFrame:
        """Returns losses (seeds, 1 + groups) with the seeds as index; diverged runs are left out."""
        found = {key[4]: values for key, values in self.losses.items() if key[:4] == (init, arm, trains, rank)}
        return pd.DataFrame.from_dict(found, orient="index", dtype=float).dropna().sort_index()

    def estimate(self, values: np.ndarray, bases: np.ndarray, factor: bool = False) -> Estimate:
        """Returns the mean over bases of a contrast (seeds, 1 + groups), with its interval over bases and documents."""
        replicates = None if self.weights is None else base_means(values[:, 1:], bases).mean(axis=0)
        return contrast(values[:, 0], bases, replicates, self.weights, factor=factor)


class Curve(NamedTuple):
    """Losses against rank of an arm from an initialization, each (..., 1 + groups) in its last axis.

    ranks (ranks,); reached (seeds, ranks, ...); matched, full, untouched (seeds, ...); seeds and bases (seeds,). Rank 0 stands first: the
    untouched loss where nothing but the adapter moves, else what moving the rest alone reached. `full` is null where it was not trained.
    """

    ranks: np.ndarray
    reached: np.ndarray
    matched: np.ndarray
    full: np.ndarray
    untouched: np.ndarray
    seeds: np.ndarray
    bases: np.ndarray

    def gap(self, rank: float, reference: str) -> np.ndarray:
        """Returns LoRA's loss minus that of a reference, 'matched' or 'full', (seeds, 1 + groups)."""
        return np.asarray(self.reached[:, list(self.ranks).index(rank)] - getattr(self, reference))

    def without(self, group: int) -> "Curve":
        """Returns the curve with one group of documents left out (0: none), its last axis gone."""
        reached, *others = (values[..., group] for values in (self.reached, self.matched, self.full, self.untouched))
        return Curve(self.ranks, reached, *others, self.seeds, self.bases)

    def by_base(self, group: int = 0) -> "Curve":
        """Returns the curve without a group of documents (0: none), seeds that share a base averaged: bases are what is independent."""
        one = self.without(group)
        means = (base_means(values, self.bases) for values in (one.reached, one.matched, one.full, one.untouched))
        return Curve(self.ranks, *means, np.unique(self.bases), np.unique(self.bases))


def measured(results: pd.DataFrame, target: str, step: int | None = None) -> Measured:
    """Returns what was measured of a target after the last step, or, from the fixed part that is read earlier too, at a step."""
    own = results[(results["target"] == target) & results["phase"].isin(["result", "reference"])]
    at = own["step"].max() if step is None else step
    chosen = own["chosen_for"].dropna().unique()
    rows = own[(own["phase"] == "reference") | ((own["step"] == at) & (own["chosen_for"] == (at if at in chosen else max(chosen))))]
    metric = "target_loss" if step is None else "budget_loss"
    whole = {key: np.array([value]) for key, value in _by_key(rows[rows["metric"] == metric])}
    sizes = rows[rows["metric"] == "document_bytes"].sort_values("document")["value"].to_numpy(float)
    documents = dict(_by_document(rows[rows["metric"] == "document_loss"], len(sizes))) if step is None else {}
    if whole.keys() <= documents.keys():
        whole = {key: np.append(value, without_each(documents[key], sizes)) for key, value in whole.items()}
    facts = rows[rows["metric"].isin(["unigram_loss", "bigram_loss", "floor_loss", "width"])].set_index("metric")["value"].astype(float)
    bases = {(row.init, int(row.seed)): int(row.base) for row in rows.dropna(subset=["seed", "base"]).itertuples()}
    return Measured(target, whole, sizes if whole.keys() <= documents.keys() else None, bases, facts.to_dict())


def targets(results: pd.DataFrame) -> list[str]:
    """Returns the targets on which something was trained, in the order of the records."""
    return [str(target) for target in results[results["phase"] == "result"]["target"].dropna().unique()]


def curve(own: Measured, init: str, arm: str) -> Curve | None:
    """Returns the curve of an arm from an initialization, of the seeds whose runs all finished; None where there are none.

    Training everything may be absent: it belongs to one part of a sweep; its losses are then null.
    """
    ranks = sorted({key[3] for key in own.losses if key[:3] == (init, arm, "lora") and key[3] is not None})
    untouched, matched, full = (own.table(init, *what) for what in ((None, UNTOUCHED), (arm, "matched"), (None, "full")))
    tables = {rank: own.table(init, arm, "lora", rank) for rank in ranks}
    tables = tables if 0 in tables else {0: untouched, **tables}
    seeds = sorted(set.intersection(*(set(table.index) for table in (*tables.values(), matched, untouched))))
    if not seeds or not ranks:
        return None
    reached = np.stack([table.loc[seeds].to_numpy() for table in tables.values()], axis=1)
    first, second = matched.loc[seeds].to_numpy(), untouched.loc[seeds].to_numpy()
    everything = full.reindex(seeds).to_numpy(float) if len(full.columns) else np.full(first.shape, np.nan)
    bases = np.array([own.bases[init, seed] for seed in seeds])
    return Curve(np.array(list(tables), float), reached, first, everything, second, np.array(seeds), bases)


def _by_key(rows: pd.DataFrame) -> Iterator[tuple[Key, float]]:
    for values in rows[[*COLUMNS, "value"]].itertuples(index=False):
        yield _key(values[:5]), float("nan" if values[5] is None else values[5])


def _by_document(rows: pd.DataFrame, count: int) -> Iterator[tuple[Key, np.ndarray]]:
    for key, own in rows.groupby(COLUMNS, dropna=False, sort=False):
        losses = own.sort_values("document")["value"].astype(float).to_numpy()
        if len(losses) == count > 1:
            yield _key(key), losses


def _key(values: Sequence[Any]) -> Key:
    init, arm, trains, rank, seed = (None if pd.isna(value) else value for value in values)
    return str(init), arm, str(trains), None if rank is None else int(rank), int(seed)
