"""Records of LoRA beside full training in which everything that is read is planted: ways, spectra, intruders, cuts, subspaces."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

BASES = 3
START, SOURCE, LEARNED = 4.0, 2.0, 2.0  # untouched losses, and what full learns of the target
SHARE = 0.5
WAY = {10: 0.25, 20: 0.5, 30: 0.75, 40: 1.0}  # of what each arm learns
LEARNS = {"full": 2.0, "slow@0.1": 0.8, "lora@2": 1.8, "lora@8": 3.0}
AT = {"full": 20, "lora@2": 20, "lora@8": 10}  # 10: 0.75 of 1.0 bits, nearer to it than 1.5
RISES = {"full": 0.6, "slow@0.1": 0.1, "lora@2": 0.3, "lora@8": 0.4}
FPR = {0.1: 0.0, 0.3: 0.2, 1.0: 0.8}
COMMON, OWN = 2.0, {"full": 0.3, "slow@0.1": 0.6, "lora@2": 0.6, "lora@8": 0.6}  # of readings over bases: of all, of an update's own
LATER = 100.0  # more of an update's own readings at the end
MATRICES = {"layers_0/attention/query": -1.0, "layers_0/mlp/up": 1.0}
RANKS = {("full", "none"): 20.0, ("full", "noise"): 40.0, ("full", "shuffled"): 30.0, ("full", "source"): 25.0}
RANKS |= {(arm, null): rank for arm in ("slow@0.1", "lora@2", "lora@8") for null, rank in (("none", 5.0), ("noise", 40.0))}
INTRUDERS = {("full", "none"): 4.0, ("full", "noise"): 6.0, ("full", "rotated"): 5.0, ("full", "shuffled"): 7.0, ("full", "source"): 4.5}
INTRUDERS |= {(arm, null): 6.0 for arm in ("slow@0.1", "lora@2", "lora@8") for null in ("none", "noise", "rotated")}
CUTS = {"best": {1: 0.5, 4: 0.9, 8: 0.96}, "random": {1: 0.1, 4: 0.4, 8: 0.9}}  # shares of the gain that are kept
GROUPS, APART, SPREAD = 10, 0.3, 0.02  # of cut updates' losses, over groups of documents and over bases
ALPHAS = (0.25, 0.5, 0.75)
KEEPS = {0.25: 0.375, 0.5: 0.5}  # by factor, of what an arm learned with its intruders scaled
MORE = {"full": 0.0, "lora@2": -0.1, "lora@8": 0.1}  # bits lost of the source with intruders scaled, beside everything scaled to one loss
OVERLAPS = {"none": 0.6, "permuted": 0.1, "expected": 0.05}
Planted = Mapping[tuple[str, str], float]


def records(
    ranks: Planted | None = None,
    intruders: Planted | None = None,
    learns: Mapping[str, float] | None = None,
    more: Mapping[str, float] | None = None,
    bases: int = BASES,
) -> pd.DataFrame:
    """Returns the records of a run with these numbers in the place of those above; two seeds a base, of which the first are read."""
    learned, found = {**LEARNS, **(learns or {})}, _references(bases)
    for seed in range(2 * bases):
        where = {"seed": seed, "base": seed % bases}
        for arm, bits in learned.items():
            found += _run({**where, "phase": "result", "arm": arm, "null": "none"}, bits, RISES[arm])
    for seed in range(bases):
        where = {"seed": seed, "base": seed}
        for null in ("shuffled", "source"):
            found += [
                {**where, "phase": "null", "arm": "full", "null": null, "step": step, "metric": "train_loss", "value": 1.0} for step in WAY
            ]
        for at in ("end", "equal"):
            found += _updates({**where, "at": at}, {**RANKS, **(ranks or {})}, {**INTRUDERS, **(intruders or {})})
            found += [row for arm in ("full", "lora@2") for row in _cut({**where, "arm": arm, "at": at}, learned[arm])]
        found += _alike(where)
        for arm, bits in {**MORE, **(more or {})}.items():
            found += _altered({**where, "arm": arm, "at": "end"}, learned[arm], RISES[arm], bits)
    return pd.DataFrame(found).assign(experiment="lora_vs_full")


def deviation(seed: int) -> int:
    """Returns how far a base's readings lie from the mean, in spreads."""
    return seed - 1


def _references(bases: int) -> list[dict[str, Any]]:
    own = {"phase": "reference", "step": 0}
    found = [{**own, "metric": metric, "value": value} for metric, value in (("equal_at", SHARE), ("window", 64.0))]
    found += [{**own, "metric": "target", "value": 1.0, "note": "a text"}]
    found += [{**own, "metric": "document_bytes", "document": group, "value": 2000.0} for group in range(GROUPS)]
    for seed in range(2 * bases):
        at = {**own, "seed": seed, "base": seed % bases}
        far = _height(seed % bases)
        losses = {"budget_target": START + far, "target_loss": START + far + 0.05, "source_loss": SOURCE + far}
        found += [{**at, "metric": metric, "value": value} for metric, value in losses.items()]
    for ground, less in (("base", 0.0), ("flat", 0.1)):
        for strength, rate in FPR.items():
            where = {**own, "ground": ground, "strength": strength, "metric": "detected"}
            found += [{**where, "added": "full", "draw": draw, "value": rate + less + 0.01 * (draw - 1)} for draw in range(3)]
            found += [{**where, "added": "rank 1", "draw": draw, "value": 1 - rate} for draw in range(3)]
    found += [
        {"phase": "choice", "step": 40, "arm": arm, "metric": "best_learning_rate", "value": 1e-3, "note": note}
        for arm, note in (("full", ""), ("lora@2", "best at the largest learning rate tried: the optimum may lie beyond"))
    ]
    return found


def _height(base: int) -> float:
    return 0.2 * base


def _run(own: dict[str, Any], learned: float, rise: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    far = _height(own["base"])
    for step, way in WAY.items():
        found.append({**own, "step": step, "metric": "budget_target", "value": START + far - learned * way})
        if step == 40:
            found.append({**own, "step": step, "metric": "target_loss", "value": START + far + 0.05 - learned})
            found.append({**own, "step": step, "metric": "source_loss", "value": SOURCE + far + rise})
        found.append({**own, "step": step, "metric": "train_loss", "value": 1.0})
    return found


def _updates(where: dict[str, Any], ranks: Planted, intruders: Planted) -> list[dict[str, Any]]:
    """Readings of all arms at a place, of two matrices around the mean that is planted; at the end, an update's own are far above all."""
    found: list[dict[str, Any]] = []
    for metric, planted in (("energy_rank", ranks), ("intruders", intruders)):
        for (arm, null), value in planted.items():
            spread = COMMON + OWN[arm] * (null == "none")
            row = {**where, **_labels(arm, null), "metric": metric}
            if arm == "slow@0.1" and where["at"] == "equal":
                continue  # it does not learn so much
            found += _matrices(row, value + LATER * (where["at"] == "end") * (null == "none") + spread * deviation(where["seed"]))
    for arm in LEARNS if where["at"] == "end" else AT:
        for metric, value in (("relative_norm", 0.28), ("strength", 0.5), ("stable_rank", 3.0)):
            found += _matrices({**where, **_labels(arm, "none"), "metric": metric}, value, apart=0.1)
        for null, value in (("none", 6.0), ("noise", 3.0)):
            here = value * np.exp(0.1 * deviation(where["seed"]) * (1 + (null == "none")))
            ways = {name: here * 2**far for name, far in MATRICES.items()}
            row = {**where, **_labels(arm, null), "phase": "update", "metric": "amplification"}
            found += [{**row, "matrix": name, "value": each} for name, each in ways.items()]
    return found


def _labels(arm: str, null: str) -> dict[str, str]:
    made = null in ("noise", "rotated")
    return {"arm": arm, "null": "none" if made else null, "like": null if made else "own"}


def _matrices(row: dict[str, Any], value: float, apart: float = 1.0) -> list[dict[str, Any]]:
    return [{**row, "phase": "update", "matrix": name, "value": value + apart * far} for name, far in MATRICES.items()]


def _cut(where: dict[str, Any], learned: float) -> list[dict[str, Any]]:
    end = START + _height(where["base"]) + 0.05 - learned
    made = [("whole", None, 1.0), *((which, rank, share) for which, shares in CUTS.items() for rank, share in shares.items())]
    found: list[dict[str, Any]] = []
    for directions, rank, kept in made:
        row = {**where, "phase": "cut", "directions": directions, "cut": rank}
        loss = end + learned * (1 - kept) + SPREAD * deviation(where["seed"]) * (directions == "best")
        apart = APART * (np.arange(GROUPS) - (GROUPS - 1) / 2) * (directions == "best")
        found.append({**row, "metric": "target_loss", "value": loss})
        found += [{**row, "metric": "document_loss", "document": group, "value": each} for group, each in enumerate(loss + apart)]
    return found


def _alike(where: dict[str, Any]) -> list[dict[str, Any]]:
    """Of two seeds of a base, more at the end; of full and LoRA, as much as of permuted ones."""
    found: list[dict[str, Any]] = []
    for pair, at, side in (
        ("full & another seed's", "equal", "outputs"),
        ("full & another seed's", "end", "inputs"),
        ("full & lora@2", "equal", "outputs"),
    ):
        for null, value in OVERLAPS.items():
            alike = OVERLAPS["permuted"] if pair.endswith("lora@2") and null == "none" else value
            row = {**where, "phase": "alike", "pair": pair, "at": at, "side": side, "dimension": 1, "null": null, "metric": "overlap"}
            found.append({**row, "value": alike + 0.1 * (at == "end") + 0.01 * deviation(where["seed"]) * (1 + (null == "none"))})
    return found


def _altered(where: dict[str, Any], learned: float, rise: float, more: float) -> list[dict[str, Any]]:
    """The whole way is curved, the source's rise as the square of what is left; what intruders do lies `more` beside it."""
    target, source = START + _height(where["base"]) + 0.05, SOURCE + _height(where["base"])
    made = [("all", alpha, alpha, rise * alpha**2) for alpha in ALPHAS]
    for factor, kept in KEEPS.items():
        beside = rise * float(np.interp(kept, ALPHAS, np.square(ALPHAS)))
        made.append(("intruders", factor, kept, beside + more + 0.01 * deviation(where["seed"])))
    found: list[dict[str, Any]] = []
    for what, factor, kept, risen in made:
        row = {**where, "phase": "altered", "scaled": what, "factor": factor}
        found += [
            {**row, "metric": "target_loss", "value": target - learned * kept},
            {**row, "metric": "source_loss", "value": source + risen},
        ]
    return found
