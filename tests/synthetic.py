"""Synthetic records of a sweep over ranks, with the numbers a small real one gives, for figures, readings and the report."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

RANKS = (1, 2, 4, 8, 16, 32)
LOSSES = {  # bits/byte on the target: untouched, full, matched, then by rank
    "pretrained": (3.57, 2.35, 2.354, (2.65, 2.57, 2.48, 2.42, 2.38, 2.35)),
    "shuffled": (12.68, 3.35, 4.24, (5.10, 4.95, 4.79, 4.66, 4.48, 4.42)),
    "random": (7.94, 3.31, 4.70, (5.33, 5.18, 5.05, 4.96, 4.90, 4.89)),
}
SOURCES = {"pretrained": (2.01, 2.65, 2.83, 2.54, 2.70), "shuffled": (12.9, 4.1, 4.9, 5.6, 5.2), "random": (7.96, 4.0, 5.3, 5.8, 5.5)}
STEPS = (50, 100, 200, 400, 600)
RATES = {"lora": (1e-3, 3e-3, 1e-2, 3e-2), "matched": (3e-4, 1e-3, 3e-3, 1e-2), "full": (3e-4, 1e-3, 3e-3, 1e-2)}
Record = dict[str, Any]


def _arms(init: str, arm: str, ranks: tuple[int, ...]) -> Iterator[tuple[Record, float, float]]:
    """Yields (coordinates, final target loss, final source loss) of what may be trained from `init`."""
    _, full, matched, by_rank = LOSSES.get(init, LOSSES["random"])
    _, source_full, source_matched, first, last = SOURCES.get(init, SOURCES["random"])
    for i, rank in enumerate(ranks):
        shift = -0.1 if arm == "all" else 0.0
        yield {"arm": arm, "trains": "lora", "rank": rank}, by_rank[i] + shift, first + (last - first) * i / 5
    yield {"arm": arm, "trains": "matched", "rank": None}, matched, source_matched
    yield {"arm": None, "trains": "full", "rank": None}, full, source_full


def _references(inits: tuple[str, ...], seeds: int, rng: np.random.Generator) -> Iterator[Record]:
    base = {"phase": "reference", "trains": "nothing", "step": 0, "unit": "bits/byte"}
    for init in inits:
        untouched, source = LOSSES.get(init, LOSSES["random"])[0], SOURCES.get(init, SOURCES["random"])[0]
        for seed in range(seeds):
            noise = 0.0 if init == "pretrained" else 0.1 * rng.normal()
            yield {**base, "init": init, "seed": seed, "metric": "target_loss", "value": untouched + noise}
            yield {**base, "init": init, "seed": seed, "metric": "source_loss", "value": source + noise}
    yield {**base, "init": None, "metric": "unigram_loss", "value": 4.83}
    yield {**base, "init": None, "metric": "bigram_loss", "value": 3.44}


def _selection(init: str, arm: str, ranks: tuple[int, ...]) -> Iterator[Record]:
    for where, target, _ in _arms(init, arm, ranks):
        rates = RATES[where["trains"]]
        best = 3 if where["rank"] == 1 else 2 if where["trains"] == "lora" else 1
        for i, rate in enumerate(rates):
            diverged = rate == 3e-2 and where["rank"] in (16, 32) and init == "random"
            row = {**where, "phase": "select", "init": init, "learning_rate": rate, "seed": 100, "step": 600, "metric": "validation_loss"}
            value = None if diverged else target + 0.12 * (i - best) ** 2
            yield {**row, "unit": "bits/byte", "value": value, **({"note": "diverged"} if diverged else {})}
        row = {**where, "phase": "choice", "init": init, "metric": "best_learning_rate", "unit": "1"}
        yield {**row, "value": rates[best], "on_edge": best in (0, 3)}


def _trained(init: str, arm: str, ranks: tuple[int, ...], seeds: int, rng: np.random.Generator) -> Iterator[Record]:
    for where, target, source in _arms(init, arm, ranks):
        for seed in range(seeds):
            row = {**where, "phase": "result", "init": init, "learning_rate": 1e-2, "seed": seed, "unit": "bits/byte"}
            noise = 0.03 * rng.normal()
            for step in STEPS:
                value = target + noise + 1.1 * (np.log(STEPS[-1] / step) / np.log(12)) ** 1.3
                yield {**row, "step": step, "metric": "target_loss", "value": value}
                yield {**row, "step": step, "metric": "train_loss", "value": value - 0.1}
            yield {**row, "step": STEPS[-1], "metric": "source_loss", "value": source + 2 * noise}


def _spectrum(init: str, seeds: int, rng: np.random.Generator) -> Iterator[Record]:
    index = np.arange(1, 65)
    shapes = {
        "none": index ** -{"pretrained": 0.9, "shuffled": 0.7}.get(init, 0.6) * np.exp(-index / 60),
        "noise": np.linspace(2.0, 0.05, 64),
    }
    for null, shape in shapes.items():
        for seed in range(seeds):
            values = shape * np.exp(0.05 * rng.normal(size=64))
            values /= np.linalg.norm(values)
            row = {"phase": "spectrum", "init": init, "trains": "full", "seed": seed, "step": 600, "metric": "singular_value", "unit": "1"}
            yield from ({**row, "null": null, "index": int(i), "value": float(v)} for i, v in zip(index, values, strict=True))


def _costs(arm: str, ranks: tuple[int, ...]) -> Iterator[Record]:
    kinds = [("lora", rank, 1024 * rank * (2 if arm == "all" else 1)) for rank in ranks]
    for trains, rank, count in [*kinds, ("matched", None, 98_304), ("full", None, 140_544), ("pretraining", None, 140_544)]:
        row = {"phase": "cost", "arm": None if count == 140_544 else arm, "trains": trains, "rank": rank, "init": None}
        flops = 4 * 115_000 + 6 * count if trains == "lora" else 6 * 115_000
        steps, size = (2000, 32) if trains == "pretraining" else (600, 4)
        yield {**row, "metric": "steps", "value": steps, "unit": "steps"}
        yield {**row, "metric": "tokens", "value": steps * size * 64, "unit": "tokens"}
        yield {**row, "metric": "trainable_parameters", "value": count, "unit": "count"}
        yield {**row, "metric": "optimizer_bytes", "value": 8 * count + 4, "unit": "bytes"}
        yield {**row, "metric": "checkpoint_bytes", "value": 4 * count, "unit": "bytes"}
        yield {**row, "metric": "flops_per_token_formula", "value": flops, "unit": "FLOPs/token"}
        if trains != "pretraining":
            yield {**row, "metric": "flops_per_token_compiled", "value": 1.13 * flops, "unit": "FLOPs/token"}


def synthetic(
    inits: tuple[str, ...] = ("pretrained", "shuffled", "random"),
    arms: tuple[str, ...] = ("block",),
    ranks: tuple[int, ...] = RANKS,
    seeds: int = 3,
) -> pd.DataFrame:
    """Returns the records of a whole synthetic `lora_rank_sweep` as a data frame."""
    rng = np.random.default_rng(0)
    rows = list(_references(inits, seeds, rng))
    for arm in arms:
        for init in inits:
            rows += [*_selection(init, arm, ranks), *_trained(init, arm, ranks, seeds, rng)]
        rows += _costs(arm, ranks)
    for init in inits:
        rows += _spectrum(init, seeds, rng)
    return pd.DataFrame([{"experiment": "lora_rank_sweep", "cell": "", **row} for row in rows]).drop_duplicates(
        ["phase", "init", "arm", "trains", "rank", "learning_rate", "seed", "step", "metric", "index", "null"]
    )


def texts_in(axes: Any) -> list[str]:
    """Returns every text that stands in a figure or in axes."""
    return [text.get_text() for text in axes.findobj(lambda artist: hasattr(artist, "get_text"))]


def mean_of(results: pd.DataFrame, **where: Any) -> float:
    """Returns the mean value of the records with these coordinates."""
    rows = results
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return rows["value"].mean()
