"""Records of LoRA beside full training in which everything that is read is planted, otherwise at each of two shares and at the end."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

BASES = 3
START, SOURCE, LEARNED = 4.0, 2.0, 2.0  # untouched losses, and what full learns of the target
HIGHER = 0.2  # by how much each base's losses lie above those of the one before
SHARES = {"0.5": 0.5, "0.8": 0.8}
LAST = "0.8"
WAY = {10: 0.25, 20: 0.5, 30: 0.75, 40: 1.0}  # of what each arm learns
LEARNS = {"full": 2.0, "slow@0.1": 1.2, "lora@2": 1.8, "lora@8": 3.0}
# Of 1.0 and of 1.6 bits: slow comes down to the first alone; lora@8 has learned 0.75 at 10, nearer to 1.0 than 1.5.
AT = {"0.5": {"full": 20, "slow@0.1": 30, "lora@2": 20, "lora@8": 10}, "0.8": {"full": 30, "lora@2": 40, "lora@8": 20}}
AT["end"] = dict.fromkeys(LEARNS, 40)
GROWN = {"0.5": 1.0, "0.8": 1.5, "end": 2.0}  # what all readings of updates are multiplied with
RISES = {"full": 0.6, "slow@0.1": 0.1, "lora@2": 0.3, "lora@8": 0.4}
ADAPTERS = {"lora@2": 2, "lora@8": 8}
FPR = {0.1: 0.0, 0.3: 0.2, 1.0: 0.8}
GROUNDS = {"flat": 0.1, "power": 0.05, "base": 0.0}  # how much more is called an intruder there
COMMON, OWN = 2.0, {"full": 0.3, "slow@0.1": 0.6, "lora@2": 0.6, "lora@8": 0.6}  # of readings over bases: of all, of an update's own
MATRICES = {"layers_0/attention/query": -3.0, "layers_0/mlp/up": -1.0, "layers_1/attention/query": 1.0, "layers_1/mlp/up": 3.0}
RANKS = {("full", "none"): 20.0, ("full", "noise"): 40.0, ("full", "shuffled"): 30.0, ("full", "source"): 25.0}
RANKS |= {(arm, null): rank for arm in ("slow@0.1", "lora@2", "lora@8") for null, rank in (("none", 5.0), ("noise", 40.0))}
INTRUDERS = {("full", "none"): 4.0, ("full", "noise"): 6.0, ("full", "rotated"): 5.0, ("full", "shuffled"): 7.0, ("full", "source"): 4.5}
INTRUDERS |= {(arm, null): 6.0 for arm in ("slow@0.1", "lora@2", "lora@8") for null in ("none", "noise", "rotated")}
# lora@2 has more intruders than full and than its own null, lora@8 fewer than either, and full as many as its null has.
OTHERWISE = {
    ("full", "rotated"): 4.0,
    ("lora@2", "none"): 6.0,
    ("lora@2", "rotated"): 2.0,
    ("lora@8", "none"): 2.0,
    ("lora@8", "rotated"): 5.0,
}
NORMS = {"relative_norm": 0.28, "strength": 0.5, "stable_rank": 3.0}
CUTS = {"best": {1: 0.5, 4: 0.9, 8: 0.96}, "random": {1: 0.1, 4: 0.4, 8: 0.9}}  # shares of the gain that are kept
GROUPS, APART, SPREAD = 10, 0.3, 0.02  # of cut updates' losses, over groups of documents and over bases
ALPHAS = (0.25, 0.5, 0.75)
KEEPS = {0.25: 0.375, 0.5: 0.5}  # by factor, of what an arm learned with its intruders scaled
MORE = {"full": 0.0, "lora@2": -0.1, "lora@8": 0.1}  # bits lost of the source with intruders scaled, beside everything scaled to one loss
PARTS = {"intruders": (0.0, 0.01), "others": (0.08, 0.03), "update": (-0.2, 0.02)}  # bits lost beside that, and their spread over bases
NULLS = {"shuffled": (0.5, 0.25), "source": (0.125, -0.125)}  # by how much both losses rise in nulls of full
PAIRS = {
    "full & another seed's": 0.6,
    "lora@2 & another seed's": 0.5,
    "full & lora@2": 0.1,  # as much as of permuted ones
    "full & lora@8": 0.4,
    "lora@2 & lora@8": 0.3,
}  # of outputs at the first share; inputs have more in common
PERMUTED, EXPECTED = 0.1, 0.05
SIZE = 16  # of the matrices whose spectra are planted
Planted = Mapping[tuple[str, ...], float]  # by arm and null, and by place where it is of that place alone


def records(
    ranks: Planted | None = None,
    intruders: Planted | None = None,
    learns: Mapping[str, float] | None = None,
    more: Mapping[str, float] | None = None,
    others: float = PARTS["others"][0],
    bases: int = BASES,
) -> pd.DataFrame:
    """Returns the records of a run with these numbers in the place of those above; two seeds a base, of which the first are read."""
    learned, found = {**LEARNS, **(learns or {})}, [*_references(bases), *_detected()]
    for seed, (arm, bits) in product(range(2 * bases), learned.items()):
        if arm.startswith("slow") and seed >= bases:
            continue
        found += _run({"seed": seed, "base": seed % bases, "phase": "result", "arm": arm, "null": "none"}, bits, RISES[arm])
    for seed in range(bases):
        where = {"seed": seed, "base": seed}
        for null, step in product(("shuffled", "source"), WAY):
            found.append({**where, "phase": "null", "arm": "full", "null": null, "step": step, "metric": "train_loss", "value": 1.0})
        for at in AT:
            found += _updates({**where, "at": at}, {**RANKS, **(ranks or {})}, {**INTRUDERS, **(intruders or {})})
        for at in (LAST, "end"):
            found += _alike({**where, "at": at})
        found += _spectra(where)
        for arm, bits in {**MORE, **(more or {})}.items():
            for at in (LAST, "end"):
                found += _cut({**where, "arm": arm, "at": at}, learned[arm] * WAY[AT[at][arm]])
            lost = {part: (bits + (others if part == "others" else beside), far) for part, (beside, far) in PARTS.items()}
            found += _altered({**where, "arm": arm, "null": "none", "at": "end"}, learned[arm], RISES[arm], lost)
        found += _whole({**where, "arm": "full", "at": "end", "phase": "altered", "scaled": "whole", "factor": 1.0})
    return pd.DataFrame(found).assign(experiment="lora_vs_full", cell="", unit="1")


def only(*phases: str) -> pd.DataFrame:
    """Returns the records of these phases: the fewer, the quicker they are read."""
    own = records()
    return own[own["phase"].isin(phases)].copy()


def two_arms() -> pd.DataFrame:
    """Returns the records of full and lora@2 at one share and at the end, for tests that read many frames."""
    own = only("reference", "choice", "result", "null", "update", "alike", "cut", "altered")
    alone = own["pair"].isna() | (own["pair"] == "full & lora@2")
    return own[(own["arm"].isna() | own["arm"].isin(["full", "lora@2"])) & alone & (own["at"] != "0.5")]


def deviation(seed: int) -> int:
    """Returns how far a base's readings lie from the mean, in spreads."""
    return seed - 1


def _references(bases: int) -> Iterator[dict[str, Any]]:
    own = {"phase": "reference", "step": 0}
    for level, share in enumerate(SHARES.values()):
        yield {**own, "metric": "equal_at", "value": share, "level": level}
    yield {**own, "metric": "window", "value": 64.0}
    yield {**own, "metric": "target", "value": 1.0, "note": "a text"}
    for group in range(GROUPS):
        yield {**own, "metric": "document_bytes", "document": group, "value": 2000.0}
    for seed in range(2 * bases):
        far = HIGHER * (seed % bases)
        losses = {"budget_target": START + far, "target_loss": START + far + 0.05, "source_loss": SOURCE + far}
        yield from ({**own, "seed": seed, "base": seed % bases, "metric": name, "value": value} for name, value in losses.items())
    for arm, note in (("full", ""), ("lora@2", "best at the largest learning rate tried: the optimum may lie beyond")):
        yield {"phase": "choice", "step": 40, "arm": arm, "metric": "best_learning_rate", "value": 1e-3, "note": note}


def _detected() -> Iterator[dict[str, Any]]:
    for (ground, more), (strength, rate), draw in product(GROUNDS.items(), FPR.items(), range(3)):
        where = {"phase": "reference", "step": 0, "ground": ground, "strength": strength, "metric": "detected", "draw": draw}
        for added, value in (("full", rate + more + 0.01 * (draw - 1)), ("rank 1", 1 - rate), ("rank 8", 0.5)):
            yield {**where, "added": added, "value": value}


def _run(own: dict[str, Any], learned: float, rise: float) -> Iterator[dict[str, Any]]:
    far = HIGHER * own["base"]
    for step, way in WAY.items():
        yield {**own, "step": step, "metric": "budget_target", "value": START + far - learned * way}
        yield {**own, "step": step, "metric": "train_loss", "value": 1.0}
    yield {**own, "step": 40, "metric": "target_loss", "value": START + far + 0.05 - learned}
    yield {**own, "step": 40, "metric": "source_loss", "value": SOURCE + far + rise}


def _updates(where: dict[str, Any], ranks: Planted, intruders: Planted) -> Iterator[dict[str, Any]]:
    """Readings of the arms that come down to a place, of matrices around the mean that is planted."""
    at, grown, far = where["at"], GROWN[where["at"]], deviation(where["seed"])
    for metric, planted in (("energy_rank", ranks), ("intruders", intruders)):
        for arm, null in (key for key in planted if len(key) == 2 and key[0] in AT[at]):
            value = grown * planted.get((arm, null, at), planted[arm, null]) + far * (COMMON + OWN[arm] * (null == "none"))
            yield from _matrices({**where, **_labels(arm, null), "metric": metric}, value)
    for arm in AT[at]:
        for null in ("none", "shuffled", "source")[: 3 if arm == "full" else 1]:
            for metric, value in NORMS.items():
                yield from _matrices({**where, **_labels(arm, null), "metric": metric}, grown * value + 0.01 * far, apart=0.01)
        for null, factor in (("none", 6.0), ("noise", 3.0)):
            here = factor ** GROWN[at] * np.exp(0.1 * far * (1 + (null == "none")))
            row = {**where, **_labels(arm, null), "phase": "update", "metric": "amplification"}
            yield from ({**row, "matrix": name, "value": here * 2**apart} for name, apart in MATRICES.items())


def _labels(arm: str, null: str) -> dict[str, str]:
    made = null in ("noise", "rotated")
    return {"arm": arm, "null": "none" if made else null, "like": null if made else "own"}


def _matrices(row: dict[str, Any], value: float, apart: float = 1.0) -> Iterator[dict[str, Any]]:
    return ({**row, "phase": "update", "matrix": name, "value": value + apart * far} for name, far in MATRICES.items())


def _spectra(where: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """At the largest share, of arms that come down to it and of full's nulls under their own names; an adapter's ends at its rank."""
    for arm in (*AT[LAST], "shuffled", "source"):
        kept = np.arange(1, SIZE + 1) <= ADAPTERS.get(arm, SIZE)
        values = np.where(kept, 0.6 * 0.9 ** np.arange(SIZE) + 0.001 * where["seed"], 1e-9)
        for null, spectrum in (("none", values), ("noise", 0.25 - 0.01 * np.arange(SIZE))):
            row = {**where, "phase": "spectrum", "arm": arm, "step": AT[LAST].get(arm, 30), "null": null, "metric": "singular_value"}
            yield from ({**row, "index": index, "value": float(value)} for index, value in enumerate(spectrum, start=1))


def _cut(where: dict[str, Any], learned: float) -> Iterator[dict[str, Any]]:
    end = START + HIGHER * where["base"] + 0.05 - learned
    made = [("whole", None, 1.0), *((which, rank, share) for which, shares in CUTS.items() for rank, share in shares.items())]
    for directions, rank, kept in made:
        if rank and rank >= ADAPTERS.get(where["arm"], SIZE):
            continue
        row = {**where, "phase": "cut", "directions": directions, "cut": rank}
        loss = end + learned * (1 - kept) + SPREAD * deviation(where["seed"]) * (directions == "best")
        apart = APART * (np.arange(GROUPS) - (GROUPS - 1) / 2) * (directions == "best")
        yield {**row, "metric": "target_loss", "value": loss}
        yield from ({**row, "metric": "document_loss", "document": i, "value": value} for i, value in enumerate(loss + apart))


def alike(pair: str, at: str, side: str = "outputs", size: int = 1) -> float:
    """Returns what is planted of what the leading subspaces of two updates have in common, mean over bases."""
    return PAIRS[pair] + 0.05 * GROWN[at] - 0.05 + 0.2 * (side == "inputs") + 0.02 * (size > 1)


def _alike(where: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for pair, side, size in product(PAIRS, ("inputs", "outputs"), (1, 4)):
        if size > 1 and "lora@2" in pair:
            continue
        row = {**where, "phase": "alike", "pair": pair, "side": side, "dimension": size, "metric": "overlap"}
        values = {"none": alike(pair, where["at"], side, size), "permuted": PERMUTED, "expected": EXPECTED}
        for null, value in values.items():
            yield {**row, "null": null, "value": value + 0.01 * deviation(where["seed"]) * (1 + (null == "none"))}


def _altered(where: dict[str, Any], learned: float, rise: float, lost: Mapping[str, tuple[float, float]]) -> Iterator[dict[str, Any]]:
    """The whole way is curved, the source's rise as the square of what is left; what parts do lies beside it by what they lose."""
    target, source = START + HIGHER * where["base"] + 0.05, SOURCE + HIGHER * where["base"]
    made = [("all", alpha, alpha, rise * alpha**2) for alpha in ALPHAS]
    for (factor, kept), (part, (more, spread)) in product(KEEPS.items(), lost.items()):
        beside = rise * float(np.interp(kept, ALPHAS, np.square(ALPHAS)))
        made.append((part, factor, kept, beside + more + spread * deviation(where["seed"])))
    for what, factor, kept, risen in made:
        row = {**where, "phase": "altered", "scaled": what, "factor": factor}
        yield {**row, "metric": "target_loss", "value": target - learned * kept}
        yield {**row, "metric": "source_loss", "value": source + risen}


def _whole(where: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What full's nulls did to both losses by their end."""
    far = HIGHER * where["base"]
    for null, (target, source) in NULLS.items():
        yield {**where, "null": null, "metric": "target_loss", "value": START + far + 0.05 + target}
        yield {**where, "null": null, "metric": "source_loss", "value": SOURCE + far + source + 0.01 * deviation(where["seed"])}
