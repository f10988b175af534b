"""Records of a comparison that nothing trained: three bases, four arms, two nulls, every phase that figures read."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

ARMS: Mapping[str, int | None] = {"full": None, "slow@0.1": None, "lora@2": 2, "lora@8": 8}
MATRICES = [f"layers_{layer}/{kind}" for layer in range(2) for kind in ("attention/query", "mlp/up")]
BASES, STEPS, SIZE = 3, (10, 20, 40), 16
SOURCE, TARGET = 2.0, 4.0  # the untouched base's losses
END = {"full": 2.0, "slow@0.1": 2.4, "lora@2": 2.6, "lora@8": 2.2}  # losses on the target at the end
HALF = 0.5
WINS = {"full": 0.0, "slow@0.1": 0.2, "lora@2": 0.2, "lora@8": -0.2}  # how far below its path an arm's scaled intruders lie
PAIRS = ("full & another seed's", "lora@2 & another seed's", "full & lora@2", "full & lora@8", "lora@2 & lora@8")


def records() -> pd.DataFrame:
    """Returns the records, in no order that figures may lean on."""
    parts = (_reference, _detected, _results, _updates, _spectra, _alike, _cuts, _altered)
    return pd.DataFrame([{"experiment": "lora_vs_full", "cell": "", "unit": "1", **row} for part in parts for row in part()])


def _cells(arms: Mapping[str, int | None] = ARMS, seeds: int = BASES) -> Iterator[dict[str, Any]]:
    for arm, rank in arms.items():
        for seed in range(seeds):
            yield {"arm": arm, "rank": rank, "seed": seed, "base": seed % BASES, "init": "pretrained", "null": "none"}


def _reference() -> Iterator[dict[str, Any]]:
    yield {"phase": "reference", "metric": "equal_at", "value": 0.5, "step": 0}
    for seed in range(2 * BASES):
        for metric, value in (("budget_target", TARGET), ("target_loss", TARGET), ("source_loss", SOURCE + 0.1 * (seed % BASES))):
            yield {"phase": "reference", "metric": metric, "value": value, "seed": seed, "base": seed % BASES, "step": 0}


def _detected() -> Iterator[dict[str, Any]]:
    wrong, planted = {"flat": 0.2, "power": 0.1, "base": 0.3}, {"full": None, "rank 1": 0.1, "rank 8": 0.5}
    for ground, added, strength, draw in product(wrong, planted, (0.1, 0.5), range(2)):
        share = planted[added] or wrong[ground]
        where = {"ground": ground, "added": added, "strength": strength, "draw": draw}
        yield {"phase": "reference", "metric": "detected", "value": share * strength + 0.01 * draw, "step": 0, **where}


def _results() -> Iterator[dict[str, Any]]:
    for cell in _cells(seeds=2 * BASES):
        for step, share in zip(STEPS, (0.5, 0.8, 1.0), strict=True):
            loss = TARGET - share * (TARGET - END[cell["arm"]])
            yield {**cell, "phase": "result", "step": step, "metric": "budget_target", "value": loss}
        yield {**cell, "phase": "result", "step": STEPS[-1], "metric": "target_loss", "value": END[cell["arm"]]}
        yield {**cell, "phase": "result", "step": STEPS[-1], "metric": "source_loss", "value": SOURCE + 0.1 * cell["base"] + 1.0}
    for cell in _cells({"full": None}):
        for null in ("shuffled", "source"):
            yield {**cell, "null": null, "phase": "null", "step": STEPS[-1], "metric": "train_loss", "value": 3.0}


def _updates() -> Iterator[dict[str, Any]]:
    own = [*_cells(), *({**cell, "null": null} for cell in _cells({"full": None}) for null in ("shuffled", "source"))]
    for cell, (at, grown), (place, matrix) in product(own, (("equal", 1.0), ("end", 2.0)), enumerate(MATRICES)):
        where = {**cell, "phase": "update", "at": at, "matrix": matrix}
        for like, metrics in _read(cell, grown, place).items():
            yield from ({**where, "like": like, "metric": metric, "value": float(value)} for metric, value in metrics.items())


def _read(cell: Mapping[str, Any], grown: float, place: int) -> dict[str, dict[str, float]]:
    """What is read of a matrix, and of what is made of it."""
    own = {
        "energy_rank": (cell["rank"] or 10 + place) - (cell["null"] == "shuffled"),
        "intruders": place * grown,
        "strength": 0.5 * grown * (1 + 0.1 * cell["seed"]),
        "relative_norm": 0.2 * grown if cell["null"] == "none" else 0.9,
        "stable_rank": 2.0,
        "amplification": 3.0,
    }
    noise = {"energy_rank": 14 if cell["arm"] == "full" else 3, "intruders": 0.5, "amplification": 1.0}
    return {"own": own, "noise": noise, "rotated": {"intruders": place + 1.0}}


def _spectra() -> Iterator[dict[str, Any]]:
    nulls = [{**cell, "arm": null} for cell in _cells({"full": None}) for null in ("shuffled", "source")]
    for cell in [*_cells(), *nulls]:
        kept = np.arange(1, SIZE + 1) <= (cell["rank"] or SIZE)
        values = np.where(kept, 0.6 * 0.9 ** np.arange(SIZE) + 0.001 * cell["seed"], 1e-9)
        for null, spectrum in (("none", values), ("noise", np.full(SIZE, 0.25) - 0.01 * np.arange(SIZE))):
            for index, value in enumerate(spectrum, start=1):
                where = {**cell, "phase": "spectrum", "trains": "lora" if cell["rank"] else "full", "index": index, "null": null}
                yield {**where, "metric": "singular_value", "value": float(value)}


def _alike() -> Iterator[dict[str, Any]]:
    for (place, pair), size, side, seed in product(enumerate(PAIRS), (1, 4), ("inputs", "outputs"), range(BASES)):
        where = {"phase": "alike", "pair": pair, "at": "equal", "side": side, "dimension": size, "seed": seed, "base": seed}
        own = 0.9 - 0.15 * place + 0.01 * seed - 0.1 * (side == "outputs")
        values = {"none": own, "permuted": 0.11, "expected": size / SIZE} if size == 1 or "lora@2" not in pair else {}
        yield from ({**where, "null": null, "metric": "overlap", "value": value} for null, value in values.items())


def _cuts() -> Iterator[dict[str, Any]]:
    for cell, at in product(_cells(), ("equal", "end")):
        whole = 3.0 if at == "equal" else END[cell["arm"]]
        where = {**cell, "phase": "cut", "at": at, "metric": "target_loss"}
        yield {**where, "directions": "whole", "cut": None, "value": whole}
        for cut, (directions, lost) in product((1, 4), (("best", 0.4), ("random", 0.8))):
            if cut < (cell["rank"] or 99):
                value = whole + (TARGET - whole) * lost / cut + 0.01 * cell["seed"]
                yield {**where, "directions": directions, "cut": cut, "value": value}


def _altered() -> Iterator[dict[str, Any]]:
    """Paths that are straight lines, on which updates scaled as a whole lie; scaled intruders beside them."""
    for cell, scaled in product(_cells(), ("all", "intruders")):
        lost = SOURCE + 0.1 * cell["base"] + HALF
        beside = (0.001 * cell["seed"] - WINS[cell["arm"]]) * (scaled == "intruders")
        losses = {"target_loss": TARGET - HALF * (TARGET - END[cell["arm"]]), "source_loss": lost + beside}
        where = {**cell, "phase": "altered", "at": "end", "scaled": scaled, "factor": HALF, "step": STEPS[-1]}
        yield from ({**where, "metric": metric, "value": value} for metric, value in losses.items())
