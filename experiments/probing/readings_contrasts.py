"""How pretrained activations compare with every other: with nulls, with less pretraining, with characters, with their own embedding."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from experiments.probing.readings_scores import LAYERS, LEADER, WHATS, Scores, depths_of, reading
from research.findings import Finding, finding

EMBEDDING = "embedding"
Read = Mapping[tuple[str, str], Scores]


def findings(read: Read) -> list[Finding]:
    """Returns the differences, paired by seed: at each depth, and of the mean over layers, for which no depth was chosen.

    Codelengths are in bits a label, so that less is better; all else is better where it is more.
    """
    found: list[Finding] = []
    for (init, task), own in read.items():
        found += _from_embedding(own, {"task": task, "init": init})
        for other, its in ((other, its) for (other, of), its in read.items() if init == LEADER != other and of == task):
            found += _between(own, its, {"task": task, "between": f"{LEADER} - {other}"})
    return found


def _between(own: Scores, other: Scores, where: Mapping[str, Any]) -> Iterator[Finding]:
    seeds = np.intersect1d(own.seeds, other.seeds)
    own, other = own.only(seeds), other.only(seeds)
    if not len(seeds):
        return
    for depth in depths_of(own) if len(other.depths) > 1 else [LAYERS]:
        for what in _compared(depth):
            less = reading(own, what, depth).less(reading(other, what, depth))
            yield finding("contrast", {"what": what, **where, "depth": depth}, less.estimate(own), WHATS[what])


def _from_embedding(own: Scores, where: Mapping[str, Any]) -> Iterator[Finding]:
    """What layers say more than the embedding behind which they stand."""
    if len(own.depths) == 1:
        return
    for depth in depths_of(own)[1:]:
        for what in _compared(depth):
            less = reading(own, what, depth).less(reading(own, what, 0))
            at = {"what": what, **where, "between": f"layer - {EMBEDDING}", "depth": depth}
            yield finding("contrast", at, less.estimate(own), WHATS[what])


def _compared(depth: int | str) -> list[str]:
    """What is compared: all of WHATS as means over layers, at a single depth the codelength alone."""
    return list(WHATS) if depth == LAYERS else ["codelength"]
