"""Records of a run whose best rates follow a known power of rank and scale."""

from typing import Any

import numpy as np
import pandas as pd

from experiments.learning_rate_law.rules import parse
from research.records import rounded

RULES, RANKS, FACTORS = ("fixed@32", "equal@1", "rslora@8"), (1, 2, 8, 32), (0.316, 0.562, 1.0, 1.78, 3.16)
PLACES = (("first", "pretrained"), ("first", "random"), ("second", "pretrained"))
GROUPS, BYTES = 10, 2048
POWERS = {"rank": 0.3, "scale": -0.8}


def settings() -> list[tuple[int, float]]:
    """Each rank and alpha of the rules, once."""
    return sorted({(rank, rounded(parse(rule).recipe(rank))) for rule in RULES for rank in RANKS})


def best(rank: int, alpha: float, powers: dict[str, float] = POWERS) -> float:
    """The planted logarithm of the best rate."""
    return float(-4 + powers["rank"] * np.log(rank) + powers["scale"] * np.log(alpha / rank))


def first_place(frame: pd.DataFrame) -> pd.DataFrame:
    """What the records say of the first target and start alone."""
    return frame[(frame["target"] == PLACES[0][0]) & (frame["init"].isna() | (frame["init"] == PLACES[0][1]))]


def records(powers: dict[str, float] = POWERS, noise: float = 0.05, seeds: int = 3, bases: int = 3) -> pd.DataFrame:
    """A frame of records; the largest eigenvalue is the scale, and full training's best rate a tenth of e^-4."""
    rng, rows = np.random.default_rng(0), []
    for target in dict.fromkeys(target for target, _ in PLACES):
        start = {"phase": "reference", "target": target, "trains": "nothing", "step": 0}
        rows += [{**start, "metric": "width", "value": 64.0}, {**start, "metric": "window", "value": 64.0}]
        rows += [{**start, "metric": "rule", "arm": rule, "value": 1.0} for rule in RULES]
        rows += [{**start, "metric": "document_bytes", "document": i, "value": float(BYTES)} for i in range(GROUPS)]
    for target, init in PLACES:
        for seed in range(seeds):
            where = {"target": target, "init": init, "seed": seed, "base": seed % bases}
            rows += _runs({**where, "trains": "full", "arm": "full"}, np.log(0.1) - 4, noise, rng)
            for rank, alpha in settings():
                own = {**where, "trains": "lora", "arm": f"alpha@{alpha:g}", "rank": rank, "alpha": alpha}
                rows += _runs(own, best(rank, alpha, powers), noise, rng)
                seen = {**own, "phase": "curvature", "step": 0}
                rows += [
                    {**seen, "metric": "lambda_max", "value": alpha / rank},
                    {**seen, "metric": "lambda_max_residual", "value": 1e-3 * alpha / rank},
                ]
    return pd.DataFrame(rows)


def _runs(where: dict[str, Any], middle: float, noise: float, rng: np.random.Generator) -> list[dict[str, Any]]:
    """The losses of one setting and seed at all rates: a parabola around the best one, of which each group of documents has its own."""
    own, rows = middle + noise * rng.normal() + 0.02 * rng.normal(size=GROUPS), []
    for factor in FACTORS:
        rate = float(np.exp(middle) * factor)
        by_group = 2 + 0.1 * (np.log(rate) - own) ** 2
        run = {**where, "phase": "result", "learning_rate": rate, "step": 100}
        rows += [{**run, "metric": "document_loss", "document": i, "value": float(loss)} for i, loss in enumerate(by_group)]
        rows.append({**run, "metric": "target_loss", "value": float(by_group.mean())})
    return rows
