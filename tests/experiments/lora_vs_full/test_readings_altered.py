"""What planted records say of updates that were changed: cut to few directions, their intruders scaled down, scaled down as a whole."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from experiments.lora_vs_full.answers import answer
from experiments.lora_vs_full.readings import findings
from experiments.lora_vs_full.readings_altered import EQUAL_TARGET
from research.findings import Finding, find
from tests.experiments.lora_vs_full import planted
from tests.experiments.lora_vs_full.looked_up import THREE, contrast, half, one
from tests.experiments.lora_vs_full.planted import AT, CUTS, GROUPS, KEEPS, LEARNS, MORE, PARTS, RISES, only

LOSSES = ("target_loss", "source_loss")
DOCUMENTS = t.ppf(0.975, GROUPS - 1) * planted.APART * np.std(np.arange(GROUPS), ddof=1) / np.sqrt(GROUPS)


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(only("reference", "result", "cut", "altered"))


@pytest.mark.parametrize("at", [planted.LAST, "end"])
@pytest.mark.parametrize(("arm", "ranks"), [("full", (1, 4, 8)), ("lora@2", (1,)), ("lora@8", (1, 4))])
def test_cut_updates_have_intervals_over_bases_and_documents(found: list[Finding], arm: str, ranks: tuple[int, ...], at: str) -> None:
    learned = LEARNS[arm] * planted.WAY[AT[at][arm]]
    for rank in ranks:
        where, kept = {"arm": arm, "at": at, "cut": rank}, CUTS["best"][rank]
        best, random = (one(found, "truncated_loss", **where, directions=which) for which in ("best", "random"))
        assert best.value == pytest.approx(learned * (1 - kept))
        assert half(best) == pytest.approx(np.hypot(THREE * planted.SPREAD, DOCUMENTS))
        assert random.value == pytest.approx(learned * (1 - CUTS["random"][rank])) and half(random) == pytest.approx(0, abs=1e-9)
        less = contrast(found, "truncated_loss", "best - random", **where)
        assert less.value == pytest.approx(learned * (CUTS["random"][rank] - kept))
        assert half(less) == pytest.approx(np.hypot(THREE * planted.SPREAD, DOCUMENTS))


def test_the_rank_needed_is_where_nine_tenths_of_the_gain_are_kept(found: list[Finding]) -> None:
    for directions, rank in (("best", 4), ("random", 8)):
        f = one(found, "rank_needed", arm="full", at="end", directions=directions)
        assert f.value == pytest.approx(rank, rel=1e-3)


def test_a_rank_above_all_cuts_is_bounded_by_the_whole_update() -> None:
    own = only("reference", "result", "cut")
    found = findings(own[~(own["cut"] > 1)])
    assert 1 < one(found, "rank_needed", arm="full", at="0.8", directions="best").value < 2


@pytest.mark.parametrize("arm", MORE)
def test_scaling_intruders_is_compared_with_scaling_everything_at_one_loss(found: list[Finding], arm: str) -> None:
    """The way of scaling everything is curved: at a factor of 0.25 it is read between two points, at 0.5 it stands there."""
    for factor, kept in KEEPS.items():
        for part, (beside, spread) in PARTS.items():
            f = contrast(found, EQUAL_TARGET, f"{part} - all", arm=arm, factor=factor)
            assert f.value == pytest.approx(MORE[arm] + beside, abs=1e-9) and half(f) == pytest.approx(spread * THREE)
        f = contrast(found, EQUAL_TARGET, "intruders - others", arm=arm, factor=factor)
        assert f.value == pytest.approx(-PARTS["others"][0]) and half(f) == pytest.approx(0.02 * THREE)
        risen = RISES[arm] * {0.25: (0.25**2 + 0.5**2) / 2, 0.5: 0.25}[factor] + MORE[arm]
        moved = {metric: one(found, "scaled", arm=arm, scaled="intruders", factor=factor, metric=metric) for metric in LOSSES}
        assert moved["target_loss"].value == pytest.approx(LEARNS[arm] * (1 - kept))
        assert moved["source_loss"].value == pytest.approx(risen - RISES[arm])
    whole = one(found, "scaled", arm=arm, scaled="all", factor=0.75, metric="source_loss")
    assert whole.value == pytest.approx(RISES[arm] * (0.75**2 - 1))


@pytest.mark.parametrize("value", [9.0, 0.5, None])  # above the untouched model's, below full's, null
def test_a_loss_that_scaling_everything_does_not_have_is_compared_with_nothing(value: float | None) -> None:
    own = only("reference", "result", "update", "altered")
    gone = (own["phase"] == "altered") & (own["factor"] == 0.5) & (own["scaled"] == "intruders") & (own["metric"] == "target_loss")
    found = findings(own.assign(value=own["value"].astype(object).mask(gone, value)))
    for other in ("all", "others"):
        lost = contrast(found, EQUAL_TARGET, f"intruders - {other}", arm="full", factor=0.5)
        assert lost.value is lost.low is lost.high is None
        assert contrast(found, EQUAL_TARGET, f"intruders - {other}", arm="full", factor=0.25).value is not None
    assert contrast(found, EQUAL_TARGET, "others - all", arm="full", factor=0.5).value is not None
    assert "(3 cannot be compared: scaling the whole update does not have their loss on the target)" in answer(found)


@pytest.mark.parametrize("seeds", [(0, 1, 2), (0, 1)])
def test_where_no_seed_has_an_intruder_nothing_was_scaled_and_nothing_is_compared(seeds: tuple[int, ...]) -> None:
    """Their losses are the tuned update's to the last bit; one seed of which something was scaled makes a comparison of all."""
    own = only("reference", "result", "altered")
    same = (own["phase"] == "altered") & own["scaled"].isin(list(PARTS)) & (own["arm"] == "lora@2") & own["seed"].isin(seeds)
    ends = own[(own["phase"] == "result") & (own["arm"] == "lora@2")].set_index(["metric", "seed"])["value"]
    keys = pd.MultiIndex.from_frame(own.loc[same, ["metric", "seed"]])
    own.loc[same, "value"] = ends[ends.index.isin(keys)].loc[keys].to_numpy()
    found = findings(own)
    for part, (beside, spread) in PARTS.items():
        less = find(found, "contrast", what=EQUAL_TARGET, between=f"{part} - all", arm="lora@2", factor=0.5)
        assert (less is None) == (len(seeds) == 3)
        assert less is None or less.value == pytest.approx((MORE["lora@2"] + beside + spread) / 3)
    assert (find(found, "contrast", between="intruders - others", arm="lora@2") is None) == (len(seeds) == 3)
    for metric in LOSSES:
        moved = one(found, "scaled", arm="lora@2", scaled="intruders", factor=0.5, metric=metric)
        assert (moved.value == 0) == (len(seeds) == 3)
    assert find(found, "contrast", what=EQUAL_TARGET, arm="lora@8", factor=0.5) is not None
