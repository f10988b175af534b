"""What was planted is told: specificity and its slope, the dip, gains beside as much training, and nothing where nothing was planted."""

import pytest

from experiments.transfer import answer, findings, headline
from experiments.transfer.answers import UNSURE, judged
from research.analysis.wording import MORE
from research.findings import find
from tests.experiments.transfer import planted


@pytest.fixture(scope="module")
def found():
    return findings(planted.records())


def near(f, value, form=0.03):
    assert f is not None and f.low <= value <= f.high and f.value == pytest.approx(value, abs=form), f
    return True


def test_every_arm_has_its_loss_at_its_end_and_on_the_way(found):
    for (name, n), loss in planted.losses().items():
        end = find(found, "transfer_loss", arm=name, n=n, share=1.0)
        assert end.value == pytest.approx(loss, abs=0.06) and end.low < end.value < end.high
        early = find(found, "transfer_loss", arm=name, n=n, share=0.125 if name == "matched" else 0.25)
        assert early.value == pytest.approx(loss + (0.875 if name == "matched" else 0.75), abs=0.06)


def test_specificity_grows_by_what_was_planted_and_shared_noise_falls_out(found):
    for n in planted.BLOCKS:
        f = find(found, "specificity", n=n)
        assert near(f, planted.SPECIAL * n) and f.high - f.low < 0.1
        for beside in ("random", "shuffled"):
            worth = find(found, "features", n=n, beside=beside)
            assert worth.value == pytest.approx(-planted.WORTH, abs=0.03) and worth.high < 0
    slope = find(found, "specificity", n="slope")
    assert near(slope, planted.SPECIAL) and slope.low > 0
    share = find(found, "specificity_share", n=3)
    assert near(share, 3 * planted.SPECIAL / (3 * planted.SPECIAL + planted.WORTH), 0.05)
    assert find(found, "specificity_share", n=4) is None  # all blocks: nothing is behind them


def test_the_dip_is_told_where_it_is_and_its_decoy_has_none(found):
    for n, cost in planted.CUT.items():
        assert near(find(found, "coadaptation", n=n, beside="scratch"), cost)
        assert near(find(found, "coadaptation", n=n, beside="BnB+"), cost)
    assert "appears at 2 and 3 blocks" in answer(found)
    flat = planted.records()
    cut = flat["arm"].isin([f"BnB@{n}" for n in (2, 3)]) & (flat["metric"] != "best_learning_rate")
    flat.loc[cut, "value"] -= [planted.CUT[int(word[-1])] - 0.02 for word in flat.loc[cut, "arm"]]
    assert "worse than at both ends, appears nowhere" in answer(findings(flat))


def test_gains_stand_beside_as_many_steps_and_beside_as_many_as_donor_and_arm_took(found):
    assert near(find(found, "contrast", between="tuned - scratch"), planted.TUNED - planted.SCRATCH)
    assert near(find(found, "contrast", between="AnB+ - scratch", n=2), -0.2)
    assert near(find(found, "contrast", between="AnB+ - matched", n=2), planted.SCRATCH - 0.2 - planted.MATCHED)
    assert near(find(found, "contrast", between="below - tuned", n=3), 0.3)
    assert near(find(found, "contrast", between="below - above", n=3), -0.6)
    assert near(find(found, "gain_share", arm="below", n=1), 2 / 3, 0.1) and near(find(found, "gain_share", arm="above", n=1), 0, 0.15)


def test_p_values_are_adjusted_within_their_family_and_a_lone_verdict_may_fall(found):
    family = [f for f in found if f.name == "adjusted_p" and f.where["of"] == "specificity"]
    assert len(family) == len(planted.BLOCKS) + 1
    for f in family:
        assert float(f.note.split()[0]) <= f.value <= 1
    special = find(found, "specificity", n=4)
    assert judged(found, special) == MORE
    high = [f._replace(value=0.2) if f.name == "adjusted_p" and f.where == {"of": "specificity", "n": 4} else f for f in found]
    assert judged(high, special) == UNSURE and "not sure among so many comparisons at 4" in answer(high)


def test_without_the_control_there_is_no_finding_and_the_answer_says_so():
    alone = findings(planted.records(arms=("scratch", "BnB")))
    assert {f.name for f in alone}.isdisjoint({"specificity", "features"})
    assert not [f for f in alone if f.name == "contrast" and "AnB" in f.where["between"]]
    assert "Nothing was compared" in answer(findings(planted.records(arms=("scratch",))))
    assert answer([]) == "" and headline([]) == ()


def test_a_diverged_seed_is_left_out_and_told():
    frame = planted.records()
    frame.loc[(frame["arm"] == "AnB@2") & (frame["seed"] == 0) & (frame["phase"] == "result"), "value"] = None
    f = find(findings(frame), "specificity", n=2)
    assert f.n == planted.SEEDS - 1 and "1 of 4 seeds without a value" in f.note and f.value == pytest.approx(0.1, abs=0.03)


def test_tables_have_a_row_for_each_number_of_blocks_and_a_column_for_each_arm(found):
    losses, differences = headline(found)
    assert [row[0] for row in losses.rows] == ["1", "2", "3", "4"] == [row[0] for row in differences.rows]
    assert losses.columns == ("n blocks", "BnB", "BnB+", "AnB", "AnB+", "random", "shuffled", "below", "above")
    assert float(differences.rows[3][1].split()[0]) == pytest.approx(4 * planted.SPECIAL, abs=0.03) and "scratch 2.9" in losses.caption
