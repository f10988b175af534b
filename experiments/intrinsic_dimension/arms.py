"""Arms of records: the curve that an arm's draws measured, by base, and the same with each group of documents left out."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from research.analysis.contrasts import without_each

CELL = ["phase", "init", "trains", "projection", "dimension", "seed"]
OF_DOCUMENTS = "target_loss"  # what the losses of all documents are the weighted mean of


class Curves(NamedTuple):
    """Of one initialization, projection and step: what was measured, (bases, dimensions), untouched and in the full space, (bases,).

    Draws that start from one base are averaged first: they share its luck. d = 0 is the untouched model.
    """

    dimensions: np.ndarray
    values: np.ndarray
    full: np.ndarray
    start: np.ndarray
    bases: tuple[float, ...]
    lost: str

    def only(self, base: float) -> "Curves":
        """Returns the curve of one base."""
        row = [self.bases.index(base)]
        return self._replace(values=self.values[row], full=self.full[row], start=self.start[row], bases=(base,))


def curves(own: pd.DataFrame, metric: str, init: str, projection: str, step: float) -> Curves:
    """Returns what the draws measured at a step whose runs, in subspaces and in the full space, all finished; `own`: of one subject."""
    mine = own[(own["metric"] == metric) & (own["init"] == init)]
    tested = mine[(mine["phase"] == "result") & (mine["step"] == step)]
    inside = tested[(tested["trains"] == "subspace") & (tested["projection"] == projection)]
    table = inside.pivot(index="seed", columns="dimension", values="value").astype(float)
    start, full = _by_seed(mine[mine["phase"] == "reference"]), _by_seed(tested[tested["trains"] == "full"])
    if 0 not in table:
        table.insert(0, 0.0, start)
    whole = pd.concat([table, full.rename("full"), start.rename("start")], axis=1, join="inner").dropna()
    lost, draws = len(table) - len(whole), len(table)
    by_base = whole.groupby(bases_of(inside).loc[whole.index]).mean()
    note = f"{lost} of {draws} draws incomplete (diverged), left out" if lost else ""
    values, bases = by_base[table.columns].to_numpy(), tuple(by_base.index)
    return Curves(table.columns.to_numpy(float), values, by_base["full"].to_numpy(), by_base["start"].to_numpy(), bases, note)


def bases_of(rows: pd.DataFrame) -> pd.Series:
    """Returns the base that each seed starts from, by seed; its own where records name none, as those of images do."""
    known = rows.drop_duplicates("seed").set_index("seed")
    seeds = known.index.to_series()
    return known["base"].fillna(seeds) if "base" in known else seeds


def without_documents(own: pd.DataFrame) -> tuple[list[pd.DataFrame], np.ndarray]:
    """Returns the target losses of one subject with one group of documents left out each, as records, and the groups' bytes.

    Without losses by document: nothing.
    """
    rows = own[own["metric"] == "document_loss"]
    if rows.empty:
        return [], np.array([])
    weights = own[own["metric"] == "document_bytes"].sort_values("document")["value"].to_numpy(float)
    rows = rows.assign(cell=rows.groupby(CELL, dropna=False, sort=False).ngroup())
    losses = without_each(rows.pivot(index="cell", columns="document", values="value").astype(float).to_numpy(), weights)
    cells = rows.drop_duplicates("cell").assign(metric=OF_DOCUMENTS)
    return [cells.assign(value=column) for column in losses.T], weights


def arms_of(own: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yields the initialization and projection of every arm in a subspace, in order of appearance."""
    inside = own[(own["phase"] == "result") & (own["trains"] == "subspace")]
    yield from dict.fromkeys(zip(inside["init"], inside["projection"], strict=True))


def _by_seed(rows: pd.DataFrame) -> pd.Series:
    return rows.set_index("seed")["value"].astype(float)
