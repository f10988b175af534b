"""The way of each arm from step to step: bits of new facts, its style, what is left of known facts; from the records alone."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.analysis.contrasts import contrast
from research.analysis.pareto import at_level
from research.analysis.tables import rows
from research.findings import Estimate

STYLE, FACTS, MIXED, CONFLICT, KNOWN, NOISE = "style", "facts", "mixed", "conflict", "known", "noise"
FULL = "full"
HALF = 0.5  # of a sure style, and of all bits of new facts: the level to which steps are counted, the same for all
GROUP = "old_group_bits"
BITS = 16.0  # of an entity


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


@dataclasses.dataclass(frozen=True, eq=False)
class Read:
    """The records of a run, by arm, seed and step; what was asked for once is kept."""

    results: pd.DataFrame

    @functools.cached_property
    def arms(self) -> list[Taught]:
        """Returns the arms that were read, in the order of their records."""
        own = rows(self.results, phase="recall")
        own = own.drop_duplicates("arm") if len(own) else own
        return [Taught(str(x.arm), str(x.lesson), str(x.kind), int(x.entities), int(x.paraphrases), str(x.how)) for x in own.itertuples()]

    @functools.cached_property
    def bases(self) -> pd.Series:
        """Returns the base of each seed."""
        own = rows(self.results, phase="recall")
        return own.groupby("seed")["base"].first() if len(own) else pd.Series(dtype=float)

    @functools.cached_property
    def groups(self) -> dict[str, pd.DataFrame]:
        """Returns by arm the change of what is left of known facts at the end, a row for each seed, a column for each group of entities."""
        start, own = (rows(self.results, phase=phase, metric=GROUP) for phase in ("reference", "recall"))
        if start.empty or own.empty:
            return {}
        before = start.pivot_table(index="seed", columns="document", values="value")
        tables = {
            str(arm): some.pivot_table(index="seed", columns="document", values="value") for arm, some in own.groupby("arm", sort=False)
        }
        return {arm: table - before.loc[table.index] for arm, table in tables.items()}

    @functools.cached_property
    def _tables(self) -> dict[tuple[str, str], pd.DataFrame]:
        """By metric and arm what was read, a row for each seed and a column for each step."""
        own = rows(self.results, phase="recall")
        if own.empty:
            return {}
        whole = own[own["metric"] != GROUP].set_index(["metric", "arm", "seed", "step"])["value"].unstack("step").sort_index(axis=1)
        return {(str(key[0]), str(key[1])): some.droplevel([0, 1]) for key, some in whole.groupby(level=[0, 1], sort=False)}

    def ways(self, metric: str) -> dict[str, pd.DataFrame]:
        """Returns by arm what a metric read, a row for each seed and a column for each step, null where a run diverged."""
        return {arm.word: self._tables[metric, arm.word] for arm in self.arms if (metric, arm.word) in self._tables}

    def ends(self, metric: str) -> dict[str, pd.Series]:
        """Returns by arm what a metric read at the last step, by seed."""
        return {arm: way.iloc[:, -1] for arm, way in self.ways(metric).items()}

    def untouched(self, metric: str, entities: int | None = None) -> pd.Series:
        """Returns what a metric read of the bases before any training, by seed; of so many new entities, or of the most."""
        own = rows(self.results, phase="reference", metric=metric, **({} if entities is None else {"entities": entities}))
        own = own.sort_values("entities", kind="stable") if "entities" in own else own
        return own.drop_duplicates("seed", keep="last").set_index("seed")["value"].sort_index()

    def price(self, metric: str, how: str | None = None) -> float:
        """Returns a price, of a way of training where one is named; nan where none was counted."""
        own = rows(self.results, phase="cost", metric=metric, **({} if how is None else {"how": how}))
        return float(own["value"].iloc[0]) if len(own) else float("nan")

    def over(self, values: pd.Series, replicates: np.ndarray | None = None) -> Estimate:
        """Returns the mean over seeds with its interval over bases and, where there are replicates, groups of entities."""
        return contrast(values.to_numpy(float), self.bases.loc[values.index].to_numpy(), replicates)


def level(arm: Taught) -> float:
    """Returns the level to which an arm's steps are counted: half of a score of 1, or half of the bits of its facts."""
    return HALF * (1.0 if arm.kind == STYLE else BITS * arm.entities)


def steps_to(way: pd.DataFrame, level: float) -> pd.Series:
    """Returns by seed the step at which a way that begins at 0 first comes up to a level, linear between readings; null if it does not."""
    steps = np.append(0, way.columns.to_numpy(float))
    return pd.Series({seed: at_level(-np.append(0.0, values), steps, -level) for seed, values in way.iterrows()}, dtype=float)


def at_bits(bits: pd.DataFrame, other: pd.DataFrame, levels: Mapping[Any, float]) -> pd.Series:
    """Returns by seed what another metric read where the bits of new facts first reach a level of that seed's; null where they do not."""
    found = {}
    for seed, values in bits.iterrows():
        level = levels.get(seed, float("nan"))
        path = -values.to_numpy(float), other.loc[seed].to_numpy(float)
        found[seed] = at_level(*path, -level) if np.isfinite(level) else float("nan")
    return pd.Series(found, dtype=float)
