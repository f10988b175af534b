"""Records of forgetting with planted ways: of each arm, what share of what full learns it learns, and what rise it ends with."""

from typing import Any

import numpy as np
import pandas as pd

SOURCE, TARGET, LEARNED = 2.0, 4.0, 2.0  # the untouched losses, and what full learns of the target
BUDGETS = {10: 0.25, 20: 0.5, 40: 1.0}  # of the way, which is straight in the plane of both losses
SHARES = (0.4, 0.8)  # of what full learns, where methods are compared
SHARE = SHARES[-1]
UNIGRAM = 2.45  # beside the source's loss of 2.15 before training, on the mean
SPREAD, APART, FIRST_APART = 0.02, 0.3, 0.02  # of rises over bases and over groups of documents, LoRA's alone
ALPHAS = (0.25, 0.5, 0.75)
GROUPS, FIRST = 10, 9  # of documents, and how many of them lie in the first chunk

RANKS = {"full": 30.0, "lora@2": 2.0, "lora@8": 6.0, "top@1": 20.0, "replay@5": 32.0, "slow@0.1": 25.0}  # of updates
NOISE_RANK, RANK_SPREAD = 40.0, 0.5  # over bases, LoRA's alone

LEARNS = {"full": 1.0, "lora@2": 0.9, "lora@8": 0.95, "top@1": 0.85, "replay@5": 1.0, "slow@0.1": 0.5}
RISES = {"full": 0.6, "lora@2": 0.3, "lora@8": 0.45, "top@1": 0.9, "replay@5": 0.1, "slow@0.1": 0.2}


def records(rises: dict[str, float] | None = None, seeds: int = 3) -> pd.DataFrame:
    """Returns the records of a run in which arms end with RISES, but for what `rises` says otherwise."""
    found: list[dict[str, Any]] = []
    found += [{"phase": "reference", "step": 0, "metric": "equal_at", "value": share, "level": i} for i, share in enumerate(SHARES)]
    for metric, value in (("source_unigram", UNIGRAM), ("target", 1.0), ("window", 64.0), ("noise_rank", NOISE_RANK)):
        found.append({"phase": "reference", "step": 0, "metric": metric, "value": value, "note": "a text" if metric == "target" else None})
    found += [{"phase": "reference", "step": 0, "metric": "document_bytes", "document": group, "value": 2000.0} for group in range(GROUPS)]
    found += [{"phase": "reference", "step": 0, "metric": "budget_document_bytes", "document": i, "value": 1500.0} for i in range(FIRST)]
    for seed in range(seeds):
        start = {"phase": "reference", "seed": seed, "base": seed, "step": 0}
        found += [*_reading(start, seed, 0.0, 0.0, last=True), *_by_document(start, seed, 0.0, 0.0)]
        for arm, rise in {**RISES, **(rises or {})}.items():
            found += _run(arm, rise, seed)
    return pd.DataFrame(found).assign(experiment="forgetting", unit="bits/byte")


def is_lora(arm: str) -> bool:
    """Returns whether the rises of an arm differ between bases and documents."""
    return arm.startswith("lora")


def _run(arm: str, rise: float, seed: int) -> list[dict[str, Any]]:
    method, _, strength = arm.partition("@")
    own = {"arm": arm, "method": method, "strength": float(strength) if strength else None, "seed": seed, "base": seed}
    rise += SPREAD * (seed - 1) * is_lora(arm)
    found: list[dict[str, Any]] = []
    for step, way in BUDGETS.items():
        learned, lost = LEARNED * LEARNS[arm] * way, rise * way
        spread = APART * is_lora(arm)
        found += _reading({**own, "phase": "result", "step": step}, seed, learned, lost, last=step == 40, apart=spread)
        found += _by_document({**own, "phase": "result", "step": step}, seed, lost, FIRST_APART * is_lora(arm) * way)
        if step >= 20:
            found += _kept({**own, "step": step}, seed, learned, lost)
        if step == 40:
            rank = RANKS[arm] + RANK_SPREAD * (seed - 1) * is_lora(arm)
            found.append({**own, "phase": "kept", "step": step, "metric": "energy_rank", "value": rank})
    for alpha in ALPHAS if arm == "full" else ():
        between = {**own, "arm": f"wise@{alpha}", "method": "wise", "strength": alpha, "step": 40}
        found += _kept(between, seed, LEARNED * alpha, rise * alpha**2)
        found += _by_document({**between, "phase": "kept"}, seed, rise * alpha**2, 0.0)
    return found


def _reading(where: dict[str, Any], seed: int, learned: float, lost: float, last: bool, apart: float = 0.0) -> list[dict[str, Any]]:
    now = {"target": TARGET + 0.2 * seed - learned, "source": SOURCE + 0.1 * seed + lost}
    found = [{**where, "metric": f"budget_{text}", "value": value} for text, value in now.items()]
    if last:  # the whole part reads a little more than its beginning
        found += [{**where, "metric": f"{text}_loss", "value": value + 0.05} for text, value in now.items()]
        values = now["source"] + 0.05 + apart * (np.arange(GROUPS) - (GROUPS - 1) / 2)
        found += [{**where, "metric": "document_loss", "document": group, "value": value} for group, value in enumerate(values)]
    return found


def _by_document(where: dict[str, Any], seed: int, lost: float, apart: float) -> list[dict[str, Any]]:
    """Rises of the first chunk's groups of documents, which are apart by so much from one to the next."""
    values = SOURCE + 0.1 * seed + lost + apart * (np.arange(FIRST) - (FIRST - 1) / 2)
    return [{**where, "metric": "budget_document", "document": group, "value": value} for group, value in enumerate(values)]


def _kept(where: dict[str, Any], seed: int, learned: float, lost: float) -> list[dict[str, Any]]:
    """One curve of the divergence on the target for all; on the source, each method is at a height of its own; distance says nothing."""
    height = 1 + list(dict.fromkeys([*(arm.partition("@")[0] for arm in RISES), "wise"])).index(where["method"]) ** 2
    far = {"kl_target": lost**2, "kl_source": height * lost, "distance": 1 + (7 * where["step"] + 3 * seed) % 5}
    now = {"budget_target": TARGET + 0.2 * seed - learned, "budget_source": SOURCE + 0.1 * seed + lost}
    return [{**where, "phase": "kept", "metric": metric, "value": value} for metric, value in {**now, **far}.items()]
