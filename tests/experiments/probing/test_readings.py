"""Findings say what was planted in the records, with intervals over bases and documents."""

import numpy as np
import pandas as pd
import pytest

from experiments.probing.readings import findings
from research.findings import Finding, find
from tests.experiments.probing.planted import BITS, CLASSES, CONTROL, GROUPS, SPREAD, records


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records())


def value(found: list[Finding], name: str, **where: object) -> float:
    one = find(found, name, **where)
    assert one is not None and one.value is not None
    return one.value


LUCK = SPREAD * float(np.sin(1.0 + np.arange(GROUPS)).mean())


def test_readings_by_depth_are_means_over_examples_and_bases(found: list[Finding]) -> None:
    own = {"init": "pretrained", "task": "early"}
    assert value(found, "probe_accuracy", **own, depth=1) == pytest.approx(0.8 + LUCK)
    assert value(found, "selectivity", **own, depth=1) == pytest.approx(0.8 - CONTROL)
    assert value(found, "codelength", **own, depth=0) == pytest.approx(1.6 + LUCK)
    assert value(found, "compression", **own, depth=0) == pytest.approx(np.log2(CLASSES) / 1.6, rel=0.01)
    assert value(found, "probe_accuracy", init="pretrained", task="late", depth="layers") == pytest.approx(0.6 + LUCK)
    one = find(found, "probe_accuracy", **own, depth=1)
    assert one is not None and one.n == 3 and "3 bases" in one.note and "10 groups" in one.note
    assert value(found, "classes", task="early") == CLASSES and value(found, "chance", task="early") == pytest.approx(0.25 + LUCK)
    assert value(found, "unseen", task="late") == 0.25


def test_a_contrast_is_paired_so_that_luck_of_seeds_and_documents_goes(found: list[Finding]) -> None:
    for depth, less in ((1, BITS["pretrained"][1] - BITS["random"][1]), ("layers", -0.7)):
        one = find(found, "contrast", what="codelength", task="early", between="pretrained - random", depth=depth)
        assert one is not None and one.value == pytest.approx(less)
        assert one.low == pytest.approx(less, abs=SPREAD / 2) and one.high == pytest.approx(less, abs=SPREAD / 2)
    assert value(found, "contrast", what="codelength", task="early", between="pretrained - characters", depth="layers") == pytest.approx(
        -0.4
    )
    assert find(found, "contrast", between="pretrained - characters", depth=1) is None
    more = {"what": "accuracy", "task": "late", "between": "layer - embedding", "init": "pretrained"}
    assert value(found, "contrast", **more, depth="layers") == pytest.approx(0.2)


def test_expected_layers_are_where_accuracy_is_gained_and_their_order_is_sure(found: list[Finding]) -> None:
    expected = {"init": "pretrained", "differences": "raw"}
    assert value(found, "expected_layer", task="early", **expected) == pytest.approx(1.0)
    assert value(found, "expected_layer", task="late", **expected) == pytest.approx((2 * 0.1 + 3 * 0.4) / 0.5)
    best = find(found, "order_probability", init="pretrained")
    assert best is not None and best.where["order"] == "early < late" and best.value == 1.0 and "without flat" in best.note
    assert value(found, "center_of_gravity", task="late", init="pretrained") == pytest.approx(1.5)


def test_a_task_that_the_embedding_says_has_no_depth(found: list[Finding]) -> None:
    one = find(found, "expected_layer", init="pretrained", task="flat", differences="raw")
    assert one is not None and one.value is None and "no depth" in one.note


def test_losses_on_the_way_are_told_and_clipped() -> None:
    found = findings(records(late=(0.4, 0.6, 0.5, 0.9)))
    own = {"init": "pretrained", "task": "late"}
    assert value(found, "negative_differences", **own) == pytest.approx(0.1 / 0.7)
    raw, clipped = (value(found, "expected_layer", **own, differences=which) for which in ("raw", "clipped"))
    assert raw == pytest.approx((0.2 - 2 * 0.1 + 3 * 0.4) / 0.5) and clipped == pytest.approx((0.2 + 3 * 0.4) / 0.6)


def test_one_base_has_intervals_over_documents_alone_and_half_a_run_has_findings() -> None:
    one = find(findings(records(seeds=1)), "probe_accuracy", init="random", task="early", depth=0)
    assert one is not None and one.n == 1 and one.low is not None and "no interval over one base" in one.note
    rows = records()
    half = rows[~((rows["init"] == "random") & (rows["seed"] == 2))]
    contrast = find(findings(half), "contrast", what="codelength", task="early", between="pretrained - random", depth=1)
    assert contrast is not None and contrast.n == 2 and contrast.value == pytest.approx(-0.7, abs=SPREAD / 2)
    assert findings(pd.DataFrame([{"phase": "reference", "metric": "window", "value": 64.0}]))[0].name == "window"
