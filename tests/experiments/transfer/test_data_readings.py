"""What was planted is told: the law with its powers; nothing transferred; and that no law is fitted where it may not be."""

import numpy as np
import pytest

from experiments.transfer import answer, findings, headline
from experiments.transfer.data_readings import losses, measured
from research.analysis.effective_data import ABOVE, FITTED, OSSIFIED
from research.findings import find
from tests.experiments.transfer import planted, planted_data


@pytest.fixture(scope="module")
def found():
    return findings(planted_data.records())


def test_the_planted_law_is_recovered_with_its_losses_and_multipliers(found):
    for power, value in (("a", planted_data.A), ("b", planted_data.B)):
        f = find(found, "transfer_law", what=power)
        assert f.low <= value <= f.high and f.value == pytest.approx(value, abs=0.06), f
    for (size, amount), worth in planted_data.transferred().items():
        where = {"parameters": size, "amount": amount}
        f = find(found, "data_transferred", **where)
        assert f.where["word"] == FITTED and f.low <= worth <= f.high and f.value == pytest.approx(worth, rel=0.3)
        assert find(found, "multiplier", **where).value == pytest.approx(1 + f.value / amount)
        assert find(found, "transfer_loss", arm="scratch", **where).value == pytest.approx(planted_data.loss(amount), rel=0.05)
    assert find(found, "own_text").value == 1e5
    assert find(found, "points", word=FITTED).value == 9 and not [
        f for f in found if f.name == "transfer_misfit" and not f.low <= 0 <= f.high
    ]
    said = answer(found)
    assert said.startswith("D_T = k D_F^a N^b with a = 0.") and "of 9 of 9 points" in said and "Against the claim" not in said
    assert (
        "a = 0.18 (outside" in said
        and "b = 0.38 (inside of this interval)" in said
        and "on the edge of its grid for tuned@1024 at N = 6,000" in said
    )


def test_nothing_transferred_and_a_donor_that_harms_are_no_law_and_contradict_it_first():
    for share in (0.0, -0.6):
        worth = {(size, amount): share * amount for size, amount in planted_data.transferred()}
        found = findings(planted_data.records(worth))
        law = find(found, "transfer_law", what="a")
        assert law.value is None and law.note.startswith("not fitted") and "The law is not fitted" in answer(found)
        middle = find(found, "data_transferred", parameters=25_000, amount=4096)
        if share:
            assert middle.where["word"] == OSSIFIED and middle.high <= 0
            assert answer(found).startswith("Against the claim, nothing is transferred to 6,000 parameters from")
        else:
            assert middle.low <= 0 <= middle.high


def test_a_donor_that_scratch_never_matches_is_a_bound_and_no_law():
    worth = {key: 1e3 * value for key, value in planted_data.transferred().items()}
    found = findings(planted_data.records(worth))
    f = find(found, "data_transferred", parameters=98_000, amount=1024)
    assert f.where["word"] == ABOVE and f.value is None
    assert find(found, "transfer_law", what="b").value is None and ABOVE in answer(found)
    assert headline(found)[0].rows[0][3:] == ("> 1,048,576", "> 1,047,552", "> 1,024", ABOVE) and len(headline(found)) == 1


def test_a_size_that_harms_only_larger_models_turns_b_and_is_told():
    worth = {(n, f): value * (n / 25_000) ** -0.8 for (n, f), value in planted_data.transferred().items()}
    found = findings(planted_data.records(worth))
    b = find(found, "transfer_law", what="b")
    assert b.high < 0 and "Against the claim, larger models gain less: b = -0." in answer(found)


def test_runs_that_still_fell_at_their_end_are_counted_by_arm():
    found = findings(planted_data.records(late=("scratch",)))
    assert find(found, "still_falling", arm="scratch", parameters=6_000, amount=1024).value == planted_data.SEEDS
    assert find(found, "still_falling", arm="tuned", parameters=6_000, amount=1024).value == 0
    every = 18 * planted_data.SEEDS
    assert f"{every} of {every} runs of scratch, from 1,024 bytes on, were lowest at their end" in answer(found)
    assert "runs of tuned" not in answer(found)


def test_tables_have_a_row_for_each_size_and_amount_and_the_law_beside_the_published(found):
    points, law = headline(found)
    assert [row[:2] for row in points.rows] == [(f"{n:,}", f"{f:,}") for n in planted_data.SIZES for f in planted_data.AMOUNTS]
    assert [row[0] for row in law.rows] == ["this run", "from text", "from text and code"]
    assert law.rows[1][1:] == ("19000", "0.18", "0.38")


def test_a_run_that_diverged_is_null_and_half_a_run_has_no_points():
    frame = planted_data.records()
    lost = (frame["arm"] == "tuned@4096") & (frame["seed"] == 0) & (frame["parameters"] == 6_000)
    frame.loc[lost, "value"] = None
    assert np.isnan(losses(frame).tuned[0, 0, 1]).all() and np.isfinite(losses(frame).tuned[1]).all()
    assert find(findings(frame), "data_transferred", parameters=6_000, amount=4096).value is None
    early = frame[frame["trains"] != "tuned"]
    assert measured(early) and not measured(planted.records()) and losses(early) is None and headline(findings(early)) == ()
