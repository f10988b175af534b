"""What planted records say: ranks, intruders, the detector, subspaces, and what is left where cells diverged."""

import itertools

import numpy as np
import pandas as pd
import pytest

from experiments.lora_vs_full.answers import answer
from experiments.lora_vs_full.headlines import headline
from experiments.lora_vs_full.readings import findings
from research.findings import Finding, find
from tests.experiments.lora_vs_full import planted
from tests.experiments.lora_vs_full.looked_up import THREE, contrast, half, one
from tests.experiments.lora_vs_full.planted import AT, FPR, GROWN, INTRUDERS, LEARNED, LEARNS, OWN, RANKS, RISES, START, only, two_arms


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(planted.records())


@pytest.mark.parametrize(("metric", "numbers"), [("energy_rank", RANKS), ("intruders", INTRUDERS)])
def test_readings_of_updates_are_means_over_matrices_and_bases(found: list[Finding], metric: str, numbers: planted.Planted) -> None:
    for (arm, null), value in numbers.items():
        for at in (at for at in AT if arm in AT[at]):
            f = one(found, metric, arm=arm, null=null, at=at)
            assert f.value == pytest.approx(value * GROWN[at]) and f.n == 3
            assert half(f) == pytest.approx(THREE * (planted.COMMON + OWN[arm] * (null == "none")))
    assert find(found, metric, arm="slow@0.1", null="none", at="0.8") is None


@pytest.mark.parametrize(("metric", "numbers"), [("energy_rank", RANKS), ("intruders", INTRUDERS)])
def test_an_update_less_its_nulls_and_less_full_is_paired_by_seed(found: list[Finding], metric: str, numbers: planted.Planted) -> None:
    """What bases share is gone: an interval of unpaired readings would be some ten times as wide."""
    for (arm, null), at in ((key, at) for key in numbers for at in AT if key[0] in AT[at]):
        if null != "none" and (arm == "full" or null in ("noise", "rotated")):
            f = contrast(found, metric, f"{arm} - {null}", at=at)
            assert f.value == pytest.approx(GROWN[at] * (numbers[arm, "none"] - numbers[arm, null]))
            assert half(f) == pytest.approx(THREE * OWN[arm])
        elif arm != "full":
            f = contrast(found, metric, f"{arm} - full", at=at)
            assert f.value == pytest.approx(GROWN[at] * (numbers[arm, null] - numbers["full", "none"]))
            assert half(f) == pytest.approx(THREE * (OWN[arm] - OWN["full"]))
    assert find(found, "contrast", what=metric, between="full - full") is None
    assert find(found, "contrast", what=metric, between="lora@2 - shuffled") is None  # nulls are of full training


@pytest.mark.parametrize("at", planted.SHARES)
def test_arms_are_compared_where_each_is_nearest_to_one_loss(found: list[Finding], at: str) -> None:
    level = one(found, "level", at=at)
    assert level.value == pytest.approx(START + 0.2 - planted.SHARES[at] * LEARNED) and level.where["share"] == planted.SHARES[at]
    full = LEARNS["full"] * planted.WAY[AT[at]["full"]]
    for arm, step in AT[at].items():
        learned = LEARNS[arm] * planted.WAY[step]
        f = one(found, "matched_loss", arm=arm, at=at)
        assert f.value == pytest.approx(START + 0.2 - learned) and f.n == 3
        assert one(found, "matched_step", arm=arm, at=at).value == step
        if arm != "full":
            assert contrast(found, "matched_loss", f"{arm} - full", at=at).value == pytest.approx(full - learned)


def test_an_arm_that_does_not_come_down_to_a_level_has_no_loss_there(found: list[Finding]) -> None:
    slow = one(found, "matched_loss", arm="slow@0.1", at="0.8")
    assert slow.value is None and slow.note == "does not come down to it in 3 of 3 runs"
    assert find(found, "matched_step", arm="slow@0.1", at="0.8") is None
    assert find(found, "contrast", what="matched_loss", between="slow@0.1 - full", at="0.8") is None
    assert one(found, "matched_loss", arm="slow@0.1", at="0.5").value is not None


def test_an_arm_that_comes_down_on_some_bases_alone_is_not_compared_there() -> None:
    """Of one run lora@2 learns 1.2 bits: enough for the first level, not for the second, where it was read before this run was."""
    own = only("reference", "result", "null", "update")
    less = (own["arm"] == "lora@2") & (own["seed"] == 1) & (own["metric"] == "budget_target")
    found = findings(own.assign(value=own["value"].mask(less, START + 0.2 - (START + 0.2 - own["value"]) * 1.2 / 1.8)))
    f = one(found, "matched_loss", arm="lora@2", at="0.8")
    assert f.value is None and f.note == "does not come down to it in 1 of 6 runs"
    there = [
        f.name for f in found if f.where.get("at") == "0.8" and "lora@2" in (f.where.get("arm"), *f.where.get("between", "").split(" "))
    ]
    assert there == ["matched_loss"]
    assert one(found, "matched_loss", arm="lora@2", at="0.5").value == pytest.approx(START + 0.2 - 0.9)
    assert {f.where["at"] for f in found if f.name == "intruders" and f.where["arm"] == "lora@2"} == {"0.5", "end"}


def test_losses_at_the_end_are_over_bases_and_not_over_seeds(found: list[Finding]) -> None:
    for arm, rise in RISES.items():
        assert one(found, "source_rise", arm=arm).value == pytest.approx(rise)
        f = one(found, "target_loss", arm=arm, at="end")
        assert f.value == pytest.approx(START + 0.25 - LEARNS[arm]) and f.n == 3 and half(f) == pytest.approx(THREE * 0.2)


def test_an_arm_gains_a_share_of_what_full_gains(found: list[Finding]) -> None:
    for arm, learned in LEARNS.items():
        f = find(found, "gain_share", arm=arm)
        assert (f is None) == (arm == "full")
        assert f is None or (f.value == pytest.approx(learned / LEARNED) and f.n == 3 and f.unit == "1")


def test_what_nulls_of_full_do_to_both_losses_is_told_beside_what_arms_do(found: list[Finding]) -> None:
    for null, (target, source) in planted.NULLS.items():
        for name, rise in (("target_rise", target), ("source_rise", source)):
            f = one(found, name, arm="full", null=null, at="end")
            assert (
                f.value == pytest.approx(rise) and f.n == 3 and half(f) == pytest.approx(0.01 * THREE * (name == "source_rise"), abs=1e-9)
            )
    assert one(found, "source_rise", arm="full").value == pytest.approx(RISES["full"])
    assert not [f for f in found if f.name == "scaled" and f.where["scaled"] == "whole"]


def test_amplification_is_a_factor_beside_noise(found: list[Finding]) -> None:
    for at, grown in GROWN.items():
        for null, value in (("none", 6.0), ("noise", 3.0)):
            assert one(found, "amplification", arm="lora@8", null=null, at=at).value == pytest.approx(value**grown)
        f = contrast(found, "amplification", "full / noise", at=at)
        assert [f.value, f.low, f.high] == pytest.approx([2.0**grown, 2**grown * np.exp(-0.1 * THREE), 2**grown * np.exp(0.1 * THREE)])
        assert f.unit == "factor"


def test_the_detectors_mistakes_are_means_over_draws(found: list[Finding]) -> None:
    for strength, rate in FPR.items():
        f = one(found, "detector_fpr", ground="base", strength=strength)
        assert f.value == pytest.approx(rate) and half(f) == pytest.approx(0.01 * THREE) and f.where["added"] == "full"
        assert one(found, "detector_fpr", ground="flat", strength=strength).value == pytest.approx(rate + 0.1)
        assert one(found, "detected_share", ground="base", strength=strength, added="rank 1").value == pytest.approx(1 - rate)


def test_subspaces_stand_beside_permuted_ones(found: list[Finding]) -> None:
    for pair, at, side in itertools.product(planted.PAIRS, (planted.LAST, "end"), ("inputs", "outputs")):
        where = {"pair": pair, "at": at, "side": side, "dimension": 1}
        own = planted.alike(pair, at, side)
        for null, value in (("none", own), ("permuted", planted.PERMUTED), ("expected", planted.EXPECTED)):
            f = one(found, "subspace_similarity", **where, null=null)
            assert f.value == pytest.approx(value) and half(f) == pytest.approx(0.01 * THREE * (1 + (null == "none")))
        more = contrast(found, "subspace_similarity", "none - permuted", **where)
        assert more.value == pytest.approx(own - planted.PERMUTED, abs=1e-9) and half(more) == pytest.approx(0.01 * THREE)
    assert find(found, "subspace_similarity", pair="full & lora@2", dimension=4) is None


READ = {
    "update": ("energy_rank", {"arm": "lora@2", "null": "none", "at": "0.8"}),
    "cut": ("truncated_loss", {"arm": "lora@2", "at": "end", "directions": "best", "cut": 1}),
    "altered": ("contrast", {"what": "source_loss at equal target", "between": "intruders - others", "arm": "lora@2", "factor": 0.5}),
    "alike": ("subspace_similarity", {"pair": "full & lora@2", "at": "0.8", "null": "none"}),
}


RESULTS = ("target_loss", "source_rise", "gain_share")


@pytest.mark.parametrize("kept", ["null", "absent"])
def test_a_base_on_which_cells_diverged_is_missed(kept: str) -> None:
    own = two_arms()
    gone = own["phase"].isin(list(READ)) & (own["seed"] == 1)
    found = findings(own[~gone] if kept == "absent" else own.assign(value=own["value"].astype(object).mask(gone, None)))
    for name, where in READ.values():
        f = one(found, name, **where)
        assert f.value is not None and f.n == 2
    assert headline(found) and answer(found)


@pytest.mark.parametrize("phases", [[*READ], ["result"]])
def test_where_nothing_was_read_there_is_no_value(phases: list[str]) -> None:
    own = two_arms()
    found = findings(own.assign(value=own["value"].astype(object).mask(own["phase"].isin(phases), None)))
    for name, where in [READ[phase] for phase in phases if phase in READ] or [(name, {}) for name in RESULTS]:
        some = [f for f in found if f.name == name and where.items() <= f.where.items()]
        assert all(f.value is None for f in some if "null" not in f.where or phases == [*READ])
    assert answer(found) and isinstance(headline(found), tuple)


def test_a_run_that_was_cut_short_is_read_as_far_as_it_came() -> None:
    """Records in the order in which a run writes them, cut anywhere: every prefix is read, and says more than the one before."""
    order = ["reference", "choice", "result", "null", "update", "alike", "cut", "altered"]
    own = two_arms().sort_values("phase", key=lambda phases: phases.map(order.index), kind="stable")
    ends = [0, *(int(own["phase"].isin(order[:count]).sum()) - 1 for count in (1, 3, 5, 6, 7, 8))]
    said = [findings(pd.DataFrame(own[:end])) for end in ends]
    assert [bool(answer(found)) for found in said] == [False] + [True] * (len(said) - 1)
    counts = [len(found) for found in said]
    assert counts == sorted(set(counts))
    assert not headline(said[1]) and headline(said[-1])
