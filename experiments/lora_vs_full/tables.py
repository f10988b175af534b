"""Records as tables by arm, null, place and seed, and what is said of them over seeds."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from research.analysis.contrasts import contrast
from research.analysis.tables import rows
from research.findings import Estimate

FULL, NONE, NOISE, ROTATED = "full", "none", "noise", "rotated"
END = "end"
INTRUDERS, OTHERS, UPDATE = PARTS = "intruders", "others", "update"  # of a tuned matrix, each scaled alone
EQUAL_TARGET = "source_loss at equal target"


def arms(results: pd.DataFrame) -> list[str]:
    """Returns the arms that have results, in their order."""
    own = rows(results, phase="result")
    return list(dict.fromkeys(own["arm"])) if len(own) else []


def nulls(results: pd.DataFrame) -> list[str]:
    """Returns the nulls of full training that were trained."""
    own = rows(results, phase="null")
    return list(dict.fromkeys(own["null"])) if len(own) else []


def bases_of(results: pd.DataFrame) -> pd.Series:
    """Returns the base of each seed."""
    own = rows(results, phase="result")
    return own.groupby("seed")["base"].first() if len(own) else pd.Series(dtype=float)


def updates(results: pd.DataFrame, metric: str) -> Mapping[tuple[str, str, str], pd.Series]:
    """Returns a reading of updates, mean over the blocks' matrices, by seed: (arm, null, place) -> values.

    null: none; a null of full training; noise or rotated, which are made of the arm's own update.
    """
    own = rows(results, phase="update", metric=metric)
    if own.empty:
        return {}
    label = own["null"].where(own["like"] == "own", own["like"])
    kept = own[(own["like"] == "own") | (own["null"] == NONE)].assign(label=label)
    runs = kept.groupby(["arm", "label", "at", "seed"], sort=False)["value"].mean()
    return {(arm, null, at): some.droplevel([0, 1, 2]) for (arm, null, at), some in runs.groupby(level=[0, 1, 2], sort=False)}


def over(values: pd.Series, bases: pd.Series, **how: Any) -> Estimate:
    """Returns the mean over bases of values by seed; `how` as `contrast` takes it."""
    return contrast(values.to_numpy(float), bases.loc[values.index].to_numpy(), **how)


def paired(first: pd.Series, second: pd.Series) -> pd.Series:
    """Returns first less second for the seeds that both have."""
    both = first.index.intersection(second.index)
    return first.loc[both] - second.loc[both]
