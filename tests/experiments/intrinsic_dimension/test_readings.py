"""d90 from records: networks and language models of known d90, published values beside them, diverged draws, the answer's words."""

import numpy as np
import pandas as pd
import pytest

from experiments.intrinsic_dimension.headlines import headline
from experiments.intrinsic_dimension.readings import answer, findings, targets

DIMENSIONS = (16, 64, 256, 1024)
UNIGRAM = 4.7
FULL = {"random": 3.7, "pretrained": 2.7}
START = {"random": 9.0, "pretrained": 3.3}
D90 = {"random": 512.0, "pretrained": 64.0}
FC = {"model": "fc", "parameters": 199_210, "data": "tfds:mnist/3.0.1"}
LM = {"model": "lm", "parameters": 131_392, "data": "stdlib:docs"}


def cells(subject: dict, init: str, metric: str, values: dict, **more: object) -> list[dict]:
    """Results of three draws at the steps 50 and 100; a smaller step is worse."""
    rows = []
    for dimension, value in values.items():
        trains = {"trains": "full", "projection": None} if dimension is None else {"trains": "subspace", "projection": "count_sketch"}
        for seed in range(3):
            for step, worse in ((50, 0.1), (100, 0.0)):
                reached = value + (worse if metric == "target_loss" else -worse) + 0.001 * (seed - 1)
                row = {**subject, "phase": "result", "init": init, "metric": metric, **trains, "dimension": dimension}
                rows.append({**row, "seed": seed, "step": step, "value": reached, **more})
    return rows


def fact(subject: dict, metric: str, value: float, init: str | None = None, seed: int | None = None) -> dict:
    return {**subject, "phase": "reference", "metric": metric, "value": value, "init": init, "seed": seed, "step": 0, "trains": "nothing"}


@pytest.fixture
def results() -> pd.DataFrame:
    rows = [fact(FC, "chance", 0.1), fact(FC, "absolute_level", 0.9)]
    rows += cells(FC, "random", "accuracy", {d: 0.9 + 0.03 * np.log2(d / 128) for d in DIMENSIONS} | {None: 0.96})
    for init in FULL:
        rows += [fact(LM, "target_loss", START[init], init, seed) for seed in range(3)]
        gain = min(START[init], UNIGRAM) - FULL[init]
        losses = {d: FULL[init] + gain * (0.1 - 0.05 * np.log2(d / D90[init])) for d in DIMENSIONS}
        rows += cells(LM, init, "target_loss", losses | {None: FULL[init]})
        rows.append(fact(LM, "pretraining_steps", {"random": 0, "pretrained": 2000}[init], init))
    rows.append(fact(LM, "unigram_loss", UNIGRAM))
    known = {"phase": "known", "problem": "toy", "projection": "dense", "n": 5}
    rows += [
        {**known, "metric": metric, "value": value} for metric, value in (("measured", 10), ("low", None), ("high", None), ("exact", 10))
    ]
    cost = {**FC, "phase": "cost", "projection": None}
    rows += [{**cost, "metric": "step_time", "value": 1e-3, "unit": "s"}]
    return pd.DataFrame(rows).astype({"value": object})


def pick(found: list, name: str, **where: object) -> list:
    return [f for f in found if f.name == name and where.items() <= f.where.items()]


def test_a_networks_d90_by_each_threshold_beside_the_published_values(results: pd.DataFrame) -> None:
    found = findings(results)
    (absolute,) = pick(found, "d90", model="fc", threshold="absolute")
    (relative,) = pick(found, "d90", model="fc", threshold="relative")
    assert absolute.value == pytest.approx(128, rel=0.02) and absolute.low < 128 < absolute.high
    assert relative.value == pytest.approx(128 * 2 ** ((0.864 - 0.9) / 0.03), rel=0.05)
    assert "786 +- 66" in absolute.note and "625" in relative.note
    assert absolute.where | {"init": "random", "projection": "count_sketch"} == absolute.where
    (corrected,) = pick(found, "d90", model="fc", threshold="chance_corrected")
    assert corrected.value > relative.value
    (boot,) = pick(found, "d90_bootstrap", model="fc", threshold="absolute")
    assert boot.low <= boot.value <= boot.high and "bootstrap" in boot.method
    (early,) = pick(found, "d90_by_step", threshold="absolute", step=50)
    assert early.value is None and "full-space training itself reaches 0.860" in early.note


def test_a_language_models_d90_by_its_own_gain_and_at_shared_losses(results: pd.DataFrame) -> None:
    found = findings(results)
    for init, d90 in D90.items():
        (own,) = pick(found, "d90", model="lm", init=init, threshold="relative")
        assert own.value == pytest.approx(d90, rel=0.03)
        assert own.where["pretraining_steps"] == {"random": 0, "pretrained": 2000}[init]
    (worst,) = pick(found, "d90", init="pretrained", target="worst_best")
    assert worst.value is None and "at or below" in worst.note
    (best,) = pick(found, "d90", init="random", target="best_90")
    assert best.value is None and "full-space training itself reaches 3.700" in best.note
    (best,) = pick(found, "d90", init="pretrained", target="best_90")
    assert best.value == pytest.approx(D90["pretrained"], rel=0.05)


def test_shared_targets_lie_between_the_inits(results: pd.DataFrame) -> None:
    own = results[results["model"] == "lm"]
    goals = targets(own.query("phase == 'result'"), own.query("phase == 'reference'"))
    assert goals["worst_best"] == pytest.approx(3.7, abs=0.01) and goals["halfway"] == pytest.approx(4.2, abs=0.01)
    assert goals["best_90"] == pytest.approx(3.3 - 0.9 * 0.6, abs=0.01)


def test_known_dimensions_costs_and_what_was_reached_are_findings_too(results: pd.DataFrame) -> None:
    found = findings(results)
    (toy,) = pick(found, "known_dimension")
    assert toy.value == 10 and toy.low is None and "exact: 10.0" in toy.note
    (time,) = pick(found, "step_time")
    assert time.where["projection"] is None and time.unit == "s"
    (full,) = pick(found, "accuracy", projection=None)
    assert full.value == pytest.approx(0.96) and full.where["dimension"] is None
    assert len(pick(found, "target_loss", init="random")) == 5


def test_a_draw_whose_run_diverged_is_left_out(results: pd.DataFrame) -> None:
    lost = (results["model"] == "fc") & (results["seed"] == 1) & (results["dimension"] == 64) & (results["step"] == 100)
    results.loc[lost, "value"] = None
    found = findings(results)
    assert {f.n for f in pick(found, "d90", model="fc")} == {2}


def test_the_answer_names_each_model_and_initialization(results: pd.DataFrame) -> None:
    words = answer(findings(results))
    assert "the fully connected network (199,210 parameters)" in words and "from random weights" in words
    assert "the language model (131,392 parameters)" in words and "from pretrained weights" in words


def test_the_report_begins_with_a_table_for_each_model(results: pd.DataFrame) -> None:
    network, language = headline(findings(results))
    assert network.columns[:3] == ("projection", "accuracy 0.9", "90 % of full training")
    assert [row[0] for row in network.rows] == ["count_sketch", "full space"]
    assert network.rows[0][1].startswith("128 [") and network.rows[1][1:] == ("–", "–", "1 ms", "–")
    assert language.columns == ("from", "90 % of its own full gain", "4.20 bits/byte", "2.76 bits/byte")
    (pretrained,) = (row for row in language.rows if row[0] == "pretrained")
    assert pretrained[1].startswith("64 [") and pretrained[2] == "at or below the smallest dimension (16)"
    assert "on stdlib:docs" in language.caption and "131,392 parameters" in language.caption
    assert headline([]) == ()
