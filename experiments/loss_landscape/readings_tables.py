"""What is read of each base, in tables: from records to one value a base; and its mean, and its factor between initializations."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.analysis.contrasts import contrast
from research.analysis.intervals import join_notes
from research.findings import Estimate

COLUMNS = ["init", "seed", "base", "value"]
GEOMETRIC = "geometric mean over {units}, t interval of logarithms (95%)"
ARITHMETIC = "mean over {units}, t interval (95%)"
FACTOR = "ratio paired by seed, geometric mean over {units}, t interval of logarithms (95%)"
NO_FACTOR = "a value is not positive: no ratio"


class Reading(NamedTuple):
    """A quantity, of every initialization and base: a table of init, seed, base, value. `where` without the initialization.

    positive: by nature, so that means are geometric. censored: a null is a bound, so that a mean without it would be another quantity.
    notes: what belongs beside the numbers, by initialization.
    """

    name: str
    where: Mapping[str, Any]
    unit: str
    table: pd.DataFrame
    positive: bool = True
    censored: bool = False
    notes: Mapping[str, str] = {}

    def of(self, init: str) -> pd.DataFrame:
        """Returns the rows of an initialization, in the order of seeds."""
        own = self.table[self.table["init"] == init]
        return own.sort_values("seed")

    @property
    def inits(self) -> list[str]:
        """Returns the initializations in the order of the records."""
        return list(dict.fromkeys(self.table["init"]))


def by_base(own: pd.DataFrame, value: Callable[[pd.DataFrame], float]) -> pd.DataFrame:
    """Returns a table of one value for each (init, seed), made from its rows."""
    groups = own.groupby(["init", "seed", "base"], sort=False)
    return pd.DataFrame([(*key, value(some)) for key, some in groups], columns=COLUMNS)


def mean(reading: Reading, init: str) -> Estimate:
    """Returns a reading's mean over bases, of an initialization; geometric where all values are positive by nature."""
    own = reading.of(init)
    values, bases = own["value"].to_numpy(float), own["base"].to_numpy()
    note = reading.notes.get(init, "")
    if lost := _lost(reading, values, note):
        return lost
    logs = reading.positive and not (values <= 0).any()
    found = contrast(np.log(values) if logs else values, bases, factor=logs)
    return _said(found, GEOMETRIC if logs else ARITHMETIC, bases, note)


def ratio(reading: Reading, leader: str, other: str) -> Estimate:
    """Returns the factor between two initializations, paired by seed, with an interval over the leader's bases."""
    both = reading.of(leader).merge(reading.of(other), on="seed", suffixes=("", "_other"))
    values, bases = both[["value", "value_other"]].to_numpy(float), both["base"].to_numpy()
    note = join_notes(*(f"{init}: {said}" for init in (leader, other) if (said := reading.notes.get(init, ""))))
    if lost := _lost(reading, values, note):
        return lost
    if (values <= 0).any():
        return Estimate(None, None, None, len(values), FACTOR.format(units="bases"), join_notes(NO_FACTOR, note))
    return _said(contrast(np.log(values[:, 0] / values[:, 1]), bases, factor=True), FACTOR, bases, note)


def _lost(reading: Reading, values: np.ndarray, note: str) -> Estimate | None:
    """What stands where a value is a bound, or where there is no value at all; None elsewhere."""
    finite = np.isfinite(values)
    if finite.all() or (finite.any() and not reading.censored):
        return None
    return Estimate(None, None, None, len(values), "censored" if reading.censored else "not read", note or "no value")


def _said(found: Estimate, method: str, bases: np.ndarray, note: str) -> Estimate:
    single = len(bases) > 1 and len(set(bases)) == 1
    return found._replace(method=method.format(units="seeds of one base" if single else "bases"), note=join_notes(found.note, note))
