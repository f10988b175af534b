"""What students of every rank say about the rank that was planted: estimates, findings and the answer, from the records alone."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from research.analysis.intervals import join_notes, t_interval
from research.findings import Estimate, Finding, Table, find, finding, shown

CASE = ["decoy", "spectrum", "planted_rank"]
SHARE = 0.5
ROUNDING = 1e-6
WORDS = {"none": "rank {}", "zero": "nothing", "full_rank": "full rank ({})", "out_of_reach": "rank {}, where the adapter is not"}
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

    Columns decoy, spectrum, planted_rank, seed, tolerance (bits), largest (rank of a student), value; and less, planted: the divergence
    of a student of one rank less than planted, and of the planted rank, over what the last component costs (null where nothing is to be
    left out, and where no student has the rank).
    """
    last = results.query("phase == 'result' and metric == 'kl'")
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
    """Returns estimated ranks with their margins, subspace overlaps beside their null, errors of the linear floors, and coverage."""
    estimated = estimates(results)
    return [*_ranks(estimated), *_margins(estimated), *_overlaps(results), *_floors(results), *_coverage(results)]


def answer(found: Sequence[Finding]) -> str:
    """Returns one sentence: how many planted ranks were recovered, how many decoys were told apart, what r90's interval covers."""
    ranks = [f for f in found if f.name == "estimated_rank"]
    planted, decoys = ([f for f in ranks if (f.where["decoy"] == "none") is kind] for kind in (True, False))
    right = [f for f in planted if f.value == f.where["planted_rank"] and f.low == f.high]  # no interval: one seed
    refused = [f for f in decoys if f.value == 0 or (f.where["decoy"] != "zero" and f.value is None)]
    covered = [f.value for f in found if f.name == "coverage" and f.where["estimator"] == "r90" and f.value is not None]
    parts = [f"The planted rank is recovered by every seed in {len(right)} of {len(planted)} cases"]
    parts += [f"{len(refused)} of {len(decoys)} decoys are told apart"] if decoys else []
    parts += [f"the 95 % interval of r90 covers the truth in {min(covered):.1%} or more of simulations"] if covered else []
    return ", ".join(parts) + "."


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns one table with a row for each case: what was planted, what was estimated, and by what margins."""
    rows = []
    for f in found:
        if f.name == "estimated_rank":
            planted, decoy, spectrum = f.where["planted_rank"], f.where["decoy"], f.where["spectrum"]
            words = WORDS[decoy].format(planted) + (f", {spectrum}" if decoy == "none" else "")
            margins = (find(found, "margin", **f.where, student=planted + offset) for offset in MARGINS.values())
            rows.append((words, shown(f, ".3g"), *(shown(margin, "#.2g") for margin in margins)))
    caption = (
        f"The estimated rank is the smallest whose divergence from the teacher is below {SHARE:g} of what leaving out the last planted "
        "component costs; beside it that share at one rank less than planted (k) and at k. Mean over seeds [95 % interval]."
    )
    return (Table(("planted", "estimated rank", "share at k - 1", "share at k"), tuple(rows), caption),) if rows else ()


def _margins(estimated: pd.DataFrame) -> Iterator[Finding]:
    """How far the divergences beside the planted rank lie from the tolerance, for what is planted within reach."""
    method = "divergence over what the last component costs; mean and t interval over seeds (95%)"
    for (decoy, spectrum, planted), rows in estimated[estimated["decoy"] == "none"].groupby(CASE, sort=False):
        for margin, offset in MARGINS.items():
            where = {"planted_rank": int(planted), "decoy": decoy, "spectrum": spectrum, "student": int(planted) + offset}
            yield finding("margin", where, t_interval(rows[margin].astype(float))._replace(method=method), "1")


def _ranks(estimated: pd.DataFrame) -> Iterator[Finding]:
    for (decoy, spectrum, planted), rows in estimated.groupby(CASE, sort=False):
        where = {"planted_rank": int(planted), "decoy": decoy, "spectrum": spectrum}
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
    for (decoy, spectrum, planted, side, null), some in rows.groupby([*CASE, "side", "null"], sort=False):
        where = {"planted_rank": int(planted), "decoy": decoy, "spectrum": spectrum, "side": side, "null": null}
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
