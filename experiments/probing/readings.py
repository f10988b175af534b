"""What a run says about probes: findings from its records alone."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from experiments.probing import readings_contrasts, readings_depths
from experiments.probing.readings_scores import CONSTANT, LEADER, WHATS, Reading, Scores, depths_of, reading, scores
from research.analysis import described
from research.analysis.intervals import t_interval
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

Read = Mapping[tuple[str, str], Scores]
NAMES = {"accuracy": "probe_accuracy", "codelength": "codelength", "selectivity": "selectivity"}


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns accuracies, codelengths, selectivities, depths and their order, and how pretrained weights compare with all others."""
    read, classes = scores(results), _classes(results)
    found = [*described.base(results), *described.window(results, {}), *_known(results), *_chance(read), *_ends(results)]
    for (init, task), own in read.items():
        found += _by_depth({"init": init, "task": task}, own, classes[task])
    found += readings_depths.findings(read)
    return [*found, *readings_contrasts.findings(read)]


def _classes(results: pd.DataFrame) -> dict[str, int]:
    own = rows(results, metric="classes")
    return {} if own.empty else {str(task): int(count) for task, count in own.groupby("task")["value"].first().items()}


def _known(results: pd.DataFrame) -> Iterator[Finding]:
    """The classes of each task and what its labels are made from; how many texts were read, and what was left out."""
    for row in rows(results, metric="classes").itertuples():
        yield finding("classes", {"task": row.task}, Estimate(float(str(row.value)), None, None, 1, "counted", str(row.note)), "1")
    for row in rows(results, metric="texts").itertuples():
        yield finding("texts", {"source": row.source}, Estimate(float(str(row.value)), None, None, 1, "counted", str(row.note)), "1")
    for row in rows(results, metric="longer").itertuples():
        said = "texts longer than the context, dropped"
        yield finding("longer", {"source": row.source}, Estimate(float(str(row.value)), None, None, 1, "counted", said), "1")


def _chance(read: Read) -> Iterator[Finding]:
    """What a probe on a constant reads of each task."""
    for (init, task), own in read.items():
        if init == CONSTANT:
            yield finding("chance", {"task": task}, reading(own, "accuracy", 0).estimate(own), "1")


def _ends(results: pd.DataFrame) -> Iterator[Finding]:
    """How far probes are from their optimum, and how many examples have a type that the control task's probe was not trained on."""
    own = rows(results, phase="probe", metric="gradient")
    if own.empty:
        return
    worst = float(own["value"].max())
    yield finding("gradient", {}, Estimate(worst, None, None, len(own), "the largest derivative of any probe's mean loss"), "nats")
    for task, some in rows(results, phase="probe", metric="unseen", init=LEADER).groupby("task", sort=False):
        yield finding("unseen", {"task": task}, t_interval(some["value"]), "1")


def _by_depth(where: Mapping[str, str], own: Scores, classes: int) -> Iterator[Finding]:
    for depth in depths_of(own):
        at = {**where, "depth": depth}
        for what, name in NAMES.items():
            yield finding(name, at, reading(own, what, depth).estimate(own), WHATS[what])
        bits = reading(own, "codelength", depth)
        factor = Reading(*(np.log(np.log2(classes) / value) for value in bits)).estimate(own, factor=True)
        yield finding("compression", at, factor, "1")
