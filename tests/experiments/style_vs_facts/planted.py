"""Records of style against facts with planted ways: what each arm learns, in which steps, and what it loses."""

from typing import Any

import numpy as np
import pandas as pd

STEPS = (10, 20, 40)
SPREAD = 0.1  # of what is lost, between bases
APART = 0.2  # of what is lost, from a group of entities to the next
GROUPS = 8
OLD, TEXT = 3.0, 1.0  # bits a fact, and bits/byte, of the untouched bases
RIGHT, COSTS = 0.9, 0.1  # the share of old facts that is right of the untouched bases, and how much of it goes with a bit a fact
MARGINAL = {64: 90.0, 4: 20.0}  # by entities: bits of who knows how often values occur
RETRIEVED, PARAMETERS, TRAINING, QUERY = 900.0, {"full": 1000, "one@1": 320}, {"full": 6e6, "one@1": 3e6}, 2e3
# by arm: what it ends with, and what share of it each of STEPS has
SCORES = {"style:capitals:64/full": (0.9, (0.5, 1.0, 1.0)), "style:capitals:4/full": (0.8, (0.6, 1.0, 1.0))}
SCORES |= {"style:capitals:64/one@1": (0.87, (0.25, 0.5, 1.0))}
BITS = {
    "facts:64:4/full": (1000.0, (0.1, 0.5, 1.0)),
    "facts:4:4/full": (60.0, (0.5, 1.0, 1.0)),
    "facts:64:1/full": (800.0, (0.1, 0.5, 1.0)),
}
BITS |= {"facts:64:4/one@1": (640.0, (0.5, 0.99, 1.0)), "conflict:64/full": (500.0, (0.1, 0.5, 1.0))}
HELD = {"facts:64:4/full": 700.0, "facts:64:1/full": 100.0}
LOST = {"facts:64:4/full": 1.5, "facts:4:4/full": 2.0, "facts:64:1/full": 1.6, "facts:64:4/one@1": 0.6, "conflict:64/full": 1.7}
LOST |= {"style:capitals:64/full": 1.0, "style:capitals:4/full": 1.2, "style:capitals:64/one@1": 0.9, "known:64/full": 0.5}
LOST |= {"noise:64/full": 0.7}


def records(lost: dict[str, float] | None = None, seeds: int = 3, **retrieved: float) -> pd.DataFrame:
    """Returns the records of a run whose arms lose LOST, but for what `lost` says otherwise."""
    found: list[dict[str, Any]] = [{"phase": "reference", "step": 0, "metric": "window", "value": 64.0}]
    for how, count in PARAMETERS.items():
        found.append({"phase": "cost", "how": how, "metric": "trained_parameters", "value": count})
        found.append({"phase": "cost", "how": how, "metric": "training_flops", "value": TRAINING[how]})
    found += [{"phase": "cost", "metric": metric, "value": value} for metric, value in (("query_flops", QUERY), ("context_bytes", 25.0))]
    for seed in range(seeds):
        start = {"phase": "reference", "seed": seed, "base": seed, "step": 0}
        known = {
            "old_bits": OLD,
            "old_correct": RIGHT,
            "new_bits": -5.0,
            "retrieved_bits": RETRIEVED,
            "stray_bits": -20.0,
            "style_score": 0.0,
            "source_loss": TEXT,
        }
        found += [{**start, "metric": metric, "value": value} for metric, value in {**known, "retrieved_correct": 0.9, **retrieved}.items()]
        found += [{**start, "metric": "marginal_bits", "entities": size, "value": value} for size, value in MARGINAL.items()]
        found += [{**start, "metric": "old_group_bits", "document": group, "value": OLD} for group in range(GROUPS)]
        for arm, change in {**LOST, **(lost or {})}.items():
            found += _way(arm, change + SPREAD * (seed - 1) * arm.startswith("facts"), seed)
    return pd.DataFrame(found).assign(experiment="style_vs_facts", unit="1", cell="")


def _way(arm: str, lost: float, seed: int) -> list[dict[str, Any]]:
    lesson, how = arm.split("/")
    kind, *numbers = lesson.split(":")
    sizes = [int(word) for word in numbers if word.isdecimal()]
    own = {"phase": "recall", "arm": arm, "lesson": lesson, "kind": kind, "entities": sizes[0], "how": how, "seed": seed, "base": seed}
    own["paraphrases"] = sizes[1] if len(sizes) > 1 else 4
    found: list[dict[str, Any]] = []
    bits, scores = BITS.get(arm, (-10.0, (1.0, 1.0, 1.0))), SCORES.get(arm, (0.0, (1.0, 1.0, 1.0)))
    for place, step in enumerate(STEPS):
        share = step / STEPS[-1]
        read = {"new_bits": bits[0] * bits[1][place], "style_score": scores[0] * scores[1][place], "old_bits": OLD - lost * share}
        read |= {"heldout_bits": HELD.get(arm, 0.0) * share, "styled_bits": OLD - 0.5 * share, "source_loss": TEXT + share}
        read["old_correct"] = RIGHT - COSTS * lost * share
        found += [{**own, "step": step, "metric": metric, "value": value} for metric, value in read.items()]
    groups = OLD - lost + APART * (np.arange(GROUPS) - (GROUPS - 1) / 2) * arm.startswith("facts")
    return found + [{**own, "step": STEPS[-1], "metric": "old_group_bits", "document": i, "value": x} for i, x in enumerate(groups)]


def scaled(arm: str, metric: str, by: float) -> pd.DataFrame:
    """Returns the records, what a metric reads of an arm times a factor."""
    own = records()
    return own.assign(value=own["value"].mask((own["arm"] == arm) & (own["metric"] == metric), own["value"] * by))
