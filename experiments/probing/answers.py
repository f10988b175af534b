"""The answer in words: what pretraining put there, and whether tasks have an order of depth; every number is a finding."""

from collections.abc import Iterator, Sequence

from experiments.probing.judged import UNSURE, below, compared, judged, other_of, unread
from experiments.probing.readings_contrasts import ADJUSTED, EMBEDDING, RANDOM
from experiments.probing.readings_depths import ALL, BEFORE, TWO
from experiments.probing.readings_scores import LAYERS, LEADER, PLAIN
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, sentences
from research.findings import Finding, find, shown

CLAIM = (
    "The claims are that what is readable from a network was put there by pretraining, and that tasks have an order of depth; compared are "
    "bits a label by an online code, mean over layers, so that no depth was chosen [95 % interval]"
)
NOTHING = "Nothing was compared"
SURE = 0.95
WORDS = {**{word: f"{said} (no network)" for word, said in PLAIN.items()}, EMBEDDING: "their own embedding"}
VERDICTS = {
    MORE: "labels cost more from pretrained layers than from {other} for",
    ALIKE: "pretrained layers are not told apart from {other} for",
    UNSURE: "not sure among so many comparisons is a difference from {other} for",
    UNJUDGED: "over documents alone, which is no verdict, labels cost from pretrained layers, less from {other}:",
    LESS: "labels cost less from pretrained layers than from {other} for",
}


def answer(found: Sequence[Finding]) -> str:
    """Returns what contradicts the claims, then what supports them, then how sure all of it is."""
    own, nothing = [(f, judged(found, f)) for f in compared(found)], unread(found)
    if not own:
        return sentences([*base_sentence(found), CLAIM, NOTHING]) if found else ""
    against = [part for kind in (MORE, ALIKE, UNSURE, UNJUDGED) for part in _told(own, kind)]
    order = list(_order(found))
    first = [*base_sentence(found), CLAIM, _short(own), *_nothing(nothing), *(said for is_sure, said in order if not is_sure)]
    something = [(f, kind) for f, kind in own if f.where["task"] not in nothing]
    support = [*_told(something, LESS), *(said for is_sure, said in order if is_sure)]
    return sentences(first, against, support, [*_nulls(found), *_selectivity(found), *_adjusted(found)])


def _nothing(tasks: Sequence[str]) -> Iterator[str]:
    if tasks:
        yield f"Linear probes read nothing sure of {', '.join(tasks)} from pretrained layers: labels cost about as much as from a constant"


def _short(own: Sequence[tuple[Finding, str]]) -> str:
    tasks = list(dict.fromkeys(f.where["task"] for f, _ in own))
    kinds = {task: {kind for f, kind in own if f.where["task"] == task} for task in tasks}
    if all(kinds[task] == {UNJUDGED} for task in tasks):
        some = [task for task in tasks if all(below(f) for f, _ in own if f.where["task"] == task)]
        return (
            "Without an interval over bases there is no verdict; over documents alone, labels cost less from pretrained layers than from "
            f"all that stands beside them for {', '.join(some) or 'no task'}, of {len(tasks)} tasks"
        )
    carried = [task for task in tasks if kinds[task] == {LESS}]
    less = [task for task in tasks if MORE in kinds[task]]
    alike = [task for task in tasks if task not in carried and task not in less]
    against = f"; for {', '.join(less)} something else says more" if less else ""
    against += f"; for {', '.join(alike)} something else is not surely told apart" if alike else ""
    told = f"{', '.join(carried) or 'no task'}, of {len(tasks)} tasks{against}"
    return f"Labels cost less from pretrained layers than from all that stands beside them for {told}"


def _told(own: Sequence[tuple[Finding, str]], kind: str) -> Iterator[str]:
    for other in dict.fromkeys(other_of(f) for f, _ in own):
        if some := [f"{f.where['task']} {shown(f, '.2f')}" for f, its in own if other_of(f) == other and its == kind]:
            said = VERDICTS[kind].format(other=WORDS.get(other, f"{other} ones"))
            yield f"{said[0].upper()}{said[1:]} {', '.join(some)}"


def _order(found: Sequence[Finding]) -> Iterator[tuple[bool, str]]:
    """Whether an order of depth is sure, and what is said of it; a null with a sure order is told beside it."""
    lost = [f.where["task"] for f in found if f.name == "expected_layer" and _raw(f, LEADER) and f.value is None]
    if lost:
        yield False, f"No depth is known of {', '.join(lost)}: cumulative probes gain nothing that is sure beyond the embedding"
    best = find(found, "order_probability", init=LEADER, of=ALL)
    if best is None or best.value is None:
        yield False, "No order of tasks was read, for which two of them need a depth"
        return
    depths = [f for f in found if f.name == "expected_layer" and _raw(f, LEADER) and f.value is not None]
    layers = ", ".join(f"{f.where['task']} {shown(f, '.2f')}" for f in depths)
    order = best.where["order"]
    if best.value >= SURE:
        yield True, f"Tasks have an order of depth, {order} (probability {best.value:.2f}; expected layers {layers})"
    else:
        yield False, f"The likeliest order of depth, {order}, has a probability of {best.value:.2f} alone (expected layers {layers})"
    pairs = [(f, f.where["order"]) for f in found if f.name == "order_probability" and f.where["init"] == LEADER and f.where["of"] == TWO]
    turned = [(f, BEFORE.join(reversed(order.split(BEFORE)))) for f, order in pairs if f.value is not None and f.value <= 1 - SURE]
    if sure := [
        f"{order} ({max(f.value or 0.0, 1 - (f.value or 0.0)):.2f})"
        for f, order in (*((f, o) for f, o in pairs if (f.value or 0) >= SURE), *turned)
    ]:
        yield best.value >= SURE, f"Of two tasks each, it is sure that {', '.join(sure)}"
    for f in found:
        if f.name == "order_probability" and f.where["of"] == ALL and not f.where["init"].startswith(LEADER) and (f.value or 0) >= SURE:
            yield False, f"Of {f.where['init']} weights an order is as sure, {f.where['order']} (probability {f.value:.2f})"


def _raw(f: Finding, init: str) -> bool:
    return f.where["differences"] == "raw" and f.where["init"] == init


def _nulls(found: Sequence[Finding]) -> Iterator[str]:
    """What layers that nobody trained add to their own embedding, which is no pretraining's doing."""
    own = [f for f in found if f.name == "contrast" and f.where["what"] == "codelength" and f.where["depth"] == LAYERS]
    some = [f for f in own if f.where.get("init") == RANDOM and judged(found, f) == LESS]
    if some:
        told = ", ".join(f"{f.where['task']} {shown(f, '.2f')}" for f in some)
        yield f"Random layers too say more than their embedding, which no pretraining put there, for {told}"


def _selectivity(found: Sequence[Finding]) -> Iterator[str]:
    own = [f for f in found if f.name == "selectivity" and f.where["init"] == LEADER and f.where["depth"] == LAYERS]
    low = [f for f in own if f.value is not None and (f.low if f.low is not None else f.value) <= 0]
    if low:
        told = ", ".join(f"{f.where['task']} {shown(f, '.2f')}" for f in low)
        yield (
            f"Accuracy is not higher than on a random label of each word type (whose classes are not as frequent as the task's) for {told}"
        )
    if unseen := [f for f in found if f.name == "unseen" and f.value is not None]:
        told = ", ".join(f"{f.where['task']} {f.value:.0%}" for f in unseen)
        yield f"Word types that the control task's probe was not trained on, for which it can only guess, make up {told}"


def _adjusted(found: Sequence[Finding]) -> Iterator[str]:
    if count := sum(f.name == ADJUSTED for f in found):
        yield f"Verdicts are adjusted for {count} comparisons (Holm 1979), intervals are not"
