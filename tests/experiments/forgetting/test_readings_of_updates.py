"""What planted records say of updates: their rank and their distance at the end of training, beside full's and beside noise."""

import numpy as np
import pytest
from scipy.stats import t

from experiments.forgetting.headlines import headline
from experiments.forgetting.readings import findings
from research.findings import Finding
from tests.experiments.forgetting import planted
from tests.experiments.forgetting.planted import RANKS, records
from tests.experiments.forgetting.test_readings import one


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records())


@pytest.mark.parametrize("arm", RANKS)
def test_ranks_and_distances_of_updates_are_those_at_the_end(found: list[Finding], arm: str) -> None:
    f, far = one(found, "energy_rank", arm), one(found, "distance", arm)
    half = t.ppf(0.975, 2) * planted.RANK_SPREAD / np.sqrt(3) if arm.startswith("lora") else 0.0
    assert (f.value, f.n, f.unit) == (pytest.approx(RANKS[arm]), 3, "rank") and (f.high - f.low) / 2 == pytest.approx(half, abs=1e-9)
    assert far.value == pytest.approx(np.mean([1 + (7 * 40 + 3 * seed) % 5 for seed in range(3)]))
    if arm != "full":
        assert one(found, "contrast", what="energy_rank", between=f"{arm} - full").value == pytest.approx(RANKS[arm] - RANKS["full"])


def test_updates_have_a_table_of_their_own(found: list[Finding]) -> None:
    *_, table = headline(found)
    rows = {row[0]: row for row in table.rows}
    assert list(rows) == list(RANKS) and rows["lora@2"][2].startswith("2.0 [") and rows["lora@2"][3].startswith("-28.0 [")
    assert rows["full"][3] == "–" and f"Gaussian noise has {planted.NOISE_RANK}" in table.caption
    old = records().query("metric != 'energy_rank'")  # of a run that did not read it
    assert len(headline(findings(old))) == 2
