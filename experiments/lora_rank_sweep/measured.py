"""Records of one target as curves of loss against rank, whole and without each group of its documents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.lora_rank_sweep.wording import FULL, MATCHED
from research.analysis.contrasts import BASE_LEFT_OUT, base_means, contrast, of_one_base, units, without_each
from research.analysis.intervals import join_notes
from research.analysis.recovery import recovered
from research.findings import Estimate

What = tuple[str, str | None, str, int | None]  # init, arm, trains, rank
UNTOUCHED = "nothing"
COLUMNS = ["init", "arm", "trains", "rank", "seed"]
KNOWN = ("unigram_loss", "bigram_loss", "floor_loss", "width")


class Runs(NamedTuple):
    """Losses, or what is read off them, by seed: seeds (seeds,) ascending, losses (seeds, 1 + groups), whole and without each group."""

    seeds: np.ndarray
    losses: np.ndarray

    @classmethod
    def of(cls, rows: Iterable[tuple[int, np.ndarray]]) -> "Runs":
        """Returns what (seed, losses) say, without runs that diverged."""
        kept = {seed: losses for seed, losses in rows if np.isfinite(losses).all()}
        order = np.array(sorted(kept), int)
        return cls(order, np.stack([kept[seed] for seed in order]) if kept else np.empty((0, 1)))

    def at(self, seeds: np.ndarray) -> np.ndarray:
        """Returns the losses of these seeds, which must be among its own."""
        return self.losses[np.searchsorted(self.seeds, seeds)]


class Measured(NamedTuple):
    """Losses of one target (bits/byte).

    runs: by what was trained. weights: the bytes of the groups of documents (groups,), None where losses were not read by document.
    bases: of each (init, seed). known: what is known without training: of the text, and the model's width.
    """

    target: str
    runs: Mapping[What, Runs]
    weights: np.ndarray | None
    bases: Mapping[tuple[str, int], int]
    known: Mapping[str, float]

    def inits(self) -> list[str]:
        """Returns the initializations from which something was trained."""
        return list(dict.fromkeys(what[0] for what in self.trained()))

    def arms(self) -> list[str]:
        """Returns the arms that were trained."""
        return [arm for arm in dict.fromkeys(what[1] for what in self.runs) if arm is not None]

    def trained(self) -> list[What]:
        """Returns everything that was trained."""
        return [what for what in self.runs if what[2] != UNTOUCHED]

    @property
    def reference(self) -> str:
        """Returns what a rank is compared with: full-rank training of the same matrices, or of everything where none was done."""
        return MATCHED if any(what[2] == MATCHED for what in self.runs) else FULL

    def of(self, init: str, arm: str | None, trains: str, rank: int | None = None) -> Runs:
        """Returns the runs of what was trained, none where it was not."""
        return self.runs.get((init, arm, trains, rank), Runs.of(()))

    def mean(self, init: str, runs: Runs) -> Estimate:
        """Returns the mean over the bases of an initialization, or the seeds of its only one, with its interval."""
        return self._over(runs.losses, self._bases(init, runs.seeds))

    def difference(self, init: str, runs: Runs, other: str, others: Runs) -> Estimate:
        """Returns the mean of one minus the other, paired by seed; seeds count as one where they share a base of either initialization."""
        seeds = np.intersect1d(runs.seeds, others.seeds)
        bases = min((self._bases(one, seeds) for one in (init, other)), key=lambda some: len(set(some)))
        return self._over(runs.at(seeds) - others.at(seeds), bases)

    def _bases(self, init: str, seeds: np.ndarray) -> np.ndarray:
        return np.array([self.bases[init, int(seed)] for seed in seeds], int)

    def _over(self, values: np.ndarray, bases: np.ndarray) -> Estimate:
        replicates = base_means(values[:, 1:], bases).mean(axis=0) if self.weights is not None and len(values) else None
        return contrast(values[:, 0], bases, replicates, self.weights)


class Curve(NamedTuple):
    """Losses against rank of an arm from an initialization, each (..., 1 + groups) in its last axis.

    ranks (ranks,); reached (seeds, ranks, ...); matched, full, untouched (seeds, ...); seeds and bases (seeds,). Rank 0 stands first: the
    untouched loss where nothing but the adapter moves, else what moving the rest alone reached. `matched` and `full` are null where they
    were not trained; `reference` says which of them a rank is compared with.
    """

    ranks: np.ndarray
    reached: np.ndarray
    matched: np.ndarray
    full: np.ndarray
    untouched: np.ndarray
    seeds: np.ndarray
    bases: np.ndarray
    reference: str

    @property
    def whole(self) -> np.ndarray:
        """Returns the losses that a rank is compared with, (seeds, ...)."""
        return self.full if self.reference == FULL else self.matched

    def gap(self, rank: float, reference: str) -> Runs:
        """Returns LoRA's loss minus that of a reference, 'matched' or 'full'."""
        return Runs(self.seeds, self.reached[:, list(self.ranks).index(rank)] - getattr(self, reference))

    def start(self, ceiling: float = np.inf) -> np.ndarray:
        """Returns the loss from which a gain is counted: rank 0's, or `ceiling` where that is lower, (seeds, 1 + groups)."""
        return np.minimum(self.reached[:, 0], ceiling)

    def share(self, rank: float, ceiling: float = np.inf) -> Runs:
        """Returns the share of the reference's gain, from `start`, that a rank recovers."""
        return Runs(self.seeds, recovered(self.start(ceiling), self.reached[:, list(self.ranks).index(rank)], self.whole))

    def by_base(self, group: int = 0) -> "Curve":
        """Returns the curve without one group of documents (0: none) and the last axis, seeds that share a base averaged.

        Bases are what is independent: an interval over them counts each once. Where there is one, its seeds stand in its place.
        """
        whole = (values[..., group] for values in (self.reached, self.matched, self.full, self.untouched))
        reached, matched, full, untouched = (units(values, self.bases) for values in whole)
        own = self.seeds if of_one_base(self.bases) else np.unique(self.bases)
        return Curve(self.ranks, reached, matched, full, untouched, own, own, self.reference)

    def noted(self, estimate: Estimate) -> Estimate:
        """Returns an estimate from `by_base` with a note where its interval, over seeds of one base, leaves that out."""
        if not of_one_base(self.bases) or estimate.low is estimate.high is None:
            return estimate
        return estimate._replace(note=join_notes(estimate.note, f"over {estimate.n} {BASE_LEFT_OUT}"))


def measured(results: pd.DataFrame, target: str, step: int | None = None) -> Measured:
    """Returns what was measured of a target after the last step, or, from the fixed part that is read earlier too, at a step."""
    own = results[(results["target"] == target) & results["phase"].isin(["result", "reference"])]
    at = own["step"].max() if step is None else step
    chosen = own["chosen_for"].dropna().unique()
    rows = own[(own["phase"] == "reference") | ((own["step"] == at) & (own["chosen_for"] == (at if at in chosen else max(chosen))))]
    sizes = rows[rows["metric"] == "document_bytes"].sort_values("document")["value"].to_numpy(float)
    runs, by_document = losses(rows, "target_loss" if step is None else "budget_loss", sizes if step is None else sizes[:0])
    known = rows[rows["metric"].isin(KNOWN)].set_index("metric")["value"].astype(float).to_dict()
    bases = {(row.init, int(row.seed)): int(row.base) for row in rows.dropna(subset=["seed", "base"]).itertuples()}
    return Measured(target, runs, sizes if by_document else None, bases, known)


def losses(rows: pd.DataFrame, metric: str, sizes: np.ndarray) -> tuple[dict[What, Runs], bool]:
    """Returns the runs in some records, and whether each of them was read by document, in groups of these `sizes` (groups,)."""
    whole = {_key(values[:5]): np.array([values[5]], float) for values in _values(rows[rows["metric"] == metric])}
    grouped = rows[rows["metric"] == "document_loss"].sort_values("document").groupby(COLUMNS, dropna=False, sort=False)["value"]
    documents = {_key(key): some.astype(float).to_numpy() for key, some in grouped} if len(sizes) > 1 else {}
    complete = whole.keys() <= {key for key, some in documents.items() if len(some) == len(sizes)}
    if complete:
        whole = {key: np.append(value, without_each(documents[key], sizes)) for key, value in whole.items()}
    by_what: dict[What, list[tuple[int, np.ndarray]]] = {}
    for (init, arm, trains, rank, seed), value in whole.items():
        by_what.setdefault((init, arm, trains, rank), []).append((seed, value))
    return {what: Runs.of(some) for what, some in by_what.items()}, complete


def targets(results: pd.DataFrame) -> list[str]:
    """Returns the targets on which something was trained, in the order of the records."""
    return [str(target) for target in results[results["phase"] == "result"]["target"].dropna().unique()]


def curve(own: Measured, init: str, arm: str) -> Curve | None:
    """Returns the curve of an arm from an initialization, of the seeds whose runs all finished; None where there are none.

    Training everything may be absent where it is not what ranks are compared with: it belongs to one part of a sweep; its losses are then
    null, as are those of the same matrices where they were trained nowhere.
    """
    ranks = sorted(what[3] for what in own.runs if what[:3] == (init, arm, "lora") and what[3] is not None)
    untouched, matched, full = own.of(init, None, UNTOUCHED), own.of(init, arm, "matched"), own.of(init, None, "full")
    reference = full if own.reference == FULL else matched
    runs = {rank: own.of(init, arm, "lora", rank) for rank in ranks}
    runs = runs if 0 in runs else {0: untouched, **runs}
    seeds = np.array(sorted(set.intersection(*(set(some.seeds) for some in (*runs.values(), reference, untouched)))), int)
    if not len(seeds) or not ranks:
        return None
    reached = np.stack([some.at(seeds) for some in runs.values()], axis=1)
    same, everything = (
        some.at(seeds) if set(seeds) <= set(some.seeds) else np.full(reached[:, 0].shape, np.nan) for some in (matched, full)
    )
    bases = np.array([own.bases[init, seed] for seed in seeds])
    return Curve(np.array(list(runs), float), reached, same, everything, untouched.at(seeds), seeds, bases, own.reference)


def _values(rows: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    return rows[[*COLUMNS, "value"]].itertuples(index=False, name=None)


def _key(values: Sequence[Any]) -> tuple[str, str | None, str, int | None, int]:
    init, arm, trains, rank, seed = values
    return str(init), None if pd.isna(arm) else str(arm), str(trains), None if pd.isna(rank) else int(rank), int(seed)
