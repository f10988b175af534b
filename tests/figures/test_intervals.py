"""Means and intervals over seeds, and the words a caption owes."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from research.figures.intervals import arms_of, at_last_step, inits_of, over_seeds, ranks_of, seeds_sentence, spread, tidy


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


def test_sentence_states_n_and_limits():
    frame = _members([2.0, 2.1, 2.4])
    text = seeds_sentence(frame, ["init"])
    assert "n = 3 seeds" in text and "95 % t interval" in text and "one pretrained base" in text and "same test text" in text
    assert "3 pretrained bases" in seeds_sentence(frame, ["init"], bases=3)
    assert "no interval" in seeds_sentence(frame.iloc[:1], ["init"])
    assert "1 value of diverged" in seeds_sentence(_members([2.0, None, 2.1]), ["init"])
    assert "no interval" in seeds_sentence(frame.iloc[:0], ["init"])
