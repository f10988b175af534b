"""How pretrained activations compare with every other: with nulls, with less pretraining, with characters, with their own embedding."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.probing.readings_scores import LAYERS, LEADER, WHATS, Reading, Scores, depths_of, reading
from research.analysis.comparisons import holm
from research.findings import Estimate, Finding, finding

EMBEDDING, RANDOM = "embedding", "random"
ADJUSTED = "adjusted_p"
Read = Mapping[tuple[str, str], Scores]


class _Compared(NamedTuple):
    """A difference at a place, and the scores whose bases and groups of documents its interval is over."""

    where: dict[str, Any]
    less: Reading
    own: Scores


def findings(read: Read) -> list[Finding]:
    """Returns the differences, paired by seed: at each depth, and of the mean over layers, for which no depth was chosen.

    Codelengths are in bits a label, so that less is better; all else is better where it is more. Behind them are the p values, adjusted for
    their number (Holm), of the differences that answers judge: codelengths over layers, of pretrained and random ones.
    """
    every: list[_Compared] = []
    for (init, task), own in read.items():
        every += _from_embedding(own, {"task": task, "init": init})
        for other, its in ((other, its) for (other, of), its in read.items() if init == LEADER != other and of == task):
            every += _between(own, its, {"task": task, "between": f"{LEADER} - {other}"})
    found = [finding("contrast", one.where, one.less.estimate(one.own), WHATS[one.where["what"]]) for one in every]
    return [*found, *_adjusted(every)]


def _adjusted(every: Sequence[_Compared]) -> Iterator[Finding]:
    judged = [one for one in every if one.where["what"] == "codelength" and one.where["depth"] == LAYERS]
    judged = [one for one in judged if one.where.get("init", LEADER) in (LEADER, RANDOM)]
    known = [(one, p) for one in judged if (p := one.less.p_value(one.own)) is not None]
    for (one, _), p in zip(known, holm([p for _, p in known]), strict=True):
        yield finding(ADJUSTED, one.where, Estimate(float(p), None, None, len(known), f"two-sided p, Holm over {len(known)}"), "1")


def _between(own: Scores, other: Scores, where: Mapping[str, Any]) -> Iterator[_Compared]:
    seeds = np.intersect1d(own.seeds, other.seeds)
    own, other = own.only(seeds), other.only(seeds)
    if not len(seeds):
        return
    for depth in depths_of(own) if len(other.depths) > 1 else [LAYERS]:
        for what in _compared(depth):
            less = reading(own, what, depth).less(reading(other, what, depth))
            yield _Compared({"what": what, **where, "depth": depth}, less, own)


def _from_embedding(own: Scores, where: Mapping[str, Any]) -> Iterator[_Compared]:
    """What layers say more than the embedding behind which they stand."""
    if len(own.depths) == 1:
        return
    for depth in depths_of(own)[1:]:
        for what in _compared(depth):
            less = reading(own, what, depth).less(reading(own, what, 0))
            yield _Compared({"what": what, **where, "between": f"layer - {EMBEDDING}", "depth": depth}, less, own)


def _compared(depth: int | str) -> list[str]:
    """What is compared: all of WHATS as means over layers, at a single depth the codelength alone."""
    return list(WHATS) if depth == LAYERS else ["codelength"]
