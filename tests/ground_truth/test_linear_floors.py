"""Linear students of a planted rank: the measured loss floors are Eckart and Young's."""

import numpy as np
import pytest

from experiments.planted_rank.linear_floors import exact_floor, floor_records, measured_floors
from experiments.planted_rank.updates import spectrum


@pytest.mark.parametrize("kind", ["flat", "decaying"])
@pytest.mark.parametrize("planted", [1, 2, 4, 8])
def test_every_floor_below_the_planted_rank_is_exact_and_from_it_on_there_is_none(kind: str, planted: int) -> None:
    values, ranks = spectrum(kind, planted), list(range(planted + 2))
    measured = measured_floors(values, ranks, seed=planted)
    exact = np.array([exact_floor(values, rank) for rank in ranks])
    np.testing.assert_allclose(measured[:planted], exact[:planted], rtol=1e-4)
    assert (measured[planted:] < 1e-6).all()


def test_records_hold_both_and_leave_out_what_does_not_fit() -> None:
    rows = list(floor_records("planted_rank", (1, 99), ("flat",)))
    assert [(row["rank"], row["metric"]) for row in rows] == [(r, m) for r in (0, 1) for m in ("floor", "exact_floor")]
    assert rows[0]["value"] == pytest.approx(rows[1]["value"], rel=1e-4)
