"""Synthetic records of a sweep over ranks, with planted numbers such as a small real one gives, for figures, readings and the report."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

RANKS = (1, 2, 4, 8, 16, 32)
TARGETS = ("stdlib:docs", "generated:restaurants")
# Bits/byte by target: untouched, everything, the same matrices, then by rank. The gap is less from pretrained weights on the first only.
LOSSES = {
    "stdlib:docs": {
        "pretrained": (3.57, 2.35, 2.354, (2.65, 2.57, 2.48, 2.42, 2.38, 2.35)),
        "shuffled": (12.68, 3.35, 4.24, (5.10, 4.95, 4.79, 4.66, 4.48, 4.42)),
        "rotated": (9.15, 3.33, 4.41, (5.01, 4.88, 4.75, 4.66, 4.57, 4.52)),
        "random": (7.94, 3.31, 4.70, (5.33, 5.18, 5.05, 4.96, 4.90, 4.89)),
    },
    "generated:restaurants": {
        "pretrained": (5.20, 0.95, 1.30, (2.10, 1.92, 1.74, 1.58, 1.45, 1.36)),
        "shuffled": (11.90, 1.48, 2.35, (2.90, 2.80, 2.70, 2.60, 2.52, 2.46)),
        "rotated": (9.02, 1.45, 2.40, (2.86, 2.78, 2.70, 2.62, 2.55, 2.50)),
        "random": (7.90, 1.41, 2.41, (2.78, 2.70, 2.63, 2.57, 2.52, 2.49)),
    },
}
ENTROPIES = {
    "stdlib:docs": {"unigram_loss": 4.83, "bigram_loss": 3.44},
    "generated:restaurants": {"unigram_loss": 4.21, "bigram_loss": 2.66, "floor_loss": 0.72},
}
SOURCES = {  # untouched, everything, the same matrices, smallest rank, largest rank
    "pretrained": (2.01, 2.65, 2.83, 2.54, 2.70),
    "shuffled": (12.9, 4.1, 4.9, 5.6, 5.2),
    "rotated": (9.3, 4.0, 5.0, 5.7, 5.4),
    "random": (7.96, 4.0, 5.3, 5.8, 5.5),
}
ARMS = {
    "all": (-0.1, 0.5),
    "block+norms": (-0.05, 0.9),
    "block+ends": (-0.2, 0.3),
}  # the loss of the same matrices, and the share of the gap
BYTES = np.array([700, 900, 1100, 1200, 1300, 1300, 1400, 1500, 1600, 1700, 1800, 1884], float)  # of the groups of documents
WIDTH = 64
STEPS = (50, 100, 200, 400, 600)
RATES = {"lora": (1e-3, 3e-3, 1e-2, 3e-2), "matched": (3e-4, 1e-3, 3e-3, 1e-2), "full": (3e-4, 1e-3, 3e-3, 1e-2)}
BEST = {"lora": 7e-3, "matched": 1.3e-3, "full": 1.3e-3}
ANCHORS = (1, 16)  # LoRA's rates are chosen at these ranks; at the first the best one lies above the grid
SELECTION_SEEDS = (1000, 1001)
Record = dict[str, Any]


def planted(target: str, init: str, arm: str | None, trains: str, rank: int | None = None) -> float:
    """Returns the planted loss (bits/byte) of what was trained, before what bases and documents add."""
    untouched, full, matched, by_rank = LOSSES[target].get(init, LOSSES[target]["random"])
    shift, share = ARMS.get(str(arm), (0.0, 1.0))
    matched += shift
    if trains == "lora" and rank == 0:
        return matched + share * (by_rank[0] - matched + shift + 0.4)
    if trains == "lora":
        gap = float(np.interp(np.log2(rank or 1), np.log2(RANKS), by_rank)) + shift - matched
        return matched + share * gap
    return {"nothing": untouched, "matched": matched, "full": full}[trains]


def base_of(init: str, seed: int, bases: int) -> int:
    """Returns the base a seed starts from."""
    return seed if init == "random" else seed % bases


def shares() -> np.ndarray:
    """Returns each document group's loss over that of the whole, (groups,); their mean weighed with `BYTES` is 1."""
    raw = 1 + 0.12 * np.random.default_rng(7).normal(size=BYTES.size)
    return np.asarray(raw * BYTES.sum() / (raw * BYTES).sum())


def _trained(arms: tuple[str, ...], ranks: tuple[int, ...]) -> list[tuple[str | None, str, int | None]]:
    """Everything that is trained from an initialization: (arm, trains, rank)."""
    of_arms = [(arm, ((0, *ranks) if arm == "block+ends" else ranks)) for arm in arms]
    adapted = [(arm, "lora", rank) for arm, some in of_arms for rank in some]
    return [*adapted, *((arm, "matched", None) for arm in arms), (None, "full", None)]


def _source(init: str, trains: str, rank: int | None) -> float:
    untouched, full, matched, first, last = SOURCES.get(init, SOURCES["random"])
    if trains == "lora":
        return first + (last - first) * np.log2((rank or 0) + 1) / 5
    return {"nothing": untouched, "matched": matched, "full": full}[trains]


def _read(row: Record, loss: float) -> Iterator[Record]:
    """The whole part at the last step, document by document too."""
    yield {**row, "metric": "target_loss", "value": loss}
    yield from ({**row, "metric": "document_loss", "document": i, "value": loss * share} for i, share in enumerate(shares()))


def _references(target: str, offsets: dict[tuple[str, int], float], bases: int) -> Iterator[Record]:
    row = {"phase": "reference", "target": target, "trains": "nothing", "step": 0, "unit": "bits/byte"}
    for name, value in {**ENTROPIES[target], "width": WIDTH}.items():
        yield {**row, "metric": name, "value": value, **({"unit": "1"} if name == "width" else {})}
    yield from ({**row, "metric": "document_bytes", "document": i, "value": size, "unit": "bytes"} for i, size in enumerate(BYTES))
    for (init, seed), offset in offsets.items():
        own, loss = {**row, "init": init, "seed": seed, "base": base_of(init, seed, bases)}, planted(target, init, None, "nothing") + offset
        yield from _read(own, loss)
        yield {**own, "metric": "budget_loss", "value": loss}
        yield {**own, "metric": "validation_loss", "value": loss + 0.1}
        yield {**own, "metric": "source_loss", "value": _source(init, "nothing", None)}


def _selection(target: str, init: str, what: tuple[str | None, str, int | None], bases: int) -> Iterator[Record]:
    arm, trains, rank = what
    row = {"target": target, "init": init, "arm": arm, "trains": trains, "rank": rank, "step": STEPS[-1]}
    rates, loss, edge = RATES[trains], planted(target, init, *what), trains == "lora" and rank == ANCHORS[0]
    best = 6e-2 if edge else BEST[trains]
    for seed in SELECTION_SEEDS:
        for rate in rates:
            lost = rate == rates[-1] and rank == ANCHORS[1] and init == "random"
            own = {**row, "phase": "select", "learning_rate": rate, "seed": seed, "base": base_of(init, seed, bases), "unit": "bits/byte"}
            value = None if lost else loss + 0.09 * np.log(rate / best) ** 2
            yield {**own, "metric": "validation_loss", "value": value, **({"note": "diverged"} if lost else {})}
    choice = {**row, "phase": "choice", "metric": "best_learning_rate", "value": rates[-1] if edge else best, "unit": "1", "on_edge": edge}
    yield {**choice, **({"note": "best at the largest learning rate tried: the optimum may lie beyond"} if edge else {})}


def _results(where: Record, loss: float, untouched: float) -> Iterator[Record]:
    row = {**where, "phase": "result", "learning_rate": 1e-2, "chosen_for": STEPS[-1], "unit": "bits/byte"}
    source, first = _source(row["init"], row["trains"], row["rank"]), _source(row["init"], "nothing", None)
    for step in STEPS:
        now = loss + (untouched - loss) * 0.3 * (np.log(STEPS[-1] / step) / np.log(12)) ** 1.3
        share = (untouched - now) / (untouched - loss)  # of what is learned: the source is lost in proportion
        values = {
            "budget_loss": now,
            "validation_loss": now + 0.1,
            "source_loss": first + share * (source - first),
            "train_loss": now - 0.1,
        }
        yield from ({**row, "step": step, "metric": metric, "value": value} for metric, value in values.items())
    yield from _read({**row, "step": STEPS[-1]}, loss)


def _cuts(where: Record, whole: float, by_rank: dict[int, float]) -> Iterator[Record]:
    """Full-rank updates cut to a rank: the best directions lose half as much as LoRA does, random ones three times as much."""
    for rank, loss in by_rank.items():
        for directions, times in (("best", 0.5), ("random", 3.0)):
            row = {**where, "phase": "truncation", "rank": rank, "directions": directions, "step": STEPS[-1], "unit": "bits/byte"}
            yield from _read(row, whole + times * (loss - whole))


def _spectrum(where: Record, rng: np.random.Generator) -> Iterator[Record]:
    index, init = np.arange(1, WIDTH + 1), where["init"]
    row = {**where, "phase": "spectrum", "arm": None, "trains": "full", "rank": None, "unit": "1"}
    decay = {"pretrained": 0.9, "shuffled": 0.7}.get(init, 0.6)
    shapes = {"none": index**-decay * np.exp(-index / 60), "noise": np.linspace(2.0, 0.05, WIDTH)}
    for null, shape in shapes.items():
        values = shape * np.exp(0.05 * rng.normal(size=WIDTH))
        values /= np.linalg.norm(values)
        kept = {"step": STEPS[-1], "metric": "singular_value", "null": null}
        yield from ({**row, **kept, "index": int(i), "value": float(v)} for i, v in zip(index, values, strict=True))
        for step in STEPS if null == "none" else ():
            yield {**row, "step": step, "metric": "update_norm", "value": 0.1 * step**0.5}
            if step < STEPS[-1]:
                yield {**row, "step": step, "metric": "singular_value", "null": null, "index": 1, "value": 0.9 * float(values[0])}


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


def _of_seed(where: Record, what: list[tuple[str | None, str, int | None]], offset: float, rng: np.random.Generator) -> Iterator[Record]:
    """What was trained on a target from an initialization with one seed, and what follows from it."""
    target, init = where["target"], where["init"]
    losses = {one: planted(target, init, *one) + offset + 0.01 * rng.normal() for one in what}
    for (arm, trains, rank), loss in losses.items():
        own = {**where, "arm": arm, "trains": trains, "rank": rank}
        yield from _results(own, loss, planted(target, init, None, "nothing") + offset)
        if trains == "matched" and arm == what[0][0] and init in ("pretrained", "random"):
            yield from _cuts(own, loss, {r: x for (a, _, r), x in losses.items() if a == arm and r})
    yield from _spectrum(where, rng)


def synthetic(
    inits: tuple[str, ...] = ("pretrained", "shuffled", "random"),
    arms: tuple[str, ...] = ("block",),
    ranks: tuple[int, ...] = RANKS,
    seeds: int = 3,
    targets: tuple[str, ...] = TARGETS[:1],
    bases: int = 3,
) -> pd.DataFrame:
    """Returns the records of a whole synthetic `lora_rank_sweep`, crossed, as a data frame: see `planted` for what is in them."""
    rng = np.random.default_rng(0)
    what = _trained(arms, ranks)
    anchors = {rank for rank in ANCHORS if rank in ranks} or {ranks[0]}
    rows: list[Record] = []
    for target in targets:
        by_base = {(init, base): 0.03 * rng.normal() for init in inits for base in range(max(seeds, bases))}
        offsets = {(init, seed): by_base[init, base_of(init, seed, bases)] for init in inits for seed in range(seeds)}
        rows += _references(target, offsets, bases)
        for init in inits:
            chosen = [one for one in what if one[1] != "lora" or one[2] in anchors]
            rows += [row for one in chosen for row in _selection(target, init, one, bases)]
        for (init, seed), offset in offsets.items():
            rows += _of_seed({"target": target, "init": init, "seed": seed, "base": base_of(init, seed, bases)}, what, offset, rng)
    rows += [row for arm in arms for row in _costs(arm, ranks)]
    frame = pd.DataFrame([{"experiment": "lora_rank_sweep", "cell": "", "directions": None, **row} for row in rows])
    return frame.drop_duplicates([name for name in frame if name not in ("value", "unit", "note", "on_edge", "chosen_for", "base")])


def star(results: pd.DataFrame) -> pd.DataFrame:
    """Returns of crossed records what the default measures: other arms and initializations on the first target, and at fewer ranks."""
    first = next(iter(results["target"].dropna()))
    arm, init, rank = (results[name] for name in ("arm", "init", "rank"))
    other = arm.notna() & (arm != "block")
    keep = ~other | results["target"].isna() | ((results["target"] == first) & init.isin(["pretrained", "random"]))
    keep &= ~other | rank.isna() | rank.isin([0, 1, 8, 16]) & ((rank != 16) | (results["phase"] == "select"))
    null = init.isin(["shuffled", "rotated"]) & (results["phase"] == "result")
    return results[keep & (~null | rank.isna() | rank.isin([1, 8, 32]))]


def texts_in(axes: Any) -> list[str]:
    """Returns every text that stands in a figure or in axes."""
    return [text.get_text() for text in axes.findobj(lambda artist: hasattr(artist, "get_text"))]


def mean_of(results: pd.DataFrame, **where: Any) -> float:
    """Returns the mean value of the records with these coordinates."""
    rows = results
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return rows["value"].mean()
