"""What planted records say: steps, curvature at one loss, barriers and contrasts of known values; and the words of every verdict."""

import itertools
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments.loss_landscape.answers import ALIKE, CONTRADICTS, SUPPORTS, UNJUDGED, UNREAD, answer, verdict
from experiments.loss_landscape.headlines import headline
from experiments.loss_landscape.readings import findings
from experiments.loss_landscape.readings_barriers import clusters
from research.analysis.contrasts import BASE_LEFT_OUT
from research.findings import Finding, find
from tests.experiments.loss_landscape import planted_laws as planted
from tests.experiments.loss_landscape.planted_laws import SCALE, START, records

LOWEST = planted.loss_at("random", 1000, 2)  # 3.42: what the slowest run reaches


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records())


def one(found: list[Finding], name: str, **where: object) -> Finding:
    f = find(found, name, **where)
    assert f is not None
    return f


def compared(found: list[Finding], other: str, **where: object) -> Finding:
    kind = " - " if where["what"] == "barrier" else " / "
    return one(found, "contrast", between=f"pretrained{kind}{other}", **where)


def test_steps_to_losses_that_all_reach_are_linear_in_log_steps(found: list[Finding]) -> None:
    for init in START:
        for level, bits in (("lowest", LOWEST), ("halfway", (LOWEST + START["pretrained"]) / 2)):
            f = one(found, "steps_to_loss", init=init, level=level)
            decades = [(START[init] + 0.01 * seed - bits) / planted.SLOPE[init] - 1 for seed in range(3)]
            assert f.value == pytest.approx(10 ** np.mean(decades), rel=1e-6)
            assert f.low < f.value < f.high and f.n == 3 and f.where["bits"] == pytest.approx(bits, abs=1e-4)
    factor = compared(found, "random", what="steps_to_loss", level="lowest")
    assert factor.value == pytest.approx(
        one(found, "steps_to_loss", init="pretrained", level="lowest").value
        / one(found, "steps_to_loss", init="random", level="lowest").value
    )


def test_curvature_is_compared_at_one_loss(found: list[Finding]) -> None:
    """At the ends the factor is of losses, too; at matched loss it is the planted one, to what interpolation costs."""
    for metric in ("lambda_max", "trace"):
        matched = compared(found, "random", what=metric, at="matched")
        assert matched.value == pytest.approx(SCALE["pretrained"] / SCALE["random"], rel=0.1)
        start = compared(found, "random", what=metric, at="start")
        losses = [planted.loss_at(init, 0, 1) for init in ("pretrained", "random")]
        assert start.value == pytest.approx(0.5 * (losses[0] / losses[1]) ** -2, rel=1e-2)
    assert "largest residual" in one(found, "lambda_max", init="random", at="start").note
    assert one(found, "lambda_max", init="random", at="matched").where["bits"] == pytest.approx(LOWEST, abs=1e-4)


def test_a_run_that_begins_below_leaves_nothing_matched_and_says_why() -> None:
    own = records()
    begins = (own["init"] == "pretrained") & own["metric"].isin(["loss", "validation_loss"])
    own.loc[begins, "value"] -= 4.0
    found = findings(own)
    for name, where in (("steps_to_loss", {}), ("lambda_max", {"at": "matched"})):
        f = one(found, name, init="random", **where)
        assert f.value is None and f.note.startswith("no loss that all reach: pretrained weights begin at 2, and a run from random")
    assert verdict(compared(found, "random", what="trace", at="matched")) == UNREAD
    assert "not read: steps to a loss that all reach: " in answer(found)


def test_barriers_leave_out_bases_and_difference_both_sides_at_once(found: list[Finding]) -> None:
    for matching, share in (("raw", 1.0), ("matched", 0.5)):
        f = one(found, "barrier", init="random", pair="two bases", matching=matching)
        assert f.n == 3 and "bases" in f.method and f.value == pytest.approx(share * planted.BARRIER["random"], abs=0.02)
        factor = compared(found, "random", what="barrier", pair="one base", matching=matching)
        assert factor.value == pytest.approx(share * -0.4) and factor.high - factor.low < 1e-9  # both sides have the runs' luck in common
    start = one(found, "barrier", init="random", pair="start")
    assert start.value == pytest.approx(-0.1) and start.n == 3


def test_runs_are_left_out_where_there_is_one_base() -> None:
    found = findings(records(seeds=1, runs=4))
    f = one(found, "barrier", init="pretrained", pair="one base", matching="raw")
    assert f.n == 4 and f.low < f.value < f.high and BASE_LEFT_OUT in f.note
    assert {verdict(f) for f in found if f.name == "contrast"} == {UNJUDGED}
    words = answer(found)
    assert "no verdict: steps to" in words and "supporting" not in words and "contradicting" not in words


def test_seeds_of_a_base_from_elsewhere_are_no_verdict() -> None:
    own = records(bases=1)
    word = {"phase": "reference", "metric": "foreign_base", "value": 1.0, "note": "gguf:model (Q4_1)"}
    found = findings(pd.concat([own, pd.DataFrame([word])]))
    f = compared(found, "random", what="path_ratio")
    assert f.n == 3 and BASE_LEFT_OUT in f.note and verdict(f) == UNJUDGED
    assert verdict(compared(found, "random", what="barrier", pair="start", matching="raw")) == UNJUDGED
    assert answer(found).startswith("The base is gguf:model (Q4_1), pretrained elsewhere. The target is generated:restaurants.")
    assert "pretrained elsewhere" in headline(found)[0].caption


def contrast(low: float | None, high: float | None, between: str = "pretrained / random", **where: object) -> Finding:
    value = None if low is None or high is None else (low + high) / 2
    return Finding(
        "contrast", {"between": between, "trains": "full", **where}, value, low, high, "1", 3, "", "why" if value is None else ""
    )


@pytest.mark.parametrize(
    ("what", "between", "low", "high", "expected"),
    [
        ("lambda_max", "pretrained / random", 0.2, 0.8, SUPPORTS),
        ("lambda_max", "pretrained / random", 1.2, 1.8, CONTRADICTS),
        ("lambda_max", "pretrained / random", 0.8, 1.8, ALIKE),
        ("barrier", "pretrained - random", -0.2, -0.1, SUPPORTS),
        ("barrier", "pretrained - random", 0.1, 0.2, CONTRADICTS),
        ("barrier", "pretrained - random", -0.1, 0.8, ALIKE),
        ("largest_stable_rate", "pretrained / random", 1.2, 1.8, SUPPORTS),
        ("largest_stable_rate", "pretrained / random", 0.2, 0.8, CONTRADICTS),
        ("path_ratio", "pretrained / random", None, None, UNREAD),
    ],
)
def test_a_verdict_is_an_interval_that_leaves_out_no_difference(
    what: str, between: str, low: float | None, high: float | None, expected: str
) -> None:
    where = {"lambda_max": {"at": "start"}, "barrier": {"pair": "one base", "matching": "raw"}}.get(what, {})
    f = contrast(low, high, between, what=what, **where)
    assert verdict(f) == expected
    words = {
        SUPPORTS: "supporting it: ",
        CONTRADICTS: "contradicting the claim: ",
        ALIKE: "not told apart: ",
        UNREAD: "not read: ",
    }
    (said,) = [name for name, word in words.items() if word in answer([f])]
    assert said == expected


def test_what_contradicts_stands_first_and_nulls_bound_what_supports(found: list[Finding]) -> None:
    words = answer(found)
    places = [words.index(f"Against random weights, {kind}") for kind in ("contradicting the claim", "supporting it", "not told apart")]
    assert places == sorted(places)
    against, supports, alike = words[places[0] : places[1]], words[places[1] : places[2]], words[places[2] :]
    assert "largest stable learning rate, each judged by its own start 0.25 [0.25, 0.25]" in against
    assert "largest eigenvalue at matched loss (3.42 bits/byte) 0.5" in supports and "before training, at another loss" in supports
    assert "barrier between runs of one base (as they are), its ends at another loss -0.4 [-0.4, -0.4]" in supports
    assert "barrier from a start to its solution, whose losses differ 0 [0, 0]" in alike
    assert "Against shuffled weights, contradicting the claim" in words
    bound = words[words.index("What supports the claim against random weights does not hold against shuffled ones") :]
    assert "which keep each matrix's entries in another order, for " in bound and "length of the way over its distance" in bound
    assert "length of the way" not in bound.split("Of ")[0].split("for ", 1)[0]


def test_a_censored_rate_is_a_null_with_its_bound() -> None:
    own = records().astype({"value": object, "note": object})
    lost = (own["metric"] == "largest_stable_rate") & (own["init"] == "random") & (own["seed"] == 1)
    own.loc[lost, ["value", "note"]] = [None, "above 3"]
    found = findings(own)
    f = one(found, "largest_stable_rate", init="random")
    assert f.value is None and f.note.startswith("above 3 from 1 of 3 bases, others 0.4")
    assert one(found, "largest_stable_rate", init="pretrained").value is not None
    assert verdict(compared(found, "random", what="largest_stable_rate")) == UNREAD


def test_a_trace_that_is_not_positive_has_a_mean_and_no_ratio() -> None:
    own = records()
    own.loc[(own["metric"] == "trace") & (own["init"] == "random") & (own["seed"] == 0), "value"] *= -1
    found = findings(own)
    assert one(found, "trace", init="random", at="start").method.startswith("mean over bases")
    assert "not positive" in compared(found, "random", what="trace", at="start").note


def test_shares_of_negative_curvature_and_the_edge_of_stability() -> None:
    where = {"init": "random", "trains": "full", "seed": 0, "base": 0, "run": 0, "step": 1}
    density = {**where, "phase": "density", "at": "matched"}
    rows: list[dict[str, Any]] = [{**density, "metric": "loss", "value": 3.0, "probe": None}]
    for probe, share in enumerate((0.8, 0.9, 1.0)):  # of eigenvalue -5; some lie at 100, and none, near to it, just below zero
        for node, (eigenvalue, weight) in enumerate(((-5.0, share), (-0.5, 0.0), (100.0, 1 - share))):
            known = {"spectral_node": eigenvalue, "spectral_weight": weight}
            rows += [{**density, "metric": metric, "value": value, "probe": probe, "node": node} for metric, value in known.items()]
    known = {"preconditioned_lambda_max": 19.0, "stability_limit": 38.0}
    rows += [{**where, "phase": "curvature", "at": "path", "metric": key, "value": value} for key, value in known.items()]
    found = findings(pd.DataFrame(rows))
    f = one(found, "negative_share", init="random", at="matched")
    assert (f.value, f.high, f.n) == (pytest.approx(0.9), 1.0, 3) and "at 3 bits/byte" in f.note
    assert f.low is not None and f.low == pytest.approx(0.9 - 4.302653 * 0.1 / 3**0.5)
    edge = one(found, "edge", init="random", step=1)
    assert edge.value == 0.5 and "clipped" in edge.note


def test_the_headline_has_a_row_for_each_reading_and_a_column_for_each_init(found: list[Finding]) -> None:
    (table,) = headline(found)
    assert table.columns == ("read", "pretrained", "shuffled", "random", "pretrained against random")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["largest eigenvalue at matched loss (3.42 bits/byte) (nats)"][-1].startswith("0.5")
    assert rows["largest stable learning rate, each judged by its own start"][-1] == "0.25 [0.25, 0.25]"
    assert rows["loss before training (bits/byte)"][2].startswith("8.01 [")
    assert "95 % interval over bases" in table.caption and "a factor, for barriers a difference" in table.caption


def test_absent_phases_leave_out_what_they_hold_and_nothing_else(found: list[Finding]) -> None:
    own = records()
    for phase in ("result", "curvature", "barrier"):
        some = findings(own[own["phase"] != phase])
        assert {f.name for f in some} < {f.name for f in found} | {"contrast"} and answer(some) and headline(some)
    alone = findings(own[own["init"].isna() | (own["init"] == "random")])
    assert answer(alone).startswith("Nothing was compared") and not [f for f in alone if f.name == "contrast"]
    assert findings(own[:0]) == [] and answer([]) == "" and headline([]) == ()


def test_findings_are_strict_json(found: list[Finding]) -> None:
    json.dumps([f._asdict() for f in found], allow_nan=False)
    assert all(f.value is None or math.isfinite(f.value) for f in found)


def test_runs_fall_into_the_clusters_that_barriers_leave() -> None:
    """Two groups of runs in one base, a chain in the other: who is linked over others is of one cluster."""
    groups = {0: {0: 0, 1: 0, 2: 0, 3: 1, 4: 1}, 1: dict.fromkeys(range(5), 0)}
    made = []
    for seed, group in groups.items():
        for one_run, other in itertools.combinations(range(5), 2):
            linked = group[one_run] == group[other] if seed == 0 else other - one_run == 1
            where = {"init": "pretrained", "seed": seed, "base": seed, "run": other, "other_seed": seed, "other_run": one_run}
            known = {"phase": "barrier", "metric": "barrier", "pair": "one base", "matching": "raw"}
            made.append({**known, **where, "value": -0.01 if linked else 0.5})
    own = pd.DataFrame(made)
    (found,) = clusters(own)
    assert found.value == 1.5 and found.n == 2 and found.note == "2, 1 of 5 runs each" and found.low is None
    (apart,) = clusters(own.assign(value=0.5))
    assert apart.value == 5
    (lost,) = clusters(own.assign(value=own["value"].mask((own["seed"] == 1) & (own["run"] == 4))))
    assert lost.value == 2 and lost.n == 1
