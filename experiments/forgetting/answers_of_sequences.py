"""The answer in words, of targets learned one after another: what forgets less, and what it learned; every number is a finding."""

from collections.abc import Iterator, Sequence

from experiments.forgetting.answers import LORA, chance, edges
from experiments.forgetting.headlines import word
from experiments.forgetting.headlines_of_sequences import others
from experiments.forgetting.readings_of_sequences import JOINT
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, sentences, verdict
from research.findings import Finding, find, shown

NOTHING = "Nothing was compared: for that, all tasks of full training and of another method have to be read"
CLAIM = (
    "The claim is that LoRA forgets less of what was learned before; what is forgotten is the rise of the loss on earlier targets in "
    "bits/byte [95 % interval over bases, {}], each method at the learning rate at which it learns best"
)
FORGETS = {  # what contradicts the claim first
    MORE: "More is forgotten than by {} by",
    ALIKE: "In what is forgotten, not told apart from {} are",
    LESS: "Less is forgotten than by {} by",
    UNJUDGED: "Beside {}, without an interval over bases, which is no verdict,",
}
TOLD = ("average_forgetting", "learned_loss")
BESIDE = {LESS: "less", ALIKE: "not told apart", MORE: "more", UNJUDGED: "no verdict"}
LEARNS = {LESS: "more learned", ALIKE: "learned not told apart", MORE: "less learned", UNJUDGED: "learned"}


def answer(found: Sequence[Finding]) -> str:
    """Returns who forgets less for what it learns: beside full training at a lower rate first, LoRA first."""
    if not found:
        return ""
    ends, beside = [f for f in found if f.name == "end_loss" and f.value is not None], others(found)
    orders = find(found, "orders")
    several = orders is not None and (orders.value or 1) > 1
    claim = CLAIM.format(f"each in {shown(orders, '.0f')} orders" if several else "each in an order of its own, whose differences it holds")
    parts = [*base_sentence(found), *_texts(found), claim]
    full = find(found, "average_forgetting", method="full")
    if full is None or not beside:
        return sentences([*parts, NOTHING])
    transfer = shown(find(found, "bwt", method="full"), ".2f")
    parts.append(f"Full training forgets {shown(full, '.2f')} of each target on average (a backward transfer of {transfer})")
    words = [word(f) for f in ends if word(f) not in ("full", JOINT)]
    told = [sentence for other in beside for sentence in _beside(found, [w for w in words if w != other], other)]
    return sentences([*parts, *told], [*_both(found, ends, beside), *chance(found, TOLD), *edges(found)])


def _texts(found: Sequence[Finding]) -> Iterator[str]:
    names = [f.note for f in found if f.name == "text"]
    apart = [f.value for f in found if f.name == "unigram_apart" and f.value is not None and 0 not in (f.where["text"], f.where["known"])]
    if len(names) > 1 and apart:
        far = f"{min(apart):.2f} to {max(apart):.2f} bits/byte"
        yield (
            f"The targets are {', '.join(names[1:])}; knowing how often each byte occurs in another one costs {far} more than knowing "
            f"it of the one that is read. The source is {names[0]}"
        )


def _beside(found: Sequence[Finding], words: Sequence[str], other: str) -> Iterator[str]:
    """A sentence for each verdict of what is forgotten, LoRA first, with what was learned: the loss right after a target's task."""
    groups: dict[str, list[str]] = {}
    for each in sorted(words, key=lambda each: not each.startswith(LORA)):
        pair = f"{each} - {other}"
        forgets, learns = (find(found, "contrast", what=what, between=pair) for what in TOLD)
        if forgets is not None and learns is not None:
            said = f"{each} {shown(forgets, '.2f')} ({LEARNS[verdict(learns)]}: {shown(learns, '.2f')} in loss after its task)"
            groups.setdefault(verdict(forgets), []).append(said)
    for kind, first in FORGETS.items():
        if told := groups.get(kind):
            yield f"{first.format(name(other))} {'; '.join(told)}"


def _both(found: Sequence[Finding], ends: Sequence[Finding], beside: Sequence[str]) -> Iterator[str]:
    """The loss on all targets at the end, which holds what was learned and what was forgotten of it: the lowest, beside its bounds."""
    single = sorted((f for f in ends if word(f) != JOINT), key=lambda f: f.value or 0.0)
    if not single:
        return
    best, mixed = single[0], find(ends, "end_loss", method=JOINT)
    less = [(other, find(found, "contrast", what="end_loss", between=f"{word(best)} - {other}")) for other in beside]
    told = "; ".join(f"{BESIDE[verdict(f)]} beside {name(other)}: {shown(f, '.2f')}" for other, f in less if f is not None)
    lowest = f"the mean loss on all targets at the end is lowest for {word(best)}, {shown(best, '.2f')}"
    yield f"Both in one number, {lowest}{f' ({told})' if told else ''}"
    if mixed is not None:
        yield f"All targets mixed, as many steps in all, end with {shown(mixed, '.2f')}"


def name(other: str) -> str:
    """Returns what full training at a rate is called, of its word."""
    return "full training" if other == "full" else f"full training at {float(other.partition('@')[2]) * 100:g} % of its rate"
