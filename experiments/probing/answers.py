"""The answer in words: what pretraining put there, and whether tasks have an order of depth; every number is a finding."""

import math
from collections.abc import Iterator, Sequence

from experiments.probing.readings_contrasts import EMBEDDING
from experiments.probing.readings_depths import ALL, BEFORE, TWO
from experiments.probing.readings_scores import LAYERS, LEADER, PLAIN
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, sentences, verdict
from research.findings import Finding, find, shown

CLAIM = (
    "The claims are that what is readable from a network was put there by pretraining, and that tasks have an order of depth; compared are "
    "bits a label by an online code, mean over layers, so that no depth was chosen [95 % interval]"
)
NOTHING = "Nothing was compared"
SURE = 0.95
WORDS = {**{word: f"{said}, without a network," for word, said in PLAIN.items()}, EMBEDDING: "their own embedding"}
VERDICTS = {
    MORE: "labels cost more from pretrained layers than from {other} for",
    ALIKE: "pretrained layers are not told apart from {other} for",
    UNJUDGED: "without an interval over bases, which is no verdict, pretrained layers beside {other}:",
    LESS: "labels cost less from pretrained layers than from {other} for",
}


def answer(found: Sequence[Finding]) -> str:
    """Returns what contradicts the claims, then what supports them, then how sure all of it is."""
    own, nothing = compared(found), unread(found)
    if not own:
        return sentences([*base_sentence(found), CLAIM, NOTHING]) if found else ""
    against = [part for kind in (MORE, ALIKE, UNJUDGED) for part in _told(own, kind)]
    order = list(_order(found))
    first = [*base_sentence(found), CLAIM, _short(own), *_nothing(nothing), *(said for is_sure, said in order if not is_sure)]
    support = [*_told([f for f in own if f.where["task"] not in nothing], LESS), *(said for is_sure, said in order if is_sure)]
    return sentences(first, against, support, [*_nulls(found), *_selectivity(found), *_chance(own)])


def compared(found: Sequence[Finding]) -> list[Finding]:
    """Returns how many bits a label costs less from the layers of pretrained weights, mean over layers, one finding a null and task."""
    own = (f for f in found if f.name == "contrast" and f.where["what"] == "codelength" and f.where["depth"] == LAYERS)
    return [f for f in own if f.where.get("init", LEADER) == LEADER]


def other_of(f: Finding) -> str:
    """Returns what a contrast compares pretrained layers with."""
    return str(f.where["between"]).split(" - ")[1]


def unread(found: Sequence[Finding]) -> list[str]:
    """Returns the tasks whose labels cost no less from pretrained layers, surely, than even ones do: nothing is read of them."""
    chances = {f.where["task"]: f.value for f in found if f.name == "chance" and f.value}
    costs = {task: find(found, "codelength", task=task, init=LEADER, depth=LAYERS) for task in chances}
    return [task for task, f in costs.items() if f is not None and f.high is not None and f.high >= -math.log2(chances[task])]


def _nothing(tasks: Sequence[str]) -> Iterator[str]:
    if tasks:
        yield f"Linear probes read nothing sure of {', '.join(tasks)} from pretrained layers: labels cost about as much as even ones"


def _short(own: Sequence[Finding]) -> str:
    tasks = list(dict.fromkeys(f.where["task"] for f in own))
    carried = [task for task in tasks if all(verdict(f) == LESS for f in own if f.where["task"] == task)]
    less = [task for task in tasks if any(verdict(f) == MORE for f in own if f.where["task"] == task)]
    alike = [task for task in tasks if task not in carried and task not in less]
    against = f"; for {', '.join(less)} something else says more" if less else ""
    against += f"; for {', '.join(alike)} something else is not told apart" if alike else ""
    told = f"{', '.join(carried) or 'no task'}, of {len(tasks)} tasks{against}"
    return f"Labels cost less from pretrained layers than from all that stands beside them for {told}"


def _told(own: Sequence[Finding], kind: str) -> Iterator[str]:
    for other in dict.fromkeys(other_of(f) for f in own):
        if some := [f"{f.where['task']} {shown(f, '.2f')}" for f in own if other_of(f) == other and verdict(f) == kind]:
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
    some = [f for f in own if f.where.get("init") == "random" and verdict(f) == LESS]
    if some:
        told = ", ".join(f"{f.where['task']} {shown(f, '.2f')}" for f in some)
        yield f"Random layers too say more than their embedding, which no pretraining put there, for {told}"


def _selectivity(found: Sequence[Finding]) -> Iterator[str]:
    own = [f for f in found if f.name == "selectivity" and f.where["init"] == LEADER and f.where["depth"] == LAYERS]
    low = [f for f in own if f.value is not None and (f.low if f.low is not None else f.value) <= 0]
    if low:
        told = ", ".join(f"{f.where['task']} {shown(f, '.2f')}" for f in low)
        yield (
            f"Accuracy is not higher than on a random label of each word type (whose classes, unlike the task's, are not even) for {told}"
        )
    if unseen := [f for f in found if f.name == "unseen" and f.value is not None]:
        told = ", ".join(f"{f.where['task']} {f.value:.0%}" for f in unseen)
        yield f"Word types that the control task's probe was not trained on, for which it can only guess, make up {told}"


def _chance(own: Sequence[Finding]) -> Iterator[str]:
    judged = sum(verdict(f) != UNJUDGED for f in own)
    if judged > 1:
        yield f"Of {judged} intervals, each at 95 %, chance alone tells about {0.05 * judged:.1g} apart"
