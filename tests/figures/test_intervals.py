"""Means and intervals over seeds, and the words a caption owes."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from research.figures.intervals import (
    arms_of,
    around,
    at_last_step,
    entropies_of,
    inits_of,
    keys_of,
    over_seeds,
    places_of,
    ranks_of,
    seeds_sentence,
    select,
    spread,
    tidy,
)
from research.findings import Estimate, finding
from tests.synthetic import TARGETS, star


def _members(values):
    return tidy(pd.DataFrame({"init": "random", "seed": range(len(values)), "value": values}))


def test_interval_is_student_t():
    values = [2.0, 2.1, 2.4]
    row = over_seeds(_members(values), ["init"]).iloc[0]
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    np.testing.assert_allclose([row["low"], row["high"]], expected, rtol=1e-12)
    assert (row["mean"], row["n"], row["lost"]) == (pytest.approx(np.mean(values)), 3, 0)


def test_interval_covers_at_its_level():
    draws = np.random.default_rng(0).normal(size=(2000, 3))
    frame = pd.DataFrame({"step": np.repeat(np.arange(2000), 3), "value": draws.ravel()})
    table = over_seeds(tidy(frame), ["step"])
    covered = ((table["low"] <= 0) & (table["high"] >= 0)).mean()
    assert abs(covered - 0.95) < 0.02


def test_single_seed_has_no_interval():
    table = over_seeds(_members([2.0]), ["init"])
    assert np.isnan(spread(table)).all()


@pytest.mark.parametrize("gone", [None, np.nan, np.inf])
def test_diverged_members_are_left_out_and_counted(gone):
    row = over_seeds(_members([2.0, gone, 2.2]), ["init"]).iloc[0]
    assert (row["mean"], row["n"], row["lost"]) == (pytest.approx(2.1), 2, 1)


def test_all_diverged_has_no_mean():
    row = over_seeds(_members([None, None]), ["init"]).iloc[0]
    assert np.isnan(row["mean"]) and row["n"] == 0 and row["lost"] == 2


def test_tidy_adds_what_is_missing_and_keeps_rows(results):
    frame = tidy(results[["init", "value"]].iloc[:5])
    assert len(frame) == 5 and (frame["note"] == "").all() and frame["step"].isna().all() and not frame["on_edge"].any()
    assert tidy(pd.DataFrame()).empty


def test_order_is_that_of_every_figure(make_results):
    frame = tidy(make_results(inits=("random", "half", "pretrained"), arms=("mine", "all", "block"), seeds=1))
    assert inits_of(frame) == ["pretrained", "random", "half"]
    assert arms_of(frame) == ["block", "all", "mine"]
    assert ranks_of(frame) == [1, 2, 4, 8, 16, 32]


def test_members_under_way_are_not_compared_with_finished_ones():
    frame = tidy(pd.DataFrame({"seed": [0, 0, 1], "step": [50, 100, 50], "value": [3.0, 2.0, 9.0]}))
    assert at_last_step(frame)["value"].tolist() == [2.0]


def test_seeds_that_share_a_base_count_once():
    frame = tidy(pd.DataFrame({"base": [0, 0, 0, 1], "seed": range(4), "value": [2.0, 2.2, 2.4, 3.0]}))
    row = over_seeds(frame, ["init"]).iloc[0]
    assert (row["mean"], row["n"], row["seeds"]) == (pytest.approx(2.6), 2, 4)
    half = stats.t.ppf(0.975, 1) * abs(2.2 - 3.0) / 2
    np.testing.assert_allclose([row["low"], row["high"]], [2.6 - half, 2.6 + half])


def test_seeds_of_a_single_base_stand_in_its_place():
    values = [2.0, 2.2, 2.4]
    both = [
        *({"init": "pretrained", "base": 0, "value": x} for x in values),
        *({"init": "random", "base": i, "value": 5.0} for i in range(2)),
    ]
    one, drawn = (row for _, row in over_seeds(tidy(pd.DataFrame(both)), ["init"]).iterrows())
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    np.testing.assert_allclose([one["low"], one["high"]], expected, rtol=1e-12)
    assert (one["n"], one["seeds"], drawn["n"]) == (3, 3, 2)


def test_a_lost_seed_of_a_base_is_counted_and_the_base_stays():
    row = over_seeds(tidy(pd.DataFrame({"base": [0, 0, 1], "value": [2.0, None, 3.0]})), ["init"]).iloc[0]
    assert (row["mean"], row["n"], row["seeds"], row["lost"]) == (pytest.approx(2.5), 2, 2, 1)


def test_runs_whose_rate_was_chosen_for_an_earlier_step_are_left_out():
    frame = tidy(pd.DataFrame({"chosen_for": [50, 100], "step": [100, 100], "value": [3.0, 2.0]}))
    assert at_last_step(frame)["value"].tolist() == [2.0]


def test_only_what_was_trained_has_a_panel(make_results):
    inits = ("pretrained", "rotated", "random")
    frame = tidy(star(make_results(inits=inits, arms=("block", "all"), ranks=(1, 8), seeds=1, targets=TARGETS)))
    rows = select(frame, phase="result")
    assert places_of(rows) == [("stdlib:docs", "block"), ("generated:restaurants", "block"), ("stdlib:docs", "all")]
    assert [key[2] for key in keys_of(rows) if key[1] == "all"] == ["pretrained", "random"]
    assert [key[2] for key in keys_of(rows) if key[:2] == ("generated:restaurants", "block")] == list(inits)
    assert keys_of(rows[rows["trains"] == "full"]) == [(target, "", init) for target in TARGETS for init in inits]
    assert "floor" in entropies_of(frame, TARGETS[1]) and "floor" not in entropies_of(frame, TARGETS[0])


def test_intervals_of_findings_may_end_at_zero():
    found = [finding("gap", {}, Estimate(0.2, 0.0, 0.5, 3, ""), "1"), finding("gap", {}, Estimate(0.1, None, None, 1, ""), "1")]
    _, values, distances = around(found, [1, 2])
    np.testing.assert_allclose(values, [0.2, 0.1])
    np.testing.assert_allclose(distances, [[0.2, 0.0], [0.3, 0.0]])


def test_sentence_states_n_and_limits():
    frame = _members([2.0, 2.1, 2.4])
    text = seeds_sentence(frame, ["init"])
    assert "n = 3 seeds" in text and "95 % t intervals" in text and "same held-out documents" in text and "base" not in text
    assert "no interval" in seeds_sentence(frame.iloc[:1], ["init"])
    assert "1 value of diverged" in seeds_sentence(_members([2.0, None, 2.1]), ["init"])
    assert "no interval" in seeds_sentence(frame.iloc[:0], ["init"])
    assert "leave out" not in seeds_sentence(frame, ["init"], text="")


def test_sentence_tells_bases_as_the_records_have_them():
    frame = _members([2.0, 2.1, 2.4]).assign(init="pretrained")
    own = seeds_sentence(frame.assign(base=frame["seed"]), ["init"])
    assert "n = 3 seeds, each from a base of its own" in own and "hold other pretrained bases" in own
    shared = seeds_sentence(frame.assign(base=[0, 1, 0]), ["init"])
    assert "n = 2 bases, over the seeds that start from each first" in shared
    one = seeds_sentence(frame.assign(base=0), ["init"])
    assert "n = 3 seeds of one pretrained base." in one and "hold another order of the data; they leave out" in one
    assert "leave out the rest: the one pretrained base and the same held-out documents" in one and "other pretrained" not in one
    both = pd.concat([frame.assign(base=0), frame.assign(init="random", base=frame["seed"])])
    assert "hold other random weights and another order" in seeds_sentence(both, ["init"])
    assert "the one pretrained base" in seeds_sentence(both, ["init"])
    assert "n = 1 seed, so no interval is drawn: the one pretrained base" in seeds_sentence(frame[:1].assign(base=0), ["init"])
