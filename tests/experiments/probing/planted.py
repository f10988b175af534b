"""Records of probes with planted readings: of each initialization and task, what every depth says."""

from typing import Any

import numpy as np
import pandas as pd

GROUPS, CLASSES, SIZE = 10, 4, 100.0
CHARACTERS, CONSTANT = "characters", "constant"
WITHOUT = {CHARACTERS: 0.5, CONSTANT: 0.25}  # a network, and what is read of it
# Cumulative accuracy by depth: `early` is read at layer 1, `late` at layer 3, `flat` at the embedding alone.
CUMULATIVE = {"early": (0.4, 0.8, 0.8, 0.8), "late": (0.4, 0.4, 0.5, 0.9), "flat": (0.7, 0.7, 0.7, 0.7)}
RANDOM = (0.4, 0.45, 0.45, 0.45)
BITS = {"pretrained": (1.6, 0.8, 0.8, 0.8), "random": (1.6, 1.5, 1.5, 1.5), CHARACTERS: (1.2,), CONSTANT: (2.0,)}
CONTROL = 0.3
SPREAD, OWN = 0.01, 0.001


def records(seeds: int = 3, **changes: tuple[float, ...]) -> pd.DataFrame:
    """Returns the records of three tasks; `changes` are cumulative accuracies of pretrained weights by task."""
    found: list[dict[str, Any]] = [{"phase": "reference", "metric": "window", "value": 64.0, "unit": "tokens"}]
    known = {**CUMULATIVE, **changes}
    found += [{"phase": "reference", "metric": "classes", "task": task, "value": CLASSES, "note": f"how {task} it is"} for task in known]
    for seed in range(seeds):
        for init in ("pretrained", "random", *WITHOUT):
            for task, own in known.items():
                found += _of(init, task, seed, own if init == "pretrained" else RANDOM)
    return pd.DataFrame(found).assign(experiment="probing", cell="", step=0)


def _of(init: str, task: str, seed: int, cumulative: tuple[float, ...]) -> list[dict[str, Any]]:
    where = {"phase": "probe", "init": init, "task": task, "seed": seed, "base": seed}
    rows: list[dict[str, Any]] = [{**where, "metric": "gradient", "value": 1e-6}, {**where, "metric": "unseen", "value": 0.25}]
    rows += [{**where, "metric": "examples", "group": group, "value": SIZE} for group in range(GROUPS)]
    bits = BITS[init] if task != "flat" or init == CONSTANT else BITS["random"][: len(BITS[init])]
    metrics: dict[str, tuple[float, ...]] = {"codelength": bits}
    metrics["accuracy"] = (WITHOUT[init],) if init in WITHOUT else cumulative
    metrics["control_accuracy"] = tuple(CONTROL for _ in bits)
    if init not in WITHOUT:
        metrics["cumulative_accuracy"] = cumulative
        rows += [{**where, "metric": "mix", "depth": depth, "value": 0.25} for depth in range(4)]
    for metric, values in metrics.items():
        for depth, value in enumerate(values):
            luck = SPREAD * ((seed - 1) + np.sin(1.0 + np.arange(GROUPS)))  # of a seed and of a group, the same at every depth
            luck = luck + OWN * (seed - 1) * depth * (init == "pretrained") * (metric == "codelength")  # but for a little
            rows += [{**where, "metric": metric, "depth": depth, "group": group, "value": value + luck[group]} for group in range(GROUPS)]
    return rows
