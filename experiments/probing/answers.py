"""The answer in words: what pretraining put there, and whether tasks have an order of depth; every number is a finding."""

from collections.abc import Iterator, Sequence

from experiments.probing.readings_contrasts import EMBEDDING
from experiments.probing.readings_depths import ALL
from experiments.probing.readings_scores import LAYERS, LEADER
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, sentences, verdict
from research.findings import Finding, find, shown

CLAIM = (
    "The claims are that what is readable from a network was put there by pretraining, and that tasks have an order of depth; compared are "
    "bits a label by an online code, mean over layers, so that no depth was chosen [95 % interval]"
)
NOTHING = "Nothing was compared"
SURE = 0.95
WORDS = {"characters": "the last two bytes and the position, without a network", EMBEDDING: "their own embedding"}
VERDICTS = {
    MORE: "labels cost more from pretrained layers than from {other} for",
    ALIKE: "pretrained layers are not told apart from {other} for",
    UNJUDGED: "without an interval over bases, which is no verdict, pretrained layers beside {other}:",
    LESS: "labels cost less from pretrained layers than from {other} for",
}


def answer(found: Sequence[Finding]) -> str:
    """Returns what contradicts the claims, then what supports them, then how sure all of it is."""
    own = compared(found)
    if not own:
        return sentences([*base_sentence(found), CLAIM, NOTHING]) if found else ""
    against = [part for kind in (MORE, ALIKE, UNJUDGED) for part in _told(own, kind)]
    order = list(_order(found))
    first = [*base_sentence(found), CLAIM, _short(own), *(said for is_sure, said in order if not is_sure)]
    support = [*_told(own, LESS), *(said for is_sure, said in order if is_sure)]
    return sentences(first, against, support, [*_nulls(found), *_selectivity(found), *_chance(own)])


def compared(found: Sequence[Finding]) -> list[Finding]:
    """Returns how many bits a label costs less from the layers of pretrained weights, mean over layers, one finding a null and task."""
    own = (f for f in found if f.name == "contrast" and f.where["what"] == "codelength" and f.where["depth"] == LAYERS)
    return [f for f in own if f.where.get("init", LEADER) == LEADER]


def other_of(f: Finding) -> str:
    """Returns what a contrast compares pretrained layers with."""
    return str(f.where["between"]).split(" - ")[1]


def _short(own: Sequence[Finding]) -> str:
    tasks = list(dict.fromkeys(f.where["task"] for f in own))
    carried = [task for task in tasks if all(verdict(f) == LESS for f in own if f.where["task"] == task)]
    less = [task for task in tasks if any(verdict(f) == MORE for f in own if f.where["task"] == task)]
    against = f"; for {', '.join(less)} something else says more" if less else ""
    told = f"{', '.join(carried) or 'no task'}, of {len(tasks)} tasks{against}"
    return f"Labels cost less from pretrained layers than from every null, from less pretraining and from the embedding for {told}"


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
        yield f"Random layers too say more than their embedding, since they mix earlier bytes in, for {told}"


def _selectivity(found: Sequence[Finding]) -> Iterator[str]:
    own = [f for f in found if f.name == "selectivity" and f.where["init"] == LEADER and f.where["depth"] == LAYERS]
    low = [f for f in own if f.value is not None and (f.low if f.low is not None else f.value) <= 0]
    if low:
        told = ", ".join(f"{f.where['task']} {shown(f, '.2f')}" for f in low)
        yield f"Probes read a random label of each word type as well as the task, so that their accuracy may be memory, for {told}"
    if unseen := [f for f in found if f.name == "unseen" and f.value is not None]:
        told = ", ".join(f"{f.where['task']} {f.value:.0%}" for f in unseen)
        yield f"Word types that the control task's probe was not trained on, of which it can read nothing, make up {told}"


def _chance(own: Sequence[Finding]) -> Iterator[str]:
    judged = sum(verdict(f) != UNJUDGED for f in own)
    if judged > 1:
        yield f"Of {judged} intervals, each at 95 %, chance alone tells about {0.05 * judged:.1g} apart"
