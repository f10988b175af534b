"""The answer in words: which methods forget less than full training for what they learn; every number is a finding."""

from collections.abc import Iterator, Mapping, Sequence

from experiments.forgetting.headlines import EQUAL, others, word
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, pieces_of, sentences, verdict
from research.findings import Finding, find, shown

CLAIM = (
    "The claims are that fine-tuning forgets, that LoRA forgets less for what it learns, and that how far predictions have moved on the "
    "target explains forgetting whatever the method; rises are of the source's loss in bits/byte [95 % interval], each method at the "
    "learning rate at which it learns best"
)
NOTHING = "Nothing was compared: for that, full training and another method have to be read"
FULL = "full"
LORA = ("lora", "slowlora")
CURVES = ("one", "one height per method")
MIXED = "mixed"
Compared = Mapping[str, Sequence[Finding]]  # by the word of a method: its differences, at each loss that is equal


def answer(found: Sequence[Finding]) -> str:
    """Returns what each claim is worth in this run: beside full training at a lower rate first, which anything has to beat."""
    if not found:
        return ""
    target, forgets = find(found, "target"), find(found, "source_rise", method="full")
    parts = [*base_sentence(found), *([f"The target is {target.note}"] if target else []), CLAIM]
    against = {other: _compared(found, other) for other in sorted(others(found), key=lambda other: other == FULL)}
    if forgets is None or FULL not in against:
        return sentences([*parts, NOTHING])
    parts += [f"Full training ends with a rise of {shown(forgets, '.2f')}{_ignorance(found, forgets)}"]
    parts += [part for other, compared in against.items() for part in _lora(other, compared)]
    rest = [part for other, compared in against.items() for part in _others(other, compared)]
    return sentences([*parts, *_mediator(found)], [*rest, *_unread(found), *chance(found, [EQUAL]), *edges(found)])


def overall(some: Sequence[Finding]) -> str:
    """Returns the verdict in which the differences at all losses agree, else that it hangs on the loss."""
    verdicts = {verdict(f) for f in some}
    return verdicts.pop() if len(verdicts) == 1 else MIXED


def _compared(found: Sequence[Finding], other: str) -> Compared:
    made: dict[str, list[Finding]] = {}
    for f in found:
        if f.name == "contrast" and f.where["what"] == EQUAL and f.where["between"].split(" - ")[1] == other:
            made.setdefault(f.where["between"].split(" - ")[0], []).append(f)
    return made


def _ignorance(found: Sequence[Finding], forgets: Finding) -> str:
    unigram = find(found, "unigram_rise")
    if unigram is None or unigram.value is None or forgets.value is None:
        return ""
    known = f"somebody who knew no more than how often each {pieces_of(found)[:-1]} occurs would end with {shown(unigram, '.2f')}"
    return f"; {known}" + (", so that part of the rise is no lost knowledge, but wrong confidence" if forgets.value > unigram.value else "")


def _name(other: str) -> str:
    if other == FULL:
        return "full training at its best rate"
    return f"full training at {float(other.partition('@')[2]) * 100:g} % of its best rate"


def _at(some: Sequence[Finding]) -> str:
    return ", ".join(f"{shown(f, '.2f')} at {f.where['share'] * 100:g} %" for f in some)


def _last(some: Sequence[Finding], last: float) -> str:
    """The difference at the largest share of what full learns, which is told where it is not the largest of all."""
    return shown(some[-1], ".2f") if some[-1].where["share"] == last else _at(some[-1:])


def _lora(other: str, compared: Compared) -> Iterator[str]:
    """LoRA beside full training, where both have learned equally much: so many per cent of what full learns."""
    own = {method: some for method, some in compared.items() if method.partition("@")[0] in LORA}
    words = {
        MORE: f"LoRA forgets more than {_name(other)}",
        MIXED: f"LoRA beside {_name(other)} hangs on how much was learned",
        ALIKE: f"LoRA is not told apart from {_name(other)}",
        LESS: f"LoRA forgets less than {_name(other)}",
        UNJUDGED: f"LoRA less {_name(other)}, without an interval over bases, which is no verdict",
    }
    for kind, said in words.items():
        if told := [f"{method} {_at(some)}" for method, some in own.items() if overall(some) == kind]:
            yield f"{said}, where both have learned equally much (a share of what full learns): {'; '.join(told)}"


def _others(other: str, compared: Compared) -> Iterator[str]:
    own = sorted((some[-1].value or 0.0, method) for method, some in compared.items() if method.partition("@")[0] not in LORA)
    words = {
        LESS: "less is forgotten by",
        MIXED: "it hangs on how much was learned for",
        ALIKE: "not told apart are",
        MORE: "more is forgotten by",
        UNJUDGED: "without an interval over bases, which is no verdict,",
    }
    told, last = [], max((some[-1].where["share"] for some in compared.values()), default=0.0)
    for kind, said in words.items():
        if some := [f"{method} {_last(compared[method], last)}" for _, method in own if overall(compared[method]) == kind]:
            told.append(f"{said} {', '.join(some)}")
    if told:
        yield f"Than by {_name(other)}, {'; '.join(told)}"


def _unread(found: Sequence[Finding]) -> Iterator[str]:
    lost: dict[str, list[str]] = {}
    for f in (f for f in found if f.name == EQUAL and f.value is None):
        lost.setdefault(word(f), []).append(f"{f.where['share'] * 100:g} %")
    if lost:
        told = ", ".join(f"{method} ({' and '.join(shares)})" for method, shares in lost.items())
        yield f"Not compared, for a run did not learn so much: {told}"


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


def chance(found: Sequence[Finding], what: Sequence[str]) -> Iterator[str]:
    """Yields how many of the differences that are told, of these findings, chance alone would tell apart."""
    judged = sum(verdict(f) != UNJUDGED for f in found if f.name == "contrast" and f.where["what"] in what)
    if judged > 1:
        yield f"Of {judged} intervals, each at 95 %, chance alone tells about {0.05 * judged:.1g} apart"


def edges(found: Sequence[Finding]) -> Iterator[str]:
    """Yields which methods' learning rates lie on the edge of their grid, where there are any."""
    edges = [f.where["method"] for f in found if f.name == "learning_rate" and "optimum may lie beyond" in f.note]
    if edges:
        yield f"Learning rates lie on the edge of their grid, where a better one may lie outside, for {', '.join(edges)}"
