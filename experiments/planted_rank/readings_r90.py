"""r90, the ruler of lora_rank_sweep, on curves whose r90 is known: planted ranks, decoys, and the floors of linear students."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.planted_rank.spectra import analytic_r90, spectrum
from research.analysis.intervals import t_interval
from research.analysis.recovery import guard, headroom, r90, recovered
from research.findings import Estimate, Finding, finding

CASE = ["decoy", "spectrum", "planted_rank", "strength"]
LEAST_GAIN = 1e-4  # bits/byte, a thousand times what records are rounded to; lora_rank_sweep's 0.1 would refuse every weak plant
BREAK = 0.5  # octaves: a convention
ERROR = "r90 over its analytic value, minus 1"
BREAKS = {
    "r90": f"smallest strength at which r90 is off its analytic value by more than {BREAK:g} octaves; nats a token that a component costs",
    "estimated_rank": "smallest strength at which a seed's estimated rank is not the planted one; nats a token that a component costs",
}


def planted_findings(results: pd.DataFrame) -> list[Finding]:
    """Returns r90 of every teacher's students, its error, the gain that it is a share of, and how much of it the planted rank recovers.

    As in lora_rank_sweep r90 is read between the untouched divergence and that of the same matrices trained themselves ("matched");
    beside it ("teacher") between the untouched divergence and none.
    """
    return [one for where, curve in _curves(results) for one in _readings(where, curve)]


def floor_findings(results: pd.DataFrame) -> Iterator[Finding]:
    """Yields r90 of the exact floors of linear students, tried at every rank or at powers of two, and its error: the estimator's own."""
    rows = results.query("phase == 'linear' and metric == 'exact_floor'")
    for (kind, planted), floors in rows.groupby(["spectrum", "planted_rank"], sort=False):
        by_rank = floors.set_index("rank")["value"].astype(float)
        tried = list(range(1, 2 * int(planted) + 1))
        for grid, ranks in (("every rank", tried), ("powers of two", [rank for rank in tried if rank.bit_count() == 1])):
            lost = np.array([[by_rank.get(rank, 0.0) for rank in ranks]])  # nothing from the planted rank on
            found = r90(np.array(ranks, float), recovered(by_rank.loc[0], lost, 0.0))
            note = found.note.removesuffix("one seed: no interval").rstrip("; ")
            exact = found._replace(low=None, high=None, method=found.method.split(";")[0], note=note)
            where = {"spectrum": kind, "planted_rank": int(planted), "grid": grid}
            yield from _beside_analytic("floor_r90", where, exact, analytic_r90(spectrum(kind, int(planted))))


def agrees(planted: Finding) -> bool:
    """Returns whether r90 of a case is within BREAK octaves of its analytic value, or censored where that lies outside the ranks tried.

    Where there is none, because nothing is planted or it is out of reach, r90 must have no value.
    """
    known = planted.where["analytic"]
    if known is None:
        return planted.value is None
    if planted.value is None:
        return planted.note.startswith("at or below") if known <= 1 else planted.where["decoy"] != "none"
    return bool(abs(np.log2(planted.value / known)) <= BREAK)


def case_of(key: Sequence[Any]) -> dict[str, Any]:
    """Returns the coordinates of a case from its values in the order of CASE."""
    decoy, kind, planted, strength = key
    return {"planted_rank": int(planted), "decoy": decoy, "spectrum": kind, "strength": float(strength)}


def _curves(results: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Each case, with a row a seed whose runs all finished: the divergence untouched (0), by rank (1 ..), and of the matched student."""
    rows = results.query("metric == 'kl' and phase in ('reference', 'result')")
    ends = rows[(rows["phase"] == "reference") | (rows["step"] == rows["step"].max())]
    column = ends["rank"].astype(object).where(ends["rank"].notna(), "matched")
    for key, own in ends.assign(column=column).groupby(CASE, sort=False):
        yield case_of(key), own.pivot(index="seed", columns="column", values="value").astype(float).dropna()


def _readings(where: Mapping[str, Any], curve: pd.DataFrame) -> Iterator[Finding]:
    ranks = sorted(column for column in curve if column not in (0, "matched"))
    if 0 not in curve or not ranks:
        return
    start, reached = curve[0].to_numpy(), curve[ranks].to_numpy()
    known = None if where["decoy"] == "out_of_reach" else analytic_r90(spectrum(where["spectrum"], where["planted_rank"]))
    references = {"matched": curve["matched"].to_numpy()} if "matched" in curve else {}
    for reference, full in {**references, "teacher": np.zeros_like(start)}.items():
        gain, here = headroom(start, full), {**where, "reference": reference}
        shares = recovered(start[:, None], reached, full[:, None])
        yield finding("planted_gain", here, gain, "bits/byte")
        if where["decoy"] == "none" and where["planted_rank"] in ranks:
            at_planted = t_interval(shares[:, ranks.index(where["planted_rank"])])
            yield finding("recovered_at_planted", here, guard(at_planted, gain, LEAST_GAIN), "1")
        yield from _beside_analytic("planted_r90", here, guard(r90(np.array(ranks, float), shares), gain, LEAST_GAIN), known)


def _beside_analytic(name: str, where: Mapping[str, Any], found: Estimate, known: float | None) -> Iterator[Finding]:
    """The reading with its analytic value among the coordinates, and its error where there is one."""
    here = {**where, "analytic": None if known is None else round(known, 4)}
    yield finding(name, here, found, "rank")
    if known is not None:
        value, low, high = (None if x is None else x / known - 1 for x in (found.value, found.low, found.high))
        error = Estimate(value, low, high, found.n, ERROR, found.note)
        yield finding(f"{name}_error", here, error, "1")


def recovers(estimated: Finding) -> bool:
    """Returns whether every seed's estimated rank of a case is the planted one."""
    return estimated.value == estimated.where["planted_rank"] and estimated.low == estimated.high  # no interval: one seed


def breaks(found: Sequence[Finding]) -> Iterator[Finding]:
    """Yields the smallest strength at which r90, and the estimated rank, is wrong, for what is planted at several; null where at none.

    found: findings named estimated_rank, planted_r90 and planted_gain. The note has the gain of matched training there, or up to which
    all is right.
    """
    gains = {_key(f): f.value for f in found if f.name == "planted_gain" and f.where["reference"] == "matched"}
    for of, name, right in (("r90", "planted_r90", agrees), ("estimated_rank", "estimated_rank", recovers)):
        cases: dict[tuple[str, int], list[Finding]] = {}
        for f in found:
            if f.name == name and f.where["decoy"] == "none" and f.where.get("reference") in (None, "matched"):
                cases.setdefault((f.where["spectrum"], f.where["planted_rank"]), []).append(f)
        for (kind, planted), own in sorted(cases.items()):
            if len(own) > 1:
                ascending = sorted(own, key=lambda f: f.where["strength"])
                first = next((f for f in ascending if not right(f)), None)
                gain = gains.get(_key(first or ascending[-1]))
                note = "" if gain is None else f"{'at' if first else 'nowhere up to'} a matched gain of {gain:.2g} bits/byte"
                where = {"of": of, "planted_rank": planted, "spectrum": kind}
                estimate = Estimate(first.where["strength"] if first else None, None, None, len(own), BREAKS[of], note)
                yield finding("breaks_at", where, estimate, "nats")


def _key(f: Finding) -> tuple[Any, ...]:
    return tuple(f.where[name] for name in CASE)
