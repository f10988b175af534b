"""The answer in words: which methods forget less than full training for what they learn; every number is a finding."""

from collections.abc import Iterator, Mapping, Sequence

from experiments.forgetting.headlines import EQUAL, others, word
from research.analysis.contrasts import BASE_LEFT_OUT
from research.analysis.wording import base_sentence
from research.findings import Finding, find, shown

CLAIM = (
    "The claims are that fine-tuning forgets, that LoRA forgets less for what it learns, and that how far predictions have moved on the "
    "target explains forgetting whatever the method; rises are of the source's loss in bits/byte [95 % interval]"
)
NOTHING = "Nothing was compared: for that, full training and another method have to be read"
FULL = "full"
CURVES = ("one", "one height per method")


def answer(found: Sequence[Finding]) -> str:
    """Returns what each claim is worth in this run, what contradicts it first."""
    if not found:
        return ""
    target, forgets = find(found, "target"), find(found, "source_rise", method="full")
    parts = [*base_sentence(found), *([f"The target is {target.note}"] if target else []), CLAIM]
    contrasts = [f for f in found if f.name == "contrast" and f.where["what"] == EQUAL]
    against = {other: [f for f in contrasts if f.where["between"].endswith(f" - {other}")] for other in others(found)}
    if forgets is None or FULL not in against:
        return " ".join(f"{part}." for part in (*parts, NOTHING))
    parts += [f"Full training ends with a rise of {shown(forgets, '.2f')}", *_lora(against), *_others(found, against)]
    parts += [*_mediator(found), *_chance(contrasts), *_edges(found)]
    return " ".join(f"{part}." for part in parts)


def verdict(f: Finding) -> str:
    """Returns whether a difference from full is told apart from 0: less, more, alike, or unjudged without an interval over bases."""
    if f.value is None or f.n < 2 or f.low is None or f.high is None or BASE_LEFT_OUT in f.note:
        return "unjudged"
    return "alike" if f.low <= 0 <= f.high else "less" if f.high < 0 else "more"


def _told(some: Sequence[Finding]) -> str:
    return "; ".join(f"{f.where['between'].split(' - ')[0]} {shown(f, '.2f')}" for f in some)


def _lora(against: Mapping[str, Sequence[Finding]]) -> Iterator[str]:
    """LoRA beside full training, and beside full training at a lower rate, which is the simplest way to forget less."""
    for other, compared in against.items():
        own = [f for f in compared if f.where["between"].startswith("lora@")]
        name = "full training at its own rate" if other == FULL else f"full training at {_factor(other)} of that rate"
        words = {
            "more": f"LoRA forgets more than {name}",
            "alike": f"LoRA is not told apart from {name}",
            "less": f"LoRA forgets less than {name}",
            "unjudged": f"LoRA less {name}, without an interval over bases, which is no verdict",
        }
        for kind, said in words.items():
            if some := [f for f in own if verdict(f) == kind]:
                yield f"{said}, where both have learned equally much: {_told(some)}"


def _factor(word: str) -> str:
    return f"{float(word.partition('@')[2]):.0%}".replace("%", " %")


def _others(found: Sequence[Finding], against: Mapping[str, Sequence[Finding]]) -> Iterator[str]:
    for other, compared in against.items():
        own = sorted((f for f in compared if not f.where["between"].startswith("lora@")), key=lambda f: f.value or 0.0)
        words = {"less": "less is forgotten by", "alike": "not told apart from it are", "more": "more is forgotten by"}
        told = [f"{said} {_told(some)}" for kind, said in words.items() if (some := [f for f in own if verdict(f) == kind])]
        if told:
            yield f"Than by {'full' if other == FULL else other}, {', '.join(told)}"
    if unread := [word(f) for f in found if f.name == EQUAL and f.value is None]:
        yield f"Never reach that loss: {', '.join(unread)}"


def _mediator(found: Sequence[Finding]) -> Iterator[str]:
    own = [(on, curve, find(found, "kl_r2", on=on, curve=curve)) for on in ("target", "distance", "source") for curve in CURVES]
    read = {(on, curve): shown(f, ".2f") for on, curve, f in own if f is not None and f.value is not None}
    if ("target", "one") in read:
        more = read.get(("target", CURVES[1]))
        apart = f"; {more} where each method has a height of its own: what that adds, divergence does not explain" if more else ""
        yield f"One curve of the divergence on the target explains {read['target', 'one']} of the variance of log rises{apart}"
    if ("distance", "one") in read:
        yield f"Distance in weights explains {read['distance', 'one']}"
    if ("source", "one") in read:
        same = "which says little: where the base models the source, the two are nearly one by definition"
        yield f"Divergence on the source explains {read['source', 'one']}, {same}"


def _chance(compared: Sequence[Finding]) -> Iterator[str]:
    judged = sum(verdict(f) != "unjudged" for f in compared)
    if judged > 1:
        yield f"Of {judged} intervals, each at 95 %, chance alone tells about {0.05 * judged:.1g} apart"


def _edges(found: Sequence[Finding]) -> Iterator[str]:
    edges = [f.where["method"] for f in found if f.name == "learning_rate" and "optimum may lie beyond" in f.note]
    if edges:
        yield f"Learning rates lie on the edge of their grid, where a better one may lie outside, for {', '.join(edges)}"
