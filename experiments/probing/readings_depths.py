"""At which depth a task is read, as cumulative probes and the mix of all layers say, and in which order tasks are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.probing.readings_scores import Scores
from research.analysis.contrasts import contrast
from research.analysis.depths import Depth, center_of_gravity, depth, order
from research.findings import Estimate, Finding, finding

MOST = 3  # orders that are told, the likeliest first
DRAWN = "draws around the means, t over bases and jackknife over groups of documents"
BEFORE = " < "
ALL, TWO = "all", "two"  # of how many tasks an order is


def findings(read: Mapping[tuple[str, str], Scores]) -> list[Finding]:
    """Returns expected layers, raw and clipped, with what distorts them, centers of gravity, and the probability of each order."""
    found: list[Finding] = []
    depths: dict[str, dict[str, Depth]] = {}
    for (init, task), own in read.items():
        if "cumulative_accuracy" in own.values:
            one = depth(own.values["cumulative_accuracy"], own.sizes, own.bases, own.mixed)
            depths.setdefault(init, {})[task] = one
            found += [*_of(one, {"init": init, "task": task}), *_center(own, {"init": init, "task": task})]
    if some := next((own for own in read.values() if 0 < len(own.mixed) < len(own.depths)), None):
        said = ", ".join(map(str, some.mixed))
        found.append(finding("mixed", {}, Estimate(float(len(some.mixed)), None, None, 1, "depths that cumulative probes mix", said), "1"))
    for init, by_task in depths.items():
        found += _orders(init, by_task, next(own for (its, _), own in read.items() if its == init))
    return found


def _of(one: Depth, where: Mapping[str, Any]) -> Iterator[Finding]:
    yield finding("expected_layer", {**where, "differences": "raw"}, one.expected, "layers")
    yield finding("expected_layer", {**where, "differences": "clipped"}, one.clipped, "layers")
    yield finding("gain", where, one.gain, "1")
    share = Estimate(one.negative, None, None, one.gain.n, "losses' share of all differences' absolute sum, mean over seeds")
    yield finding("negative_differences", where, share, "1")


def _center(own: Scores, where: Mapping[str, Any]) -> Iterator[Finding]:
    if own.mix is not None:
        yield finding("center_of_gravity", where, contrast(center_of_gravity(own.mix, own.mixed), own.bases), "layers")


def _orders(init: str, by_task: Mapping[str, Depth], own: Scores) -> Iterator[Finding]:
    """The likeliest orders of tasks that have a depth, and of each two which is read first."""
    tasks = [task for task, one in by_task.items() if one.expected.value is not None and np.isfinite(one.replicates).all()]
    if len(tasks) < 2:
        return
    try:
        drawn = order([by_task[task] for task in tasks], own.sizes, own.bases)
    except ValueError as error:
        yield finding("order_probability", {"init": init, "of": ALL}, Estimate(None, None, None, 0, DRAWN, str(error)), "1")
        return
    left = _left(sorted(set(by_task) - set(tasks)))
    count = len(np.unique(own.bases))
    for some, probability in drawn.orders[:MOST]:
        where = {"init": init, "of": ALL, "order": BEFORE.join(tasks[place] for place in some)}
        yield finding("order_probability", where, Estimate(probability, None, None, count, DRAWN, left), "1")
    for place, first in enumerate(tasks):
        for other in range(place + 1, len(tasks)):
            where = {"init": init, "of": TWO, "order": f"{first}{BEFORE}{tasks[other]}"}
            yield finding("order_probability", where, Estimate(float(drawn.earlier[place, other]), None, None, count, DRAWN), "1")


def _left(tasks: Sequence[str]) -> str:
    return f"without {', '.join(tasks)}, of which no layer surely reads more than the embedding" if tasks else ""
