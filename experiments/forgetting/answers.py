"""The answer in words: which methods forget less than full training for what they learn; every number is a finding."""

from collections.abc import Iterator, Sequence

from experiments.forgetting.headlines import word
from research.analysis.contrasts import BASE_LEFT_OUT
from research.analysis.wording import base_sentence
from research.findings import Finding, find, shown

CLAIM = (
    "The claims are that fine-tuning forgets, that LoRA forgets less for what it learns, and that how far predictions have moved on the "
    "target explains forgetting whatever the method; rises are of the source's loss in bits/byte, [95 % interval]"
)
NOTHING = "Nothing was compared: for that, full training and another method have to be read"
EQUAL = "source_rise_at_equal_target"
CURVES = ("one", "one height per method")


def answer(found: Sequence[Finding]) -> str:
    """Returns what each claim is worth in this run, what contradicts it first."""
    if not found:
        return ""
    target, forgets = find(found, "target"), find(found, "source_rise", method="full")
    parts = [*base_sentence(found), *([f"The target is {target.note}"] if target else []), CLAIM]
    compared = [f for f in found if f.name == "contrast" and f.where["what"] == EQUAL]
    if forgets is None or not compared:
        return " ".join(f"{part}." for part in (*parts, NOTHING))
    parts += [f"Full training ends with a rise of {shown(forgets, '.2f')}"]
    parts += [*_lora(compared), *_others(found, compared), *_mediator(found), *_chance(compared), *_edges(found)]
    return " ".join(f"{part}." for part in parts)


def verdict(f: Finding) -> str:
    """Returns whether a difference from full is told apart from 0: less, more, alike, or unjudged without an interval over bases."""
    if f.value is None or f.n < 2 or f.low is None or f.high is None or BASE_LEFT_OUT in f.note:
        return "unjudged"
    return "alike" if f.low <= 0 <= f.high else "less" if f.high < 0 else "more"


def _told(some: Sequence[Finding]) -> str:
    return "; ".join(f"{f.where['between'].removesuffix(' - full')} {shown(f, '.2f')}" for f in some)


def _lora(compared: Sequence[Finding]) -> Iterator[str]:
    own = [f for f in compared if f.where["between"].startswith("lora@")]
    words = {
        "more": "Against the claim, LoRA forgets more than full training at equal loss on the target",
        "alike": "LoRA is not told apart from full training at equal loss on the target",
        "less": "LoRA forgets less than full training at equal loss on the target",
        "unjudged": "LoRA against full training at equal loss on the target, without an interval over bases, which is no verdict",
    }
    for kind, said in words.items():
        if some := [f for f in own if verdict(f) == kind]:
            yield f"{said}: {_told(some)}"


def _others(found: Sequence[Finding], compared: Sequence[Finding]) -> Iterator[str]:
    own = sorted((f for f in compared if not f.where["between"].startswith("lora@")), key=lambda f: f.value or 0.0)
    words = {"less": "Of the others, less than full training lose", "alike": "not told apart from it", "more": "more than it lose"}
    told = [f"{said} {_told(some)}" for kind, said in words.items() if (some := [f for f in own if verdict(f) == kind])]
    if told:
        yield ", ".join(told)
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
