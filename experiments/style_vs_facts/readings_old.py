"""What is left of known facts that a run was not trained on: its change in bits a fact, at the end and where all learned equally much."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.style_vs_facts.ways import FULL, MIXED, STYLE, Read, Taught, at_bits
from research.analysis.contrasts import without_each
from research.findings import Estimate, Finding, finding

HALF = 0.5  # of the bits that full training ends with, where ways of training are compared
END, EQUAL = "end", "equal bits"
PLAIN, STYLED = "plain", "in the style"


def old_recall(read: Read) -> Iterator[Finding]:
    """Yields the change of what is known of old facts, with an interval over bases and entities; at equal bits over bases alone.

    Of those taught a style, also where they are asked in it: as a base knows them plain, so that a change of form is told from a loss.
    """
    for arm, change in changes(read).items():
        where = {**arm.where, "at": END, "asked": PLAIN}
        yield finding("old_recall", where, read.over(change, left_out(read, arm)), "bits/fact")
    for arm, change in changes(read, "old_correct", "old_correct").items():
        yield finding("old_correct", {**arm.where, "at": END}, read.over(change), "1")
    for arm, change in changes(read, "styled_bits").items():
        if arm.kind in (STYLE, MIXED):
            yield finding("old_recall", {**arm.where, "at": END, "asked": STYLED}, read.over(change), "bits/fact")
    for arm, change in equal(read).items():
        if lost := int(change.isna().sum()):
            estimate = Estimate(
                None, None, None, len(change), "linear between readings", f"does not learn so much in {lost} of {len(change)}"
            )
        else:
            estimate = read.over(change)
        yield finding("old_recall", {**arm.where, "at": EQUAL, "asked": PLAIN}, estimate, "bits/fact")


def changes(read: Read, metric: str = "old_bits", start: str = "old_bits") -> dict[Taught, pd.Series]:
    """Returns by arm and seed what a metric of old facts reads at the end, less what another one reads of the bases, asked plain."""
    before, after = read.untouched(start), read.ends(metric)
    return {arm: after[arm.word] - before.loc[after[arm.word].index] for arm in read.arms if arm.word in after}


def equal(read: Read) -> dict[Taught, pd.Series]:
    """Returns by arm that is taught facts the change where it first has half of the bits that full training ends with on its lesson."""
    bits, old, before = read.ways("new_bits"), read.ways("old_bits"), read.untouched("old_bits")
    found = {}
    for arm in read.arms:
        full = bits.get(f"{arm.lesson}/{FULL}")
        if arm.learns and full is not None:
            levels = {seed: HALF * value for seed, value in full.iloc[:, -1].items() if value > 0}
            found[arm] = at_bits(bits[arm.word], old[arm.word], levels) - before.loc[bits[arm.word].index]
    return found


def left_out(read: Read, arm: Taught) -> np.ndarray | None:
    """Returns the mean change over seeds with one group of entities left out each, None where a run diverged or no groups were read."""
    table = read.groups.get(arm.word)
    if table is None or table.isna().to_numpy().any() or table.shape[1] < 2:
        return None
    kept: np.ndarray = without_each(table.to_numpy(float).mean(axis=0), np.ones(table.shape[1]))
    return kept
