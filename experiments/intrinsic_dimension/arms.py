"""Arms of records: the curve that an arm's draws measured, by base, and the same with each group of documents left out."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.analysis.contrasts import BASE_LEFT_OUT, of_one_base, units, without_each

SUBJECT = ["model", "parameters", "data"]
CELL = ["phase", "init", "trains", "projection", "dimension", "seed"]


class Curves(NamedTuple):
    """Of one initialization, projection and step: what was measured, (bases, dimensions), untouched and in the full space, (bases,).

    Draws that start from one base are averaged first: they share its luck. Where all start from one base, as from a checkpoint from
    elsewhere, the draws stand in its place, `bases` are their seeds, and `one_base` says so. d = 0 is the untouched model.
    """

    dimensions: np.ndarray
    values: np.ndarray
    full: np.ndarray
    start: np.ndarray
    bases: tuple[float, ...]
    lost: str
    one_base: bool = False

    @property
    def left_out(self) -> str:
        """Returns that no interval can hold another base, where all draws start from one."""
        return f"{len(self.values)} {BASE_LEFT_OUT}" if self.one_base else ""

    def only(self, base: float) -> "Curves":
        """Returns the curve of one base."""
        row = [self.bases.index(base)]
        return self._replace(values=self.values[row], full=self.full[row], start=self.start[row], bases=(base,))


def curves(own: pd.DataFrame, metric: str, init: str, projection: str, step: float) -> Curves:
    """Returns what the draws measured at a step whose runs, in subspaces and in the full space, all finished; `own`: of one subject."""
    table, bases, lost = _table(own[own["metric"] == metric], init, projection, step)
    return _curves(table, units(table.to_numpy(), bases) if len(table) else table.to_numpy(), bases, lost)


def curves_without_documents(own: pd.DataFrame, init: str, projection: str, step: float) -> tuple[list[Curves], np.ndarray]:
    """Returns the curves of losses with one group of documents left out each, and the groups' bytes; without losses by document nothing."""
    rows = own[own["metric"] == "document_loss"]
    if rows.empty:
        return [], np.array([])
    weights = own[own["metric"] == "document_bytes"].sort_values("document")["value"].to_numpy(float)
    rows = rows.assign(cell=rows.groupby(CELL, dropna=False, sort=False).ngroup())
    wide = rows.pivot(index="cell", columns="document", values="value").astype(float).dropna()
    losses = without_each(wide.to_numpy(), weights)
    cells = rows.drop_duplicates("cell").set_index("cell").loc[wide.index]
    table, bases, lost = _table(cells.assign(value=range(len(cells))), init, projection, step)
    if table.empty:
        return [], weights
    values = units(losses[table.to_numpy(int)], bases)
    return [_curves(table, value, bases, lost) for value in np.moveaxis(values, -1, 0)], weights


def _table(rows: pd.DataFrame, init: str, projection: str, step: float) -> tuple[pd.DataFrame, np.ndarray, str]:
    """Values by seed and dimension, d = 0 among them, then 'start' and 'full', of seeds that have all; the bases of these; what is lost."""
    mine = rows[rows["init"] == init]
    tested = mine[(mine["phase"] == "result") & (mine["step"] == step)]
    inside = tested[(tested["trains"] == "subspace") & (tested["projection"] == projection)]
    table = inside.pivot(index="seed", columns="dimension", values="value").astype(float)
    start, full = _by_seed(mine[mine["phase"] == "reference"]), _by_seed(tested[tested["trains"] == "full"])
    if 0 not in table:
        table.insert(0, 0.0, start)
    whole = pd.concat([table, start.rename("start"), full.rename("full")], axis=1, join="inner").dropna()
    lost, draws = len(table) - len(whole), len(table)
    note = f"{lost} of {draws} draws incomplete (diverged), left out" if lost else ""
    return whole, bases_of(inside).loc[whole.index].to_numpy(), note


def _curves(table: pd.DataFrame, by_base: np.ndarray, bases: np.ndarray, lost: str) -> Curves:
    alone = of_one_base(bases)
    own = tuple(table.index if alone else np.unique(bases))
    return Curves(table.columns[:-2].to_numpy(float), by_base[:, :-2], by_base[:, -1], by_base[:, -2], own, lost, alone)


def bases_of(rows: pd.DataFrame) -> pd.Series:
    """Returns the base that each seed starts from, by seed; its own where records name none, as those of images do."""
    known = rows.drop_duplicates("seed").set_index("seed")
    seeds = known.index.to_series()
    return known["base"].fillna(seeds) if "base" in known else seeds


def units_of(rows: pd.DataFrame) -> pd.Series:
    """Returns what an interval counts once, by seed: its base, or, where all start from one, the seed itself."""
    bases = bases_of(rows)
    return bases.index.to_series() if of_one_base(bases.to_numpy()) else bases


def subjects(results: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yields the coordinates of each model that has results, and all its records."""
    for model, parameters, data in dict.fromkeys(results.query("phase == 'result'")[SUBJECT].itertuples(index=False, name=None)):
        subject = {"model": model, "parameters": int(parameters), "data": data}
        yield subject, results[(results["model"] == model) & (results["parameters"] == parameters)]


def steps_of(own: pd.DataFrame, metric: str) -> list[int]:
    """Returns the steps at which results of a metric were read, ascending."""
    return sorted(own[(own["phase"] == "result") & (own["metric"] == metric)]["step"].astype(int).unique().tolist())


def fact(own: pd.DataFrame, metric: str) -> float:
    """Returns a value that is one for a subject, such as the unigram entropy."""
    return float(own[own["metric"] == metric]["value"].iloc[0])


def arms_of(own: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yields the initialization and projection of every arm in a subspace, in order of appearance."""
    inside = own[(own["phase"] == "result") & (own["trains"] == "subspace")]
    yield from dict.fromkeys(zip(inside["init"], inside["projection"], strict=True))


def _by_seed(rows: pd.DataFrame) -> pd.Series:
    return rows.set_index("seed")["value"].astype(float)
