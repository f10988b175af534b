"""r90 of planted curves: right where they are floors, wrong where they are not, refused where nothing is gained, censored out of reach."""

import numpy as np
import pandas as pd
import pytest

from experiments.planted_rank.readings_r90 import agrees, breaks, planted_findings
from experiments.planted_rank.spectra import analytic_r90, spectrum
from research.analysis.recovery import r90
from research.findings import Estimate, Finding, find, finding

SEEDS = (0, 1, 2)


def case(
    planted: int, start: float, shares: list[float], *, matched: float = 1.0, decoy: str = "none", strength: float = 1e-4
) -> list[dict]:
    """The records of one case: what is lost at rank 0, 1, .. of a divergence of `start`, a little more for each seed."""
    where = {"decoy": decoy, "spectrum": "flat", "planted_rank": planted, "strength": strength, "metric": "kl"}
    rows = []
    for seed in SEEDS:
        own = start * (1 + 0.01 * seed)
        rows.append({**where, "phase": "reference", "trains": "nothing", "rank": 0, "seed": seed, "step": 0, "value": own})
        students = [*(("lora", rank, share) for rank, share in enumerate(shares, 1)), ("matched", None, matched)]
        for trains, rank, share in students:
            row = {**where, "phase": "result", "trains": trains, "rank": rank, "seed": seed, "step": 9}
            rows.append({**row, "value": own * (1 - share)})
    return rows


def floors(planted: int, beyond: int = 2) -> list[float]:
    return [min(rank / planted, 1.0) for rank in range(1, planted + beyond + 1)]


def read(rows: list[dict], name: str = "planted_r90", **where: object) -> Finding:
    found = find(planted_findings(pd.DataFrame(rows)), name, **where)
    assert found is not None
    return found


def test_on_floors_it_is_the_estimator_of_lora_rank_sweep_and_stands_beside_its_analytic_value() -> None:
    found = read(case(8, 0.005, floors(8)), reference="teacher")
    expected = r90(np.arange(1.0, 11.0), np.array([floors(8)] * 3))
    assert found.value == pytest.approx(expected.value) and found.where["analytic"] == 7.2
    assert found.value == pytest.approx(7.2, rel=0.01) and agrees(found)
    error = read(case(8, 0.005, floors(8)), "planted_r90_error", reference="teacher")
    assert error.value == pytest.approx(found.value / 7.2 - 1)


def test_a_matched_reference_that_is_not_trained_to_the_end_makes_the_answer_smaller_and_the_teacher_tells() -> None:
    rows = case(8, 0.005, floors(8), matched=0.7)
    assert read(rows, reference="matched").value < 5.2 < 7 < read(rows, reference="teacher").value
    gain = read(rows, "planted_gain", reference="matched")
    assert gain.value == pytest.approx(0.7 * 0.00505)
    assert read(rows, "recovered_at_planted", reference="teacher").value == pytest.approx(1.0)


def test_decoys_are_refused_each_in_its_way() -> None:
    nothing = read(case(0, 0.0, [0.0, 0.0, 0.0], decoy="zero"), reference="matched")
    assert nothing.value is None and "undefined" in nothing.note and agrees(nothing)
    far = read(case(48, 0.03, [0.2, 0.3, 0.4], decoy="full_rank"), reference="matched")
    assert far.value is None and far.where["analytic"] == 43.2 and agrees(far)
    outside = case(8, 0.004, [0.05, 0.1, 0.14], decoy="out_of_reach", matched=0.2)
    assert read(outside, reference="teacher").where["analytic"] is None
    assert all(agrees(read(outside, reference=reference)) for reference in ("matched", "teacher"))
    reached = read(case(8, 0.004, [0.05, 0.19, 0.2], decoy="out_of_reach", matched=0.2), reference="matched")
    assert reached.value is not None and not agrees(reached)


def test_a_rank_of_one_is_at_or_below_the_smallest_and_a_rank_of_four_is_not() -> None:
    assert agrees(read(case(1, 0.0006, floors(1)), reference="teacher"))
    assert not agrees(read(case(4, 0.0024, [0.95, 1.0, 1.0]), reference="teacher"))
    assert not agrees(read(case(2, 0.0012, [0.3, 0.6, 0.7, 0.8]), reference="teacher"))


def test_diverged_students_are_left_out_by_seed() -> None:
    rows = case(8, 0.005, floors(8))
    rows[3]["value"] = None
    assert read(rows, reference="matched").n == 2


def test_the_smallest_strength_at_which_it_is_wrong_is_told_with_the_gain_there() -> None:
    strong = [0.7, 0.85, 0.95, 0.96]
    rows = [*case(2, 0.001, floors(2)), *case(2, 0.01, floors(2), strength=1e-3), *case(2, 0.2, strong, matched=0.8, strength=1e-2)]
    ranks = [_estimated(2, strength, value) for strength, value in ((1e-4, 2.0), (1e-3, 2.0), (1e-2, None))]
    found = list(breaks([*ranks, *planted_findings(pd.DataFrame(rows))]))
    assert {f.where["of"]: f.value for f in found} == {"r90": 1e-2, "estimated_rank": 1e-2}
    assert all("0.16 bits/byte" in f.note and f.n == 3 for f in found)
    (whole,) = breaks(planted_findings(pd.DataFrame(rows[:-18])))
    assert whole.value is None and whole.note.startswith("nowhere up to a matched gain of 0.01")


def _estimated(planted: int, strength: float, value: float | None) -> Finding:
    where = {"planted_rank": planted, "decoy": "none", "spectrum": "flat", "strength": strength}
    return finding("estimated_rank", where, Estimate(value, value, value, 3, ""), "rank")


def test_nothing_finished_has_no_findings() -> None:
    rows = [row for row in case(2, 0.001, floors(2)) if row["phase"] == "reference"]
    assert planted_findings(pd.DataFrame(rows)) == []
    assert analytic_r90(spectrum("flat", 2)) == pytest.approx(1.8)
