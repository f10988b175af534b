"""What the source lost at equal loss on the target: each run is read where it reached what all that are compared reached."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from research.analysis.contrasts import contrast
from research.findings import Finding, finding

WHAT = ["arm", "trains", "rank"]
METRICS = ["validation_loss", "source_loss"]
What = tuple[str | None, str, int | None]


def source_at_equal_loss(results: pd.DataFrame, target: str, init: str) -> Iterator[Finding]:
    """Yields the source loss of what was trained from an initialization, where all of it has learned the target equally well.

    Seed by seed, at the worst final validation loss among what is compared, which every run of that seed has passed: its source loss is
    linear in its validation loss between budgets, the untouched model being the first; nothing where the end alone was read.
    Beside each, its difference from training everything, paired by seed. Over bases alone: the source's documents are left out, and
    learning rates are each arm's own.
    """
    own = results[(results["target"] == target) & (results["init"] == init) & results["metric"].isin(METRICS)]
    runs = own[own["phase"] == "result"]
    if runs.empty:
        return
    runs = runs[runs["chosen_for"] == runs["chosen_for"].max()]
    if runs["step"].nunique() < 2:  # from the untouched model to the end in one straight line: no path
        return
    start = own[own["phase"] == "reference"].pivot_table(index="seed", columns="metric", values="value").astype(float)
    paths = {key: _path(run, start.loc[key[-1]]) for key, run in runs.groupby([*WHAT, "seed"], dropna=False, sort=False)}
    levels = {seed: max(path[0, -1] for key, path in paths.items() if key[-1] == seed) for seed in dict.fromkeys(key[-1] for key in paths)}
    bases = runs.groupby("seed")["base"].first().astype(int)
    read: dict[What, pd.Series] = {}
    for (arm, trains, rank, seed), path in paths.items():
        what = (None if pd.isna(arm) else str(arm), str(trains), None if pd.isna(rank) else int(rank))
        read.setdefault(what, pd.Series(dtype=float))[seed] = _at(levels[seed], path)
    for (arm, trains, rank), values in read.items():
        where = {"target": target, "init": init, "arm": arm, "trains": trains, "rank": rank}
        level = round(float(np.nanmean(list(levels.values()))), 3)
        yield finding(
            "source_at_equal_loss",
            {**where, "validation_bits": level},
            contrast(values.to_numpy(), bases.loc[values.index].to_numpy()),
            "bits/byte",
        )
        everything = read.get((None, "full", None))
        if everything is not None and trains != "full":
            difference = (values - everything).dropna()
            estimate = contrast(difference.to_numpy(), bases.loc[difference.index].to_numpy())
            words = f"rank {rank} - everything" if trains == "lora" else "same matrices - everything"
            where = {"of": "source loss at equal target loss", "between": words, "target": target, "init": init, "arm": arm, "rank": rank}
            yield finding("contrast", where, estimate, "bits/byte")


def _path(run: pd.DataFrame, start: pd.Series) -> np.ndarray:
    """Validation and source loss of a run at its budgets, the untouched model first: (2, 1 + budgets)."""
    table = run.pivot(index="step", columns="metric", values="value").astype(float).sort_index()
    return np.stack([np.append(start[name], table[name].to_numpy()) for name in METRICS])


def _at(level: float, path: np.ndarray) -> float:
    """A run's source loss where its validation loss first is `level`, which it ends at or below; null where a loss is not finite."""
    learned, lost = path
    if not np.isfinite(path).all() or not np.isfinite(level):
        return float("nan")
    right = int((learned <= level).argmax())
    if right == 0 or learned[right - 1] == learned[right]:
        return float(lost[right])
    share = (learned[right - 1] - level) / (learned[right - 1] - learned[right])
    return float(lost[right - 1] + share * (lost[right] - lost[right - 1]))
