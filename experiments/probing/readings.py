"""What a run says about probes: findings from its records alone."""

from collections.abc import Iterator

import pandas as pd

from experiments.probing.scores import Scores, estimate, scores
from research.analysis import described
from research.findings import Finding, finding


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns accuracies."""
    read = scores(results)
    found = [*described.base(results), *described.window(results, {})]
    for (init, task), own in read.items():
        found += _by_depth(init, task, own)
    return found


def _by_depth(init: str, task: str, own: Scores) -> Iterator[Finding]:
    whole, without = own.whole("accuracy"), own.without("accuracy")
    for place, depth in enumerate(own.depths.tolist()):
        where = {"init": init, "task": task, "depth": depth}
        yield finding("probe_accuracy", where, estimate(whole[:, place], without[:, place], own), "1")
