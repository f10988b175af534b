"""What a run says of transfer: findings from its records alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.transfer.arms import ABOVE, ARMS, BELOW, DONOR, MATCHED, OWN, RANDOM, SCRATCH, SHUFFLED, TUNED
from experiments.transfer.losses import ACCURACY, UNTOUCHED, Arm, Losses, read
from research.analysis import described
from research.analysis.comparisons import holm
from research.analysis.learning_rates import chosen
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

SLOPE = "slope"
ADJUSTED = "adjusted_p"
FACTS = {"depth": "1", "train_tokens": "tokens", "donor_tokens": "tokens", "unigram_loss": "bits/byte", "train_images": "1"}
CUTS = (SCRATCH, "BnB+", UNTOUCHED.format(OWN))  # what frozen blocks of B are compared with
PARTS = (BELOW, ABOVE, "AnB+", "AnB")  # of tuning all of A, so much is kept by each


class Compared(NamedTuple):
    """A weighted sum of arms' losses, and its coordinates."""

    where: Mapping[str, Any]
    weights: Mapping[Arm, float]


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns each arm's loss on the target, and its differences from the arms that control for it, by number of blocks.

    Behind each family of differences stand its p values, adjusted for their number (`comparisons.holm`).
    """
    own = read(results)
    found = [*described.base(results), *described.window(results, {}), *_facts(results), *chosen(results, {"arm": "arm", "split": "split"})]
    if not own.arms:
        return found
    found += [f for share in own.shares for f in _losses(own.at(share), share)]
    found += [f._replace(name="transfer_accuracy") for f in _losses(read(results, ACCURACY), 1.0)]
    return [*found, *_by_blocks(own, _depth(found)), *_cut(own), *_gains(own), *_kept(own)]


def _facts(results: pd.DataFrame) -> Iterator[Finding]:
    for metric, unit in FACTS.items():
        for value in rows(results, phase="reference", metric=metric)["value"].head(1):
            yield finding(metric, {}, Estimate(float(value), None, None, 1, "of the run"), unit)
    for row in rows(results, metric="target").head(1).itertuples():
        yield finding("target", {}, Estimate(1.0, None, None, 1, "set by the config", str(row.note)), "count")


def _depth(found: Sequence[Finding]) -> float:
    return next((f.value for f in found if f.name == "depth" and f.value is not None), np.inf)


def _losses(own: Losses, share: float) -> Iterator[Finding]:
    for name, n in own.arms:
        yield finding("transfer_loss", {"arm": name, "n": n, "share": share}, own.mean({(name, n): 1.0}), own.unit)


def _family(own: Losses, name: str, compared: Sequence[Compared]) -> Iterator[Finding]:
    """The differences of a family, and their p values, adjusted for their number."""
    there = [each for each in compared if set(each.weights) <= set(own.arms)]
    for each in there:
        unit = f"{own.unit} a block" if each.where["n"] == SLOPE else own.unit
        yield finding(name, each.where, own.mean(each.weights), unit)
    known = [(each, p) for each in there if (p := own.p_value(each.weights)) is not None]
    said = f"p value, two-sided, of {len(known)}, by Holm (1979)"
    for (each, p), adjusted in zip(known, holm([p for _, p in known]) if known else (), strict=True):
        where = {"of": name, **each.where}
        yield finding(ADJUSTED, where, Estimate(float(adjusted), None, None, len(own.values), said, f"{p:.3g} alone"), "1")


def _less(arm: Arm, other: Arm, **where: Any) -> Compared:
    return Compared({**where, "n": arm[1]}, {arm: 1.0, other: -1.0})


def _by_blocks(own: Losses, depth: float) -> Iterator[Finding]:
    """What is special to A and what its blocks are worth, at each number of blocks, and a line through those with blocks behind them.

    Where all blocks are copied, the head alone is trained, which is another thing. The line of random blocks beside B's is the null of
    A's: the fewer weights are trained, the more any difference counts.
    """
    for name, arm, beside, more in (
        ("specificity", "AnB", "BnB", {}),
        ("null_specificity", RANDOM, "BnB", {}),
        ("features", "AnB", RANDOM, {"beside": RANDOM}),
        ("features", "AnB", SHUFFLED, {"beside": SHUFFLED}),
    ):
        shared = [n for n in own.blocks(arm) if (beside, n) in own.arms]
        behind = np.array([n for n in shared if n < depth], float)
        compared = [_less((arm, n), (beside, n), **more) for n in shared]
        if len(behind) > 1 and name != "features":
            slope = (behind - behind.mean()) / ((behind - behind.mean()) ** 2).sum()
            signs, pairs = ((arm, 1.0), (beside, -1.0)), list(zip(behind, slope, strict=True))
            compared.append(Compared({**more, "n": SLOPE}, {(a, int(n)): sign * float(w) for n, w in pairs for a, sign in signs}))
        yield from _family(own, name, compared)
    for n in own.blocks("AnB"):
        if {("AnB", n), ("BnB", n), (RANDOM, n)} <= set(own.arms) and n < depth:
            share = own.share({("AnB", n): 1.0, ("BnB", n): -1.0}, {(RANDOM, n): 1.0, ("BnB", n): -1.0})
            yield finding("specificity_share", {"n": n}, share, "1")


def _cut(own: Losses) -> Iterator[Finding]:
    """B's own blocks, frozen: beside training whole, beside tuning them, beside B as it is; and whether a cut in the middle costs most.

    The latter, worse than at either end, is Yosinski's mark of co-adaptation.
    """
    there = own.blocks("BnB")
    for beside in CUTS:
        of = {n: (beside, n if ARMS.get(beside, ARMS[SCRATCH]).has_blocks else None) for n in there}
        yield from _family(own, "coadaptation", [_less(("BnB", n), of[n], beside=beside) for n in there])
    ends = {"first": there[0], "last": there[-1]} if len(there) > 2 else {}
    yield from _family(own, "dip", [_less(("BnB", n), ("BnB", end), beside=said) for n in there[1:-1] for said, end in ends.items()])


def _gains(own: Losses) -> Iterator[Finding]:
    """What copying brings beside training from scratch: in as many steps, and in as many as the donor and the arm took together."""
    names = dict.fromkeys(name for name, _ in own.arms if name in ARMS and name not in (SCRATCH, MATCHED))
    for beside in (SCRATCH, MATCHED):
        for name in (*names, *(UNTOUCHED.format(donor) for donor in (DONOR, OWN))):
            yield from _contrasts(own, [(name, n) for arm, n in own.arms if arm == name], beside)


def _kept(own: Losses) -> Iterator[Finding]:
    """What each way of tuning less, or of copying less, loses beside tuning all that was copied, and how much of the gain it keeps."""
    for name in PARTS:
        yield from _contrasts(own, [(name, n) for n in own.blocks(name)], TUNED)
        for n in own.blocks(name):
            if {(SCRATCH, None), (TUNED, None)} <= set(own.arms):
                gain = own.share({(SCRATCH, None): 1.0, (name, n): -1.0}, {(SCRATCH, None): 1.0, (TUNED, None): -1.0})
                yield finding("gain_share", {"arm": name, "n": n}, gain, "1")
    pairs = [_less((BELOW, n), (ABOVE, n), what="transfer_loss", between=f"{BELOW} - {ABOVE}") for n in own.blocks(BELOW)]
    yield from _family(own, "contrast", pairs)


def _contrasts(own: Losses, arms: Sequence[Arm], beside: str) -> Iterator[Finding]:
    yield from _family(own, "contrast", [_less(arm, (beside, None), what="transfer_loss", between=f"{arm[0]} - {beside}") for arm in arms])
