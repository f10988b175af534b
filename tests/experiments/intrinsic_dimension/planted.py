"""Records with planted d90: curves that are lines in log dimension, of every measure that a run of a language model keeps."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

SEEDS = 3
STEPS = (50, 100)
LM = {"model": "lm", "parameters": 131_392, "data": "stdlib:docs"}
UNIGRAM = 4.7


def fact(subject: Mapping, metric: str, value: float, init: str | None = None, seed: int | None = None, **more: object) -> dict:
    row = {**subject, "phase": "reference", "metric": metric, "value": value, "init": init, "seed": seed, "step": 0, "trains": "nothing"}
    return {**row, **more}


def cells(
    subject: Mapping, init: str, metric: str, values: Mapping, projection: str = "count_sketch", steps: Sequence[int] = STEPS
) -> list[dict]:
    """Results of three draws, 0.001 apart; a smaller step is worse by 0.1. The dimension None is the full space."""
    rows = []
    for dimension, value in values.items():
        trains = {"trains": "full", "projection": None} if dimension is None else {"trains": "subspace", "projection": projection}
        for seed in range(SEEDS):
            for step in steps:
                worse = (0.1 if step < STEPS[-1] else 0.0) * (-1 if metric == "accuracy" else 1)
                row = {**subject, "phase": "result", "init": init, "metric": metric, **trains, "dimension": dimension, "base": seed}
                rows.append({**row, "seed": seed, "step": step, "value": value + worse + 0.001 * (seed - 1)})
    return rows


def line(dimensions: Sequence[int], first: tuple[float, float], second: tuple[float, float]) -> dict:
    """Losses at the dimensions on the line in log dimension through two points (dimension, loss)."""
    (a, high), (b, low) = first, second
    return {d: high + (low - high) * np.log(d / a) / np.log(b / a) for d in dimensions}


def language(init: str, untouched: float, losses: Mapping, test: float = 0.0) -> list[dict]:
    """All records of one initialization; losses on the test part lie `test` above those on the validation part."""
    rows = [fact(LM, "pretraining_steps", 0 if init == "random" else 2000, init)]
    for metric, shift in (("target_loss", test), ("budget_loss", test), ("validation_loss", 0.0)):
        rows += [fact(LM, metric, untouched + shift, init, seed) for seed in range(SEEDS)]
        steps = STEPS[-1:] if metric == "target_loss" else STEPS
        rows += cells(LM, init, metric, {d: loss + shift for d, loss in losses.items()}, steps=steps)
    return rows


def by_document(rows: Sequence[dict], effects: np.ndarray, weights: Sequence[float]) -> list[dict]:
    """The losses of groups of documents behind each target loss at the end; what a group adds, (groups,), leaves their mean alone."""
    found = [fact(LM, "document_bytes", size, document=group) for group, size in enumerate(weights)]
    mean = np.average(effects, weights=weights)
    for row in rows:
        if row["metric"] == "target_loss" and (row["phase"] == "reference" or row["step"] == STEPS[-1]):
            own = {**row, "metric": "document_loss"}
            found += [{**own, "value": row["value"] + effect - mean, "document": group} for group, effect in enumerate(effects)]
    return found


def frame(rows: Sequence[dict]) -> pd.DataFrame:
    """The records with the target's unigram entropy."""
    return pd.DataFrame([*rows, fact(LM, "unigram_loss", UNIGRAM)]).astype({"value": object})
