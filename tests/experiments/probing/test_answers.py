"""Words follow from findings: what contradicts a claim stands before what supports it."""

import re

import pytest

from experiments.probing.answers import answer
from experiments.probing.headlines import headline
from experiments.probing.readings import findings
from research.findings import Finding
from tests.experiments.probing.planted import records


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records())


def changed(found: list[Finding], name: str, value: float, width: float, **where: object) -> list[Finding]:
    """Returns the findings with those of a name and place put at a value, their interval so wide to each side."""
    return [
        f._replace(value=value, low=value - width, high=value + width) if f.name == name and where.items() <= f.where.items() else f
        for f in found
    ]


def test_what_contradicts_stands_before_what_supports(found: list[Finding]) -> None:
    first, against, support, _ = answer(found).split("\n\n")
    assert "for early, late, of 3 tasks" in first and "No depth is known of flat" in first
    assert "not told apart from random ones for flat" in against and "early" not in against
    assert "cost less from pretrained layers than from random ones for early -0.70" in support
    assert "Tasks have an order of depth, early < late (probability 1.00" in support


def test_labels_that_cost_more_are_said_first(found: list[Finding]) -> None:
    worse = changed(found, "contrast", 0.5, 0.1, what="codelength", task="early", between="pretrained - random")
    text = answer(worse)
    assert "Labels cost more from pretrained layers than from random ones for early 0.50 [0.40, 0.60]" in text.split("\n\n")[1]
    assert "for late, of 3 tasks; for early something else says more" in text.split("\n\n")[0]
    none = changed(found, "contrast", 0.0, 0.1, what="codelength")
    assert "for no task, of 3 tasks" in answer(none) and "cost less" not in answer(none).split("\n\n")[1]


def test_a_verdict_is_adjusted_for_the_number_of_comparisons_and_an_interval_is_not(found: list[Finding]) -> None:
    assert "Verdicts are adjusted for 15 comparisons (Holm 1979), intervals are not" in answer(found).split("\n\n")[-1]
    adjusted = [f for f in found if f.name == "adjusted_p"]
    assert len(adjusted) == 15 and all(f.value is not None and 0 <= f.value <= 1 for f in adjusted)
    unsure = changed(found, "adjusted_p", 0.06, 0.0, task="early", between="pretrained - random")
    assert "Not sure among so many comparisons is a difference from random ones for early -0.70" in answer(unsure).split("\n\n")[1]
    sure = changed(found, "adjusted_p", 0.04, 0.0, task="early", between="pretrained - random")
    assert answer(sure) == answer(found)


def test_one_base_has_no_verdict_and_says_so() -> None:
    single = findings(records(seeds=1))
    first, against, *rest = answer(single).split("\n\n")
    assert "over documents alone, labels cost less from pretrained layers than from all that stands beside them for early, late" in first
    assert "which is no verdict, labels cost from pretrained layers, less from random ones: early -0.70" in against
    assert not any(f.name == "adjusted_p" for f in single) and "Holm" not in "".join(rest)
    assert "Linear probes read nothing sure" not in first


def test_an_order_that_is_not_sure_is_no_order(found: list[Finding]) -> None:
    unsure = answer(changed(found, "order_probability", 0.6, 0.0, init="pretrained"))
    assert "The likeliest order of depth, early < late, has a probability of 0.60 alone" in unsure.split("\n\n")[0]
    assert "Tasks have an order" not in unsure


def test_a_null_with_an_order_as_sure_is_told(found: list[Finding]) -> None:
    assert "Of random weights an order is as sure" not in answer([f for f in found if f.where.get("init") != "random"])
    null = [f._replace(where={**f.where, "init": "random"}) for f in found if f.name == "order_probability"]
    rest = [f for f in found if f.name != "order_probability" or f.where["init"] != "random"]
    assert "Of random weights an order is as sure, early < late (probability 1.00)" in answer([*rest, *null]).split("\n\n")[0]


def test_a_probe_that_reads_a_random_label_as_well_is_told(found: list[Finding]) -> None:
    assert "a random label of each word type" not in answer(found)
    told = answer(changed(found, "selectivity", -0.1, 0.05, init="pretrained", task="late", depth="layers"))
    assert re.search(r"as the task's\) for late -0\.10 \[-0\.15, -0\.05\]", told)


def test_of_what_costs_as_much_as_even_labels_nothing_is_claimed(found: list[Finding]) -> None:
    even = changed(found, "contrast", -0.01, 0.05, what="codelength", task="early", between="pretrained - constant")
    first, _, support, _ = answer(even).split("\n\n")
    assert "Linear probes read nothing sure of early from pretrained layers" in first
    assert "random ones for late" in support and "early -0.70" not in support
    assert "read nothing sure" not in answer(found)


def test_nothing_is_claimed_of_nothing() -> None:
    assert answer([]) == "" and headline([]) == ()


def test_the_table_has_a_row_a_task_and_says_what_labels_see(found: list[Finding]) -> None:
    (table,) = headline(found)
    assert [row[0] for row in table.rows] == ["early", "late", "flat"]
    early = dict(zip(table.columns, table.rows[0], strict=True))
    assert early["chance"].startswith("0.25") and early["classes"] == "4"
    assert early["expected layer"].startswith("1.00") and early["bits less random's"].startswith("-0.70")
    assert dict(zip(table.columns, table.rows[2], strict=True))["expected layer"] == "none"
    assert early["characters"].startswith("0.5") and "early: how early it is" in table.caption
