"""What students of every rank say about the rank that was planted: estimates, findings and the answer, from the records alone."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from experiments.planted_rank.readings_r90 import CASE, breaks, case_of, floor_findings, planted_findings
from research.analysis.intervals import join_notes, t_interval
from research.findings import Estimate, Finding, finding

SHARE = 0.5
ROUNDING = 1e-6
MARGINS = {"less": -1, "planted": 0}
METHOD = "smallest rank with a divergence below half of what the last component costs; mean and t interval over seeds (95%)"


def tolerance(without_last: float) -> float:
    """Returns the divergence (bits) below which a student counts as having the teacher's rank; where nothing is planted, rounding."""
    return max(SHARE * without_last, ROUNDING)


def estimated_rank(divergence: pd.Series, below: float) -> int | None:
    """Returns the smallest rank whose divergence (bits, by rank; null where a run diverged) lies below, None if none does."""
    reached = divergence.index[divergence.astype(float) < below]
    return int(min(reached)) if len(reached) else None


def estimates(results: pd.DataFrame) -> pd.DataFrame:
    """Returns the estimated rank of every teacher, null where it is not reached.

    Columns decoy, spectrum, planted_rank, strength, seed, tolerance (bits), largest (rank of a student), value; and less, planted: the
    divergence of a student of one rank less than planted, and of the planted rank, over what the last component costs (null where
    nothing is to be left out, and where no student has the rank).
    """
    last = results.query("phase == 'result' and metric == 'kl' and trains == 'lora'")
    last = last[last["step"] == last["step"].max()]
    start = results.query("phase == 'reference' and metric == 'kl'")
    costs = results.query("phase == 'reference' and metric == 'kl_without_last'").set_index([*CASE, "seed"])["value"].astype(float)
    rows = []
    for key, curve in pd.concat([start, last]).groupby([*CASE, "seed"], sort=False):
        by_rank = curve.set_index("rank")["value"].sort_index()
        below, cost, planted = tolerance(float(costs.loc[key])), float(costs.loc[key]), key[CASE.index("planted_rank")]
        margins = [by_rank.get(rank, np.nan) / cost if cost > 0 else np.nan for rank in (planted - 1, planted)]
        rows.append((*key, below, int(by_rank.index.max()), estimated_rank(by_rank, below), *margins))
    table = pd.DataFrame(rows, columns=[*CASE, "seed", "tolerance", "largest", "value", *MARGINS])
    return table.astype({"planted_rank": int, "seed": int, "value": float})


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns estimated ranks with their margins, r90 with its errors, subspace overlaps beside their null, linear floors, coverage."""
    estimated = estimates(results)
    ranks, rulers = list(_ranks(estimated)), planted_findings(results)
    planted = [*ranks, *_margins(estimated), *rulers, *breaks([*ranks, *rulers]), *_overlaps(results)]
    return [*planted, *_floors(results), *floor_findings(results), *_coverage(results)]


def _margins(estimated: pd.DataFrame) -> Iterator[Finding]:
    """How far the divergences beside the planted rank lie from the tolerance, for what is planted within reach."""
    method = "divergence over what the last component costs; mean and t interval over seeds (95%)"
    for key, rows in estimated[estimated["decoy"] == "none"].groupby(CASE, sort=False):
        for margin, offset in MARGINS.items():
            where = case_of(key)
            where["student"] = where["planted_rank"] + offset
            yield finding("margin", where, t_interval(rows[margin].astype(float))._replace(method=method), "1")


def _ranks(estimated: pd.DataFrame) -> Iterator[Finding]:
    for key, rows in estimated.groupby(CASE, sort=False):
        where = case_of(key)
        missing, largest = int(rows["value"].isna().sum()), int(rows["largest"].max())
        note = f"not reached at the largest rank ({largest}) in {missing} of {len(rows)} seeds" if missing else ""
        if missing:
            reached = sorted(int(value) for value in rows["value"].dropna())
            note = join_notes(note, f"the others: {reached}" if reached else "")
            yield finding("estimated_rank", where, Estimate(None, None, None, len(rows), METHOD, note), "rank")
        else:
            yield finding("estimated_rank", where, t_interval(rows["value"].astype(float))._replace(method=METHOD), "rank")


def _overlaps(results: pd.DataFrame) -> Iterator[Finding]:
    rows = results.query("phase == 'subspace'")
    for (*key, side, null), some in rows.groupby([*CASE, "side", "null"], sort=False):
        where = {**case_of(key), "side": side, "null": null}
        yield finding("overlap", where, t_interval(some["value"].astype(float)), "1")


def _floors(results: pd.DataFrame) -> Iterator[Finding]:
    table = results.query("phase == 'linear'").pivot_table(index=["spectrum", "planted_rank", "rank"], columns="metric", values="value")
    for (spectrum, planted), rows in table.groupby(level=["spectrum", "planted_rank"], sort=False):
        below = rows[rows["exact_floor"] > 0]
        error = float(np.abs(below["floor"] / below["exact_floor"] - 1).max())
        where = {"spectrum": spectrum, "planted_rank": int(planted)}
        yield finding("floor_error", where, Estimate(error, None, None, len(below), "largest relative error over ranks below k"), "1")


def _coverage(results: pd.DataFrame) -> Iterator[Finding]:
    for row in results.query("phase == 'simulation' and metric == 'coverage'").itertuples():
        where = {"truth": row.truth, "noise": row.noise, "seeds": int(row.seeds), "estimator": row.estimator}
        interval = binomtest(round(row.value * row.n), int(row.n)).proportion_ci(method="wilson")
        method = "share of simulations whose 95 % interval covers; Wilson interval"
        yield finding("coverage", where, Estimate(row.value, float(interval.low), float(interval.high), int(row.n), method), "1")
