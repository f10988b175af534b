"""How d90 compares: of pretrained weights with others, over bases and documents; of one projection with another, draw by draw.

Initializations are compared by the intervals of both readings (MOVER in logarithms), not by ratios draw by draw: d90 of a single draw is
often censored where that of the mean is not, and to leave such draws out would choose among the answers. Draws share P and the order of
the data, so the readings may move together, and the interval is then too wide, not too narrow. Projections of one network are read draw by
draw, where no draw is censored: the draws share the weights and the order of the data. Coverage, beside that of ratios of the draws that
are read: tests/experiments/intrinsic_dimension/test_comparisons.py.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.intrinsic_dimension.arms import Curves, arms_of, curves, curves_without_documents, fact, steps_of, subjects
from experiments.intrinsic_dimension.curves import point
from experiments.intrinsic_dimension.definitions import Definition, Reading, of_accuracy, of_records
from research.analysis.contrasts import contrast, ratio
from research.findings import Estimate, Finding, finding

LEADER = "pretrained"


class Arm(NamedTuple):
    """What was measured from an initialization, and the same with one group of documents left out each."""

    curves: Curves
    without: Sequence[Curves]


def findings(results: pd.DataFrame) -> Iterator[Finding]:
    """Yields how d90 compares between initializations of a language model, and between projections of a network."""
    for subject, own in subjects(results):
        yield from _projections(own, subject) if steps_of(own, "accuracy") else _inits(own, subject)


def _projections(own: pd.DataFrame, subject: Mapping[str, Any]) -> Iterator[Finding]:
    last, definitions = steps_of(own, "accuracy")[-1], of_accuracy(fact(own, "absolute_level"), fact(own, "chance"))
    by_init: dict[str, dict[str, Curves]] = {}
    for init, projection in arms_of(own):
        by_init.setdefault(init, {})[projection] = curves(own, "accuracy", init, projection, last)
    for init, arms in by_init.items():
        yield from between_projections(arms, definitions, {**subject, "init": init})


def _inits(own: pd.DataFrame, subject: Mapping[str, Any]) -> Iterator[Finding]:
    last, weights = steps_of(own, "target_loss")[-1], np.array([])
    by_projection: dict[str, dict[str, Arm]] = {}
    for init, projection in arms_of(own):
        without, weights = curves_without_documents(own, init, projection, last)
        by_projection.setdefault(projection, {})[init] = Arm(curves(own, "target_loss", init, projection, last), without)
    for projection, arms in by_projection.items():
        yield from between_inits(arms, weights, of_records(own), {**subject, "projection": projection})


def between_inits(
    arms: Mapping[str, Arm], weights: np.ndarray, definitions: Sequence[Definition], where: Mapping[str, Any]
) -> Iterator[Finding]:
    """Yields d90 from pretrained weights over d90 from every other initialization, a factor, by each definition.

    `weights` (groups,) are bytes of the groups of documents that `Arm.without` leaves out.
    """
    for definition, other in itertools.product(definitions, arms) if LEADER in arms else ():
        if other != LEADER:
            at = {**where, "of": "d90", "between": f"{LEADER} / {other}", **definition.where}
            yield finding("contrast", at, _factor(arms[LEADER], arms[other], definition.reading, weights), "1")


def _factor(first: Arm, second: Arm, reading: Reading, weights: np.ndarray) -> Estimate:
    readings = reading(first.curves), reading(second.curves)
    single = first.curves.one_base or second.curves.one_base
    if not (first.without and second.without):
        return ratio(*readings, one_base=single)
    logs = np.log([_points(arm.without, reading) for arm in (first, second)])
    return ratio(*readings, logs[0] - logs[1], weights, one_base=single)


def _points(some: Sequence[Curves], reading: Reading) -> list[float]:
    """d90 of each, NaN where it is censored, or 0, which has no logarithm."""
    return [reading(c, read=point).value or np.nan for c in some]


def between_projections(arms: Mapping[str, Curves], definitions: Sequence[Definition], where: Mapping[str, Any]) -> Iterator[Finding]:
    """Yields d90 by one projection over d90 by another, a factor, for each pair and definition."""
    for definition, (first, second) in itertools.product(definitions, itertools.combinations(arms, 2)):
        at = {**where, "of": "d90", "between": f"{first} / {second}", **definition.where}
        yield finding("contrast", at, _paired(arms[first], arms[second], definition.reading), "1")


def _paired(first: Curves, second: Curves, reading: Reading) -> Estimate:
    """The factor paired by draw where every draw is read in both; else by the intervals of both readings."""
    draws = [base for base in first.bases if base in second.bases]
    values = np.array([_points([c.only(base) for base in draws], reading) for c in (first, second)])
    if not draws or not np.isfinite(values).all():
        return ratio(reading(first), reading(second), one_base=first.one_base or second.one_base)
    return contrast(np.log(values[0] / values[1]), np.array(draws), factor=True)
