"""The way of each arm from step to step: bits of new facts, its style, what is left of known facts; from the records alone."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.analysis.pareto import at_level
from research.analysis.tables import rows

STYLE, FACTS, MIXED, CONFLICT, KNOWN = "style", "facts", "mixed", "conflict", "known"
FULL = "full"
NEARLY = 0.9  # of the end, where a way counts as gone
GROUP = "old_group_bits"


class Taught(NamedTuple):
    """An arm: its word, what is taught and how."""

    word: str
    lesson: str
    kind: str
    entities: int
    paraphrases: int
    how: str

    @property
    def where(self) -> dict[str, Any]:
        """Returns the coordinates of a finding about it."""
        return {"arm": self.lesson, "how": self.how}

    @property
    def learns(self) -> bool:
        """Returns whether it is taught facts that the base does not know."""
        return self.kind in (FACTS, MIXED, CONFLICT)


def arms(results: pd.DataFrame) -> list[Taught]:
    """Returns the arms that were read, in the order of their records."""
    own = rows(results, phase="recall")
    own = own.drop_duplicates("arm") if len(own) else own
    return [Taught(str(x.arm), str(x.lesson), str(x.kind), int(x.entities), int(x.paraphrases), str(x.how)) for x in own.itertuples()]


def ways(results: pd.DataFrame, metric: str) -> dict[str, pd.DataFrame]:
    """Returns by arm what a metric read, a row for each seed and a column for each step, null where a run diverged."""
    own = rows(results, phase="recall", metric=metric)
    found = {}
    for arm, some in own.groupby("arm", sort=False) if len(own) else ():
        found[str(arm)] = some.pivot_table(index="seed", columns="step", values="value", dropna=False).sort_index(axis=1)
    return found


def ends(results: pd.DataFrame, metric: str) -> dict[str, pd.Series]:
    """Returns by arm what a metric read at the last step, by seed."""
    return {arm: way.iloc[:, -1] for arm, way in ways(results, metric).items()}


def untouched(results: pd.DataFrame, metric: str) -> pd.Series:
    """Returns what a metric read of the bases before any training, by seed."""
    return rows(results, phase="reference", metric=metric).set_index("seed")["value"]


def bases(results: pd.DataFrame) -> pd.Series:
    """Returns the base of each seed."""
    own = rows(results, phase="recall")
    return own.groupby("seed")["base"].first() if len(own) else pd.Series(dtype=float)


def groups(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Returns by arm the change of what is left of known facts at the end, a row for each seed, a column for each group of entities."""
    start = rows(results, phase="reference", metric=GROUP)
    own = rows(results, phase="recall", metric=GROUP)
    if start.empty or own.empty:
        return {}
    before = start.pivot_table(index="seed", columns="document", values="value")
    tables = {str(arm): some.pivot_table(index="seed", columns="document", values="value") for arm, some in own.groupby("arm", sort=False)}
    return {arm: table - before.loc[table.index] for arm, table in tables.items()}


def steps_to(way: pd.DataFrame, start: float = 0.0) -> pd.Series:
    """Returns by seed the step at which a way that begins at `start` first has gone nearly all of its way up, linear between readings.

    Null where it ends no higher than it began.
    """

    def one(values: np.ndarray) -> float:
        level = start + NEARLY * (values[-1] - start)
        if not np.isfinite(level) or level <= start:
            return float("nan")
        return at_level(-np.append(start, values), np.append(0, way.columns.to_numpy(float)), -level)

    return pd.Series({seed: one(values.to_numpy(float)) for seed, values in way.iterrows()}, dtype=float)


def at_bits(bits: pd.DataFrame, other: pd.DataFrame, levels: Mapping[Any, float]) -> pd.Series:
    """Returns by seed what another metric read where the bits of new facts first reach a level of that seed's; null where they do not."""
    found = {}
    for seed, values in bits.iterrows():
        level = levels.get(seed, float("nan"))
        path = -values.to_numpy(float), other.loc[seed].to_numpy(float)
        found[seed] = at_level(*path, -level) if np.isfinite(level) else float("nan")
    return pd.Series(found, dtype=float)
