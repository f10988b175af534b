"""What the source lost at equal loss on the target: each run is read where it reached what all that are compared reached."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from research.analysis.contrasts import contrast
from research.findings import Finding, finding

WHAT = ["arm", "trains", "rank"]
METRICS = ["validation_loss", "source_loss"]


def source_at_equal_loss(results: pd.DataFrame, target: str, init: str) -> Iterator[Finding]:
    """Yields the source loss of what was trained from an initialization, at the worst mean final validation loss among them.

    Each run's source loss is linear in its validation loss between the budgets, the untouched model being the first; a run that ends above
    that loss is continued as its last two budgets go. Beside each, its difference from training everything, paired by seed. Over seeds and
    bases alone: the source's documents are left out, and learning rates are each arm's own.
    """
    own = results[(results["target"] == target) & (results["init"] == init) & results["metric"].isin(METRICS)]
    runs = own[own["phase"] == "result"]
    if runs.empty:
        return
    runs = runs[runs["chosen_for"] == runs["chosen_for"].max()]
    start = own[own["phase"] == "reference"].pivot_table(index="seed", columns="metric", values="value")
    last = runs[(runs["step"] == runs["step"].max()) & (runs["metric"] == "validation_loss")]
    level = float(last.astype({"value": float}).groupby(WHAT, dropna=False)["value"].mean().max())
    bases = runs.groupby("seed")["base"].first().astype(int)
    read = {}
    for (arm, trains, rank), some in runs.groupby(WHAT, dropna=False, sort=False):
        what = (None if pd.isna(arm) else arm, trains, None if pd.isna(rank) else int(rank))
        read[what] = pd.Series({seed: _at(level, run, start.loc[seed]) for seed, run in some.groupby("seed")}, dtype=float)
    for (arm, trains, rank), values in read.items():
        where = {"target": target, "init": init, "arm": arm, "trains": trains, "rank": rank, "validation_bits": round(level, 3)}
        yield finding("source_at_equal_loss", where, contrast(values.to_numpy(), bases.loc[values.index].to_numpy()), "bits/byte")
        everything = read.get((None, "full", None))
        if everything is not None and trains != "full":
            difference = (values - everything).dropna()
            estimate = contrast(difference.to_numpy(), bases.loc[difference.index].to_numpy())
            words = f"rank {rank} - everything" if trains == "lora" else "same matrices - everything"
            where = {"of": "source loss at equal target loss", "between": words, "target": target, "init": init, "arm": arm, "rank": rank}
            yield finding("contrast", where, estimate, "bits/byte")


def _at(level: float, run: pd.DataFrame, start: pd.Series) -> float:
    """A run's source loss where its validation loss first is `level`; null where it, or the run, is not finite."""
    table = run.pivot(index="step", columns="metric", values="value").astype(float).sort_index()
    learned, lost = (np.append(start[name], table[name].to_numpy()) for name in METRICS)
    if not np.isfinite([learned, lost]).all():
        return float("nan")
    reached = np.flatnonzero(learned[1:] <= level)
    right = int(reached[0]) + 1 if reached.size else len(learned) - 1
    left = right - 1
    if learned[0] <= level:
        return float(lost[0])
    if learned[left] == learned[right]:
        return float(lost[right])
    share = (learned[left] - level) / (learned[left] - learned[right])
    return float(lost[left] + share * (lost[right] - lost[left]))
