"""What planted records say: ranks, intruders, cuts, scaled updates, the detector, subspaces, and what is left where cells diverged."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from experiments.lora_vs_full.answers import answer
from experiments.lora_vs_full.headlines import headline
from experiments.lora_vs_full.readings import findings
from research.findings import Finding, find
from tests.experiments.lora_vs_full import planted
from tests.experiments.lora_vs_full.planted import (
    AT,
    CUTS,
    FPR,
    GROUPS,
    INTRUDERS,
    KEEPS,
    LATER,
    LEARNED,
    LEARNS,
    MORE,
    OWN,
    RANKS,
    RISES,
    START,
    records,
)

LOSSES = ("target_loss", "source_loss")
THREE = t.ppf(0.975, 2) / np.sqrt(3)  # half-width over three bases, or draws, one spread apart
DOCUMENTS = t.ppf(0.975, GROUPS - 1) * planted.APART * np.std(np.arange(GROUPS), ddof=1) / np.sqrt(GROUPS)


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records())


def one(found: Sequence[Finding], name: str, **where: Any) -> Finding:
    f = find(found, name, **where)
    assert f is not None, (name, where)
    return f


def contrast(found: Sequence[Finding], what: str, between: str, **where: Any) -> Finding:
    return one(found, "contrast", what=what, between=between, **where)


def half(f: Finding) -> float:
    assert f.low is not None and f.high is not None and f.low <= f.value <= f.high
    return (f.high - f.low) / 2


@pytest.mark.parametrize(("metric", "numbers"), [("energy_rank", RANKS), ("intruders", INTRUDERS)])
def test_readings_of_updates_are_means_over_matrices_and_bases(found: list[Finding], metric: str, numbers: planted.Planted) -> None:
    for (arm, null), value in numbers.items():
        for at, more in (("equal", 0.0), ("end", LATER * (null == "none")))[arm not in AT :]:
            f = one(found, metric, arm=arm, null=null, at=at)
            assert f.value == pytest.approx(value + more) and f.n == 3
            assert half(f) == pytest.approx(THREE * (planted.COMMON + OWN[arm] * (null == "none")))


@pytest.mark.parametrize(("metric", "numbers"), [("energy_rank", RANKS), ("intruders", INTRUDERS)])
def test_an_update_less_its_nulls_and_less_full_is_paired_by_seed(found: list[Finding], metric: str, numbers: planted.Planted) -> None:
    """What bases share is gone: an interval of unpaired readings would be some ten times as wide."""
    for (arm, null), value in ((key, value) for key, value in numbers.items() if key[0] in AT):
        if null != "none" and (arm == "full" or null in ("noise", "rotated")):
            f = contrast(found, metric, f"{arm} - {null}", at="equal")
            assert f.value == pytest.approx(numbers[arm, "none"] - value) and half(f) == pytest.approx(THREE * OWN[arm])
            assert contrast(found, metric, f"{arm} - {null}", at="end").value == pytest.approx(LATER + numbers[arm, "none"] - value)
        elif arm != "full":
            f = contrast(found, metric, f"{arm} - full", at="equal")
            assert f.value == pytest.approx(value - numbers["full", "none"]) and half(f) == pytest.approx(THREE * (OWN[arm] - OWN["full"]))
    assert find(found, "contrast", what=metric, between="full - full") is None
    assert find(found, "contrast", what=metric, between="lora@2 - shuffled") is None  # nulls are of full training


def test_arms_are_compared_where_each_is_nearest_to_one_loss(found: list[Finding]) -> None:
    assert one(found, "level").value == pytest.approx(START + 0.2 - planted.SHARE * LEARNED)
    for arm, step in AT.items():
        f = one(found, "matched_loss", arm=arm)
        assert f.value == pytest.approx(START + 0.2 - LEARNS[arm] * planted.WAY[step]) and f.n == 3
        assert one(found, "matched_step", arm=arm).value == step
    assert contrast(found, "matched_loss", "lora@2 - full").value == pytest.approx(0.1)
    slow = one(found, "matched_loss", arm="slow@0.1")
    assert slow.value is None and slow.note == "does not come down to it in 6 of 6 runs"
    assert (
        find(found, "matched_step", arm="slow@0.1") is None
        and find(found, "contrast", between="slow@0.1 - full", what="matched_loss") is None
    )


def test_an_arm_that_comes_down_on_some_bases_alone_has_no_loss_to_be_compared_at() -> None:
    own = records()
    above = (own["arm"] == "lora@2") & (own["seed"] == 1) & (own["metric"] == "budget_target")
    found = findings(own.assign(value=own["value"].mask(above, START)))
    f = one(found, "matched_loss", arm="lora@2")
    assert f.value is None and f.note == "does not come down to it in 1 of 6 runs"
    assert (
        find(found, "matched_step", arm="lora@2") is None and find(found, "contrast", what="matched_loss", between="lora@2 - full") is None
    )


def test_losses_at_the_end_are_over_bases_and_not_over_seeds(found: list[Finding]) -> None:
    for arm, rise in RISES.items():
        assert one(found, "source_rise", arm=arm).value == pytest.approx(rise)
        f = one(found, "target_loss", arm=arm, at="end")
        assert f.value == pytest.approx(START + 0.25 - LEARNS[arm]) and f.n == 3 and half(f) == pytest.approx(THREE * 0.2)


def test_amplification_is_a_factor_beside_noise(found: list[Finding]) -> None:
    for null, value in (("none", 6.0), ("noise", 3.0)):
        assert one(found, "amplification", arm="lora@8", null=null, at="end").value == pytest.approx(value)
    f = contrast(found, "amplification", "full / noise", at="equal")
    assert [f.value, f.low, f.high] == pytest.approx([2.0, 2 * np.exp(-0.1 * THREE), 2 * np.exp(0.1 * THREE)]) and f.unit == "factor"


@pytest.mark.parametrize("arm", ["full", "lora@2"])
def test_cut_updates_have_intervals_over_bases_and_documents(found: list[Finding], arm: str) -> None:
    for rank, kept in CUTS["best"].items():
        where = {"arm": arm, "at": "equal", "cut": rank}
        best, random = (one(found, "truncated_loss", **where, directions=which) for which in ("best", "random"))
        assert best.value == pytest.approx(LEARNS[arm] * (1 - kept))
        assert half(best) == pytest.approx(np.hypot(THREE * planted.SPREAD, DOCUMENTS))
        assert random.value == pytest.approx(LEARNS[arm] * (1 - CUTS["random"][rank])) and half(random) == pytest.approx(0, abs=1e-9)
        less = contrast(found, "truncated_loss", "best - random", **where)
        assert less.value == pytest.approx(LEARNS[arm] * (CUTS["random"][rank] - kept))
        assert half(less) == pytest.approx(np.hypot(THREE * planted.SPREAD, DOCUMENTS))


def test_the_rank_needed_is_where_nine_tenths_of_the_gain_are_kept(found: list[Finding]) -> None:
    for directions, rank in (("best", 4), ("random", 8)):
        f = one(found, "rank_needed", arm="full", at="end", directions=directions)
        assert f.value == pytest.approx(rank, rel=1e-3)


def test_a_rank_above_all_cuts_is_bounded_by_the_whole_update() -> None:
    own = records()
    found = findings(own[~((own["phase"] == "cut") & (own["cut"] > 1))])
    assert 1 < one(found, "rank_needed", arm="full", at="equal", directions="best").value < 2


@pytest.mark.parametrize("arm", MORE)
def test_scaling_intruders_is_compared_with_scaling_everything_at_one_loss(found: list[Finding], arm: str) -> None:
    """The way of scaling everything is curved: at a factor of 0.25 it is read between two points, at 0.5 it stands there."""
    for factor, kept in KEEPS.items():
        f = contrast(found, "source_loss at equal target", "intruders - all", arm=arm, factor=factor)
        assert f.value == pytest.approx(MORE[arm], abs=1e-9) and half(f) == pytest.approx(0.01 * THREE)
        risen = RISES[arm] * {0.25: (0.25**2 + 0.5**2) / 2, 0.5: 0.25}[factor] + MORE[arm]
        moved = {metric: one(found, "scaled", arm=arm, scaled="intruders", factor=factor, metric=metric) for metric in LOSSES}
        assert moved["target_loss"].value == pytest.approx(LEARNS[arm] * (1 - kept))
        assert moved["source_loss"].value == pytest.approx(risen - RISES[arm])
    whole = one(found, "scaled", arm=arm, scaled="all", factor=0.75, metric="source_loss")
    assert whole.value == pytest.approx(RISES[arm] * (0.75**2 - 1))


@pytest.mark.parametrize("value", [9.0, 0.5, None])  # above the untouched model's, below full's, null
def test_a_loss_that_scaling_everything_does_not_have_is_compared_with_nothing(value: float | None) -> None:
    own = records()
    gone = (own["phase"] == "altered") & (own["factor"] == 0.5) & (own["scaled"] == "intruders") & (own["metric"] == "target_loss")
    found = findings(own.assign(value=own["value"].astype(object).mask(gone, value)))
    lost = contrast(found, "source_loss at equal target", "intruders - all", arm="full", factor=0.5)
    assert lost.value is lost.low is lost.high is None
    assert contrast(found, "source_loss at equal target", "intruders - all", arm="full", factor=0.25).value is not None
    assert "(3 cannot be compared: scaling the whole update does not have their loss on the target)" in answer(found)


def test_the_detectors_mistakes_are_means_over_draws(found: list[Finding]) -> None:
    for strength, rate in FPR.items():
        f = one(found, "detector_fpr", ground="base", strength=strength)
        assert f.value == pytest.approx(rate) and half(f) == pytest.approx(0.01 * THREE) and f.where["added"] == "full"
        assert one(found, "detector_fpr", ground="flat", strength=strength).value == pytest.approx(rate + 0.1)
        assert one(found, "detected_share", ground="base", strength=strength, added="rank 1").value == pytest.approx(1 - rate)


def test_subspaces_stand_beside_permuted_ones(found: list[Finding]) -> None:
    where = {"pair": "full & another seed's", "at": "equal", "side": "outputs", "dimension": 1}
    for null, value in planted.OVERLAPS.items():
        f = one(found, "subspace_similarity", **where, null=null)
        assert f.value == pytest.approx(value) and half(f) == pytest.approx(0.01 * THREE * (1 + (null == "none")))
    more = contrast(found, "subspace_similarity", "none - permuted", **where)
    assert more.value == pytest.approx(0.5) and half(more) == pytest.approx(0.01 * THREE)
    assert contrast(found, "subspace_similarity", "none - permuted", **{**where, "pair": "full & lora@2"}).value == pytest.approx(
        0, abs=1e-9
    )
    assert one(found, "subspace_similarity", **{**where, "at": "end", "side": "inputs"}, null="none").value == pytest.approx(0.7)


READ = {
    "update": ("energy_rank", {"arm": "lora@2", "null": "none", "at": "equal"}),
    "cut": ("truncated_loss", {"arm": "lora@2", "at": "end", "directions": "best", "cut": 4}),
    "altered": ("contrast", {"what": "source_loss at equal target", "arm": "lora@2", "factor": 0.5}),
    "alike": ("subspace_similarity", {"pair": "full & lora@2", "null": "none"}),
}


@pytest.mark.parametrize("kept", ["null", "absent"])
def test_a_base_on_which_cells_diverged_is_missed(kept: str) -> None:
    own = records()
    gone = own["phase"].isin(list(READ)) & (own["seed"] == 1)
    found = findings(own[~gone] if kept == "absent" else own.assign(value=own["value"].astype(object).mask(gone, None)))
    for name, where in READ.values():
        f = one(found, name, **where)
        assert f.value is not None and f.n == 2
    assert headline(found) and answer(found)


@pytest.mark.parametrize("phases", [[*READ], ["result"]])
def test_where_nothing_was_read_there_is_no_value(phases: list[str]) -> None:
    own = records()
    found = findings(own.assign(value=own["value"].astype(object).mask(own["phase"].isin(phases), None)))
    for name, where in [READ[phase] for phase in phases if phase in READ] or [("target_loss", {}), ("source_rise", {})]:
        assert all(f.value is None for f in found if f.name == name and where.items() <= f.where.items())
    assert answer(found) and isinstance(headline(found), tuple)


def test_a_run_that_was_cut_short_is_read_as_far_as_it_came() -> None:
    """Records in the order in which a run writes them, cut anywhere: every prefix is read, and says more than the one before."""
    order = ["reference", "choice", "result", "null", "update", "alike", "cut", "altered"]
    own = records().sort_values("phase", key=lambda phases: phases.map(order.index), kind="stable")
    ends = [0, *(int(own["phase"].isin(order[:count]).sum()) - 1 for count in (1, 3, 5, 6, 7, 8))]
    said = [findings(pd.DataFrame(own[:end])) for end in ends]
    assert [bool(answer(found)) for found in said] == [False] + [True] * (len(said) - 1)
    counts = [len(found) for found in said]
    assert counts == sorted(set(counts))
    assert not headline(said[1]) and headline(said[-1])
