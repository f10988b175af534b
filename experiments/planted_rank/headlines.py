"""The words and tables with which a report begins, made from the findings alone."""

from collections.abc import Iterator, Sequence
from typing import Any

from experiments.planted_rank.readings import MARGINS, SHARE
from experiments.planted_rank.readings_r90 import CASE, agrees, recovers
from research.analysis.simulated_curves import covers
from research.findings import Finding, Table, find, shown

WORDS = {"none": "rank {}", "zero": "nothing", "full_rank": "full rank ({})", "out_of_reach": "rank {}, where the adapter is not"}


def answer(found: Sequence[Finding]) -> str:
    """Returns what is recovered and told apart of weak plants, what r90's interval covers and r90 reads, and where strength breaks both."""
    strengths = [f.where["strength"] for f in found if f.name == "estimated_rank"]
    if not strengths:
        return "No students have finished yet."
    weakest = min(strengths)
    ranks = [f for f in found if f.name == "estimated_rank" and f.where["strength"] == weakest]
    planted, decoys = ([f for f in ranks if (f.where["decoy"] == "none") is kind] for kind in (True, False))
    refused = [f for f in decoys if f.value == 0 or (f.where["decoy"] != "zero" and f.value is None)]
    covered = [f.value for f in found if f.name == "coverage" and f.where["estimator"] == "r90" and f.value is not None]
    parts = [f"The planted rank is recovered by every seed in {sum(map(recovers, planted))} of {len(planted)} cases at {weakest:g} nats"]
    parts += [f"{len(refused)} of {len(decoys)} decoys are told apart"] if decoys else []
    parts += [f"the 95 % interval of r90 covers the truth of {min(covered):.1%} or more of simulated curves"] if covered else []
    return " ".join([", ".join(parts) + ".", *_of_r90(found, weakest), *_stronger(found)])


def _of_r90(found: Sequence[Finding], weakest: float) -> Iterator[str]:
    where = {"strength": weakest, "reference": "matched", "decoy": "none"}
    readings = [f for f in found if f.name == "planted_r90" and where.items() <= f.where.items()]
    read = [f for f in readings if f.value is not None]
    if read:
        right, errors = sum(map(agrees, read)), _span(found, "planted_r90_error", **where)
        inside = sum(covers(f.low, f.high, f.where["analytic"]) for f in read)
        spread = f" (errors {errors})" if errors else ""
        beside = f", {len(readings) - len(read)} more have no value" if len(read) < len(readings) else ""
        words = f"There r90 is within half an octave of the analytic value in {right} of {len(read)} cases with a value{spread}{beside}"
        yield f"{words}; its interval over seeds holds the analytic value in {inside}."
    decoys = [f for f in found if f.name == "planted_r90" and f.where["decoy"] != "none"]
    names, wrong = ({f.where["decoy"] for f in some} for some in (decoys, (f for f in decoys if not agrees(f))))
    if names:
        yield f"Of {len(names)} decoys {len(names - wrong)} have no r90, as they should."
    own = [f"{span} at {grid}" for grid in ("every rank", "powers of two") if (span := _span(found, "floor_r90_error", grid=grid))]
    if own:
        yield f"The estimator alone, on exact floors, errs by {' and by '.join(own)}."


def _stronger(found: Sequence[Finding]) -> Iterator[str]:
    for of, words in (("r90", "r90"), ("estimated_rank", "The estimated rank")):
        broken = [f for f in found if f.name == "breaks_at" and f.where["of"] == of]
        if broken:
            yield f"{words} breaks {'; '.join(map(_broken, broken))}."


def _span(found: Sequence[Finding], name: str, **where: Any) -> str:
    """The smallest and the largest error as percentages, nothing where there is none."""
    values = [f.value for f in found if f.name == name and f.value is not None and where.items() <= f.where.items()]
    return f"{min(values):+.1%} to {max(values):+.1%}" if values else ""


def _broken(f: Finding) -> str:
    at = f.note if f.value is None else f"from {f.value:g} nats on, {f.note}".rstrip(", ")
    return f"for {f.where['spectrum']} rank {f.where['planted_rank']} {at}"


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns what was planted, what rank was estimated by what margins, and what r90 reads, a row a case; and r90 of exact floors."""
    return tuple(table for table in (_ranks(found), _rulers(found), _floors(found)) if table.rows)


def _case(f: Finding) -> tuple[str, str]:
    words = WORDS[f.where["decoy"]].format(f.where["planted_rank"]) + (f", {f.where['spectrum']}" if f.where["decoy"] == "none" else "")
    return words, f"{f.where['strength']:g}" if f.where["planted_rank"] else "–"


def _ranks(found: Sequence[Finding]) -> Table:
    rows = []
    for f in found:
        if f.name == "estimated_rank":
            margins = (find(found, "margin", **f.where, student=f.where["planted_rank"] + offset) for offset in MARGINS.values())
            rows.append((*_case(f), shown(f, ".3g"), *(shown(margin, "#.2g") for margin in margins)))
    caption = (
        f"The estimated rank is the smallest whose divergence from the teacher is below {SHARE:g} of what leaving out the last planted "
        "component costs; beside it that share at one rank less than planted (k) and at k. Strength: nats a token that the first "
        "component costs in each matrix, while small. Mean over seeds [95 % interval]."
    )
    return Table(("planted", "strength", "estimated rank", "share at k - 1", "share at k"), tuple(rows), caption)


def _rulers(found: Sequence[Finding]) -> Table:
    rows = []
    for f in found:
        if f.name == "planted_r90" and f.where["reference"] == "matched":
            case = {name: f.where[name] for name in CASE}
            gain, error = (find(found, name, **case, reference="matched") for name in ("planted_gain", "planted_r90_error"))
            other, share = (find(found, name, **case, reference="teacher") for name in ("planted_r90", "recovered_at_planted"))
            numbers = (shown(gain, "#.2g"), _number(f.where["analytic"]), shown(f), shown(other))
            rows.append((*_case(f), *numbers, f"{error.value:+.0%}" if error and error.value is not None else "–", shown(share, ".2f")))
    caption = (
        "r90 of the students' curves, between the untouched divergence and that of the same matrices trained themselves, as in "
        "lora_rank_sweep, and beside it between the untouched divergence and none (to the teacher). Analytic: the smallest real rank at "
        "which the floor curve of Eckart and Young, linear between whole ranks, recovers 0.9; it is that of one matrix and a small "
        "update, and all are held to it. Gain: of the same matrices trained themselves, bits/byte. Error: r90 over its analytic value, "
        "minus 1. At k: what the student of the planted rank recovers of the way to the teacher, 1 if trained to the end."
    )
    return Table(("planted", "strength", "gain", "analytic", "r90", "r90 to the teacher", "error", "at k"), tuple(rows), caption)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _floors(found: Sequence[Finding]) -> Table:
    rows = []
    for f in found:
        if f.name == "floor_r90" and f.where["grid"] == "every rank":
            kind, planted = f.where["spectrum"], f.where["planted_rank"]
            other = find(found, "floor_r90", spectrum=kind, planted_rank=planted, grid="powers of two")
            rows.append((f"rank {planted}, {kind}", _number(f.where["analytic"]), shown(f), shown(other)))
    caption = (
        "r90 read on the exact floors of linear students, where nothing but the estimator can err: it interpolates in log rank between the "
        "ranks tried, all of them or, as in lora_rank_sweep, powers of two."
    )
    return Table(("planted", "analytic r90", "every rank", "powers of two"), tuple(rows), caption)
