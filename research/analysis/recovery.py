"""Quality against rank: what share of full training a rank recovers, and the rank or the steps that a loss needs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from research.analysis.intervals import Samples, difference_interval, join_notes, t_interval
from research.analysis.inversion import crossing, invert, isotonic_curve
from research.findings import Estimate

__all__ = [
    "definitions",
    "guard",
    "headroom",
    "invert",
    "isotonic_curve",
    "r90",
    "rank_needed",
    "recovered",
    "relative_r90",
    "sensitivity",
    "shared_targets",
    "start_loss",
    "steps_needed",
]

LEAST_HEADROOM = 0.1
DEFINITION_COLUMNS = ["start", "reference", "metric", "rank", "value", "low", "high", "n", "method", "note"]
LEVEL = 0.9
# What may have been chosen a little otherwise: what is added to the reference's loss (bits/byte), and the share that counts.
CHANGES = {
    "reference 0.01 bits better": (-0.01, LEVEL),
    "reference 0.01 bits worse": (0.01, LEVEL),
    "level 0.85": (0.0, 0.85),
    "level 0.95": (0.0, 0.95),
}
SENSITIVITY_COLUMNS = ["changed", *Estimate._fields]


def start_loss(untouched: np.ndarray | float, unigram: float) -> np.ndarray:
    """Returns L0, the loss a fine-tune starts from: min(untouched, unigram), bits/byte.

    Un-learning a miscalibrated start down to the unigram entropy takes no structure of the target and is not counted as a gain.
    """
    return np.minimum(untouched, unigram)


def recovered(start: np.ndarray | float, reached: np.ndarray, full: np.ndarray | float) -> np.ndarray:
    """Returns (L0 - L_r) / (L0 - L_full), the share of full training's gain that was reached; arguments broadcast, bits/byte."""
    start, reached, full = (np.asarray(losses, dtype=float) for losses in (start, reached, full))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((start - reached) / (start - full))


def headroom(start: Samples, full: Samples) -> Estimate:
    """Returns L0 - L_full, paired over seeds (by index where both are Series, else by position), bits/byte."""
    return difference_interval(start, full, paired=True)


def guard(reading: Estimate, gain: Estimate, least: float = LEAST_HEADROOM) -> Estimate:
    """Returns `reading`, or null with a note where the interval of `gain` = L0 - L_full comes below `least` bits/byte.

    A share of next to nothing is noise. Without an interval (one seed) the gain itself is compared.
    """
    bound = gain.low if gain.low is not None else gain.value
    if bound is not None and bound >= least:
        return reading
    interval = "" if gain.low is None else f" [{gain.low:#.3g}, {gain.high:#.3g}]"
    shown = "unknown" if gain.value is None else f"{gain.value:#.3g}{interval}"
    note = f"undefined: full training gains {shown} bits, not clearly above {least:g}"
    return Estimate(None, None, None, reading.n, reading.method, join_notes(note, gain.note))


def r90(ranks: np.ndarray, recovered_by_seed: np.ndarray, level: float = LEVEL) -> Estimate:
    """Returns the rank at which `level` of full training's gain is recovered, from `recovered_by_seed` (seeds, ranks).

    Value and interval as in `research/analysis/inversion.py`; censored answers are None with the note "not reached ..." or
    "at or below the smallest rank ...". Where the answer lies outside the ranks tried, the bound that is known is still given. With a
    column of rank 0 (what is reached without a trained adapter) the answer may be 0.
    """
    return crossing(ranks, recovered_by_seed, level)


def relative_r90(ranks: np.ndarray, start: np.ndarray, reached: np.ndarray, full: np.ndarray, level: float = LEVEL) -> Estimate:
    """Returns the guarded r90 of `reached` (seeds, ranks) between `start` and `full` (seeds,), losses in bits/byte, paired by seed."""
    start, full = np.asarray(start, dtype=float), np.asarray(full, dtype=float)
    shares = recovered(start[:, None], reached, full[:, None])
    return guard(r90(ranks, shares, level), headroom(start, full))


def sensitivity(ranks: np.ndarray, start: np.ndarray, reached: np.ndarray, full: np.ndarray) -> pd.DataFrame:
    """Returns `relative_r90` with one choice changed at a time, a row for each of `CHANGES`; losses as there.

    Columns changed, value, low, high, n, method, note.
    """
    full = np.asarray(full, dtype=float)
    rows = [(changed, *relative_r90(ranks, start, reached, full + bits, level)) for changed, (bits, level) in CHANGES.items()]
    return pd.DataFrame(rows, columns=SENSITIVITY_COLUMNS)


def rank_needed(ranks: np.ndarray, losses_by_seed: np.ndarray, target: float) -> Estimate:
    """Returns the rank at which losses (seeds, ranks) fall to `target`; value, interval and censoring as for `r90`."""
    return crossing(ranks, -np.asarray(losses_by_seed, dtype=float), -target)


def steps_needed(steps: np.ndarray, losses_by_seed: np.ndarray, target: float) -> Estimate:
    """Returns the steps after which losses (seeds, steps) fall to `target`; value, interval and censoring as for `r90`.

    A learning curve that rises again (overfitting) is read by its monotone fit. Budgets are comparable only under one constant learning
    rate.
    """
    return crossing(steps, -np.asarray(losses_by_seed, dtype=float), -target, what="step")


def shared_targets(losses: Mapping[str, np.ndarray], unigram: float) -> dict[str, float]:
    """Returns named losses that every init reaches at some budget, hardest first, bits/byte.

    `losses` holds per init all losses (means over seeds, any shape) that its arms reach. "worst_best" is the best loss of the init whose
    best is worst, so by construction all reach it, that one only just; "halfway" lies between it and the unigram entropy, where all have
    an interval. A target at or above the unigram entropy asks for no structure, so "halfway" is absent then. No init: empty.
    """
    best = [float(np.nanmin(values)) for values in losses.values() if np.isfinite(values).any()]
    if not best or len(best) < len(losses):
        return {}
    hardest = max(best)
    return {"worst_best": hardest, "halfway": (hardest + unigram) / 2} if hardest < unigram else {"worst_best": hardest}


def definitions(
    ranks: np.ndarray, reached: np.ndarray, starts: Mapping[str, np.ndarray | float], references: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Returns r90 and the share recovered at each rank under every pair of start and reference, one row each.

    `reached` is (seeds, ranks); `starts` such as {"untouched": (seeds,), "unigram": number, "min": (seeds,)} and `references` such as
    {"full": (seeds,), "matched": (seeds,)} are losses in bits/byte in the same order of seeds. Columns start, reference, metric
    ("r90" | "recovered"), rank (null for r90), value, low, high, n, method, note. Each row is guarded as `relative_r90` is.
    """
    rows: list[tuple] = []
    for start, start_losses in starts.items():
        first = np.broadcast_to(np.asarray(start_losses, dtype=float), (len(reached),))
        for reference, full in references.items():
            gain, shares = headroom(first, full), recovered(first[:, None], reached, np.asarray(full, dtype=float)[:, None])
            rows.append((start, reference, "r90", None, *guard(r90(ranks, shares), gain)))
            for rank, share in zip(ranks, shares.T, strict=True):
                rows.append((start, reference, "recovered", int(rank), *guard(t_interval(share), gain)))
    return pd.DataFrame(rows, columns=DEFINITION_COLUMNS)
