"""What a run says of transfer: findings from its records alone."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from experiments.transfer.arms import ABOVE, ARMS, BELOW, MATCHED, OWN, RANDOM, SCRATCH, TUNED
from experiments.transfer.losses import ACCURACY, UNTOUCHED, Arm, Losses, read
from research.analysis import described
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

SLOPE = "slope"
FACTS = {"depth": "1", "train_tokens": "tokens", "donor_tokens": "tokens", "unigram_loss": "bits/byte", "train_images": "1"}
BESIDE = {  # at one number of blocks: the finding, and the two arms whose difference it is
    "specificity": ("AnB", "BnB"),
    "features": ("AnB", RANDOM),
    "untuned": ("AnB", "AnB+"),
}


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns each arm's loss on the target, and its differences from the arms that control for it, by number of blocks."""
    own = read(results)
    found = [*described.base(results), *described.window(results, {}), *_facts(results), *_rates(results)]
    if not own.arms:
        return found
    found += [f for share in own.shares for f in _losses(own.at(share), share)]
    found += [f._replace(name="transfer_accuracy") for f in _losses(read(results, ACCURACY), 1.0)]
    return [*found, *_by_blocks(own), *_dip(own), *_gains(own), *_kept(own)]


def _facts(results: pd.DataFrame) -> Iterator[Finding]:
    for metric, unit in FACTS.items():
        for value in rows(results, phase="reference", metric=metric)["value"].head(1):
            yield finding(metric, {}, Estimate(float(value), None, None, 1, "of the run"), unit)
    for row in rows(results, metric="target").head(1).itertuples():
        yield finding("target", {}, Estimate(1.0, None, None, 1, "set by the config", str(row.note)), "count")


def _rates(results: pd.DataFrame) -> Iterator[Finding]:
    for row in rows(results, phase="choice", metric="best_learning_rate").itertuples():
        value, note = None if np.isnan(row.value) else float(row.value), row.note if isinstance(getattr(row, "note", None), str) else ""
        where = {"arm": row.arm, **({"split": int(row.split)} if pd.notna(getattr(row, "split", None)) else {})}
        yield finding("learning_rate", where, Estimate(value, None, None, 1, "best of a grid by selection seeds", note), "1")


def _losses(own: Losses, share: float) -> Iterator[Finding]:
    for name, n in own.arms:
        yield finding("transfer_loss", {"arm": name, "n": n, "share": share}, own.mean({(name, n): 1.0}), own.unit)


def _by_blocks(own: Losses) -> Iterator[Finding]:
    """Differences at each number of blocks, and how each changes from one to the next (its slope), over all of them."""
    for name, (arm, beside) in BESIDE.items():
        shared = [n for n in own.blocks(arm) if (beside, n) in own.arms]
        for n in shared:
            yield finding(name, {"n": n}, own.mean({(arm, n): 1.0, (beside, n): -1.0}), own.unit)
        if len(shared) > 1:
            weights = np.array(shared, float) - np.mean(shared)
            weights /= (weights**2).sum()
            signs = ((arm, 1), (beside, -1))
            line: dict[Arm, float] = {(a, n): float(sign * w) for n, w in zip(shared, weights, strict=True) for a, sign in signs}
            yield finding(name, {"n": SLOPE}, own.mean(line), f"{own.unit} a block")
    for n in own.blocks("BnB"):
        for beside, of in ((SCRATCH, None), ("BnB+", n), (UNTOUCHED.format(OWN), None)):
            if (beside, of) in own.arms:
                yield finding("coadaptation", {"n": n, "beside": beside}, own.mean({("BnB", n): 1.0, (beside, of): -1.0}), own.unit)


def _dip(own: Losses) -> Iterator[Finding]:
    """How much worse B's own blocks are, frozen, when cut in the middle than at either end: Yosinski's mark of co-adaptation."""
    for arm in ("BnB", "AnB"):
        there = own.blocks(arm)
        for n, end in itertools.product(there[1:-1], (there[0], there[-1]) if len(there) > 2 else ()):
            where = {"arm": arm, "n": n, "beside": "first" if end == there[0] else "last"}
            yield finding("dip", where, own.mean({(arm, n): 1.0, (arm, end): -1.0}), own.unit)


def _gains(own: Losses) -> Iterator[Finding]:
    """What copying brings beside training from scratch: in as many steps, and in as many as the donor and the arm took together."""
    for name, n in own.arms:
        if name in (SCRATCH, MATCHED) or name not in ARMS:
            continue
        for beside in (SCRATCH, MATCHED):
            if (beside, None) in own.arms:
                yield _contrast(own, (name, n), (beside, None))


def _kept(own: Losses) -> Iterator[Finding]:
    """What each way of tuning less, or of copying less, loses beside tuning all that was copied."""
    for name, n in own.arms:
        if (TUNED, None) in own.arms and (name in (BELOW, ABOVE, "AnB+")):
            yield _contrast(own, (name, n), (TUNED, None))
    for n in own.blocks(BELOW):
        if (ABOVE, n) in own.arms:
            yield _contrast(own, (BELOW, n), (ABOVE, n))


def _contrast(own: Losses, arm: tuple[str, Any], beside: tuple[str, Any]) -> Finding:
    where: Mapping[str, Any] = {"what": "transfer_loss", "between": f"{arm[0]} - {beside[0]}", "n": arm[1]}
    return finding("contrast", where, own.mean({arm: 1.0, beside: -1.0}), own.unit)
