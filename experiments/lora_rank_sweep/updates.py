"""What full-rank updates are like: their first singular value at one norm, and what is left of them when they are cut."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.lora_rank_sweep.contrasts import FIRST
from experiments.lora_rank_sweep.measured import Measured, losses
from research.analysis.contrasts import contrast
from research.analysis.intervals import join_notes
from research.analysis.matched_norm import at_norm, common_norm
from research.findings import Finding, finding


def first_values(results: pd.DataFrame, target: str) -> Iterator[Finding]:
    """Yields the first singular value of what training everything changed, over its norm: at the end, of noise, and at one norm for all.

    Rates differ between initializations and with them how far training went; so the contrast is read at the smallest of the final norms.
    """
    rows = results[(results["phase"] == "spectrum") & (results["target"] == target)]
    if rows.empty:
        return
    last = rows[(rows["step"] == rows["step"].max()) & (rows["index"] == 1)]
    for (init, null), some in last.groupby(["init", "null"], sort=False):
        where = {"target": target, "init": init, "trains": "full", "null": null, "at": "the end"}
        yield finding("first_singular_value", where, contrast(some["value"].to_numpy(float), some["base"].to_numpy(int)), "1")
    curves = {key: _grown(some) for key, some in rows.groupby(["init", "seed"], sort=False)}
    norm = common_norm(list(curves.values()))
    bases = {(row.init, int(row.seed)): int(row.base) for row in last.itertuples()}
    read = pd.Series({key: None if norm is None else at_norm(*curve, norm) for key, curve in curves.items()}, dtype=float)
    for init in dict.fromkeys(last["init"]):
        own = read[init]
        where = {"target": target, "init": init, "trains": "full", "null": "none", "at": "one norm"}
        missing = "no norm that the updates of all initializations passed" if norm is None else f"norm {norm:.3g}"
        estimate = contrast(own.to_numpy(), np.array([bases[init, seed] for seed in own.index]))
        yield finding("first_singular_value", where, estimate._replace(note=join_notes(estimate.note if norm else "", missing)), "1")
        if init != FIRST and FIRST in read.index:
            pairs = (read[FIRST] - own).dropna()
            estimate = contrast(pairs.to_numpy(), np.array([bases[FIRST, seed] for seed in pairs.index]))
            where = {"of": "first singular value at one norm", "between": f"{FIRST} - {init}", "target": target, "arm": None, "rank": None}
            yield finding("contrast", where, estimate, "1")


def cut(results: pd.DataFrame, own: Measured) -> Iterator[Finding]:
    """Yields the loss of full-rank updates cut to a rank, to their best or to random directions, minus that of the whole update.

    And the contrast of the two, which have one norm: whether it is the directions that matter.
    """
    rows = results[(results["phase"] == "truncation") & (results["target"] == own.target)]
    for (init, arm, rank), some in rows.groupby(["init", "arm", "rank"], sort=False):
        sizes = np.empty(0) if own.weights is None else own.weights
        tables = {which: next(iter(losses(one, "target_loss", sizes)[0].values())) for which, one in some.groupby("directions", sort=False)}
        whole = own.of(init, arm, "matched")
        where = {"target": own.target, "init": init, "arm": arm, "rank": int(rank)}
        for which, table in tables.items():
            yield finding("cut_update", {**where, "directions": which}, own.difference(init, table, init, whole), "bits/byte")
        if {"best", "random"} <= tables.keys():
            what = {"of": "loss of the update cut to a rank", "between": "best - random directions"}
            yield finding("contrast", {**what, **where}, own.difference(init, tables["best"], init, tables["random"]), "bits/byte")


def _grown(rows: pd.DataFrame) -> tuple[list[float], list[float]]:
    """Norm and first singular value at each step of one run."""
    rows = rows.sort_values("step")
    norms = rows[rows["metric"] == "update_norm"].set_index("step")["value"].astype(float)
    values = rows[(rows["metric"] == "singular_value") & (rows["null"] == "none") & (rows["index"] == 1)].set_index("step")["value"]
    return norms.to_list(), values.astype(float).reindex(norms.index).to_list()
