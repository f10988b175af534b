"""The answer in words, each of which a finding carries: dimensions, factors between initializations, and which way they point."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.intrinsic_dimension.comparisons import LEADER
from experiments.intrinsic_dimension.readings import NAMES
from research.analysis.contrasts import BASE_LEFT_OUT
from research.analysis.wording import base_sentence
from research.findings import Finding, find, shown

SHARE = "Dimensions of a random subspace for 90 % of what full training reaches"
COUNTED = {
    "min": "counted from the untouched loss or the unigram entropy, the lower of both",
    "untouched": "counted from the untouched loss",
}
FEWER, MORE, ALIKE = "fewer", "more", "not told apart"


def answer(found: Sequence[Finding]) -> str:
    """Returns what each model takes for 90 % of its full training; initializations are compared from both starts, by the factors alone."""
    own = [f for f in found if f.name == "d90" and f.where["threshold"] == "relative"]
    subjects = dict.fromkeys((f.where["model"], f.where["parameters"]) for f in own)
    parts: list[str] = []
    ends: list[str] = []
    for model, parameters in subjects:
        some = [f for f in found if f.where.get("model") == model and f.where.get("parameters") == parameters]
        first = find(some, "d90", threshold="relative")
        mine = [f for f in some if first and f.where.get("projection") == first.where["projection"]]
        language = any(f.name == "d90_by_definition" for f in mine)
        parts.append(f"{NAMES[model]} ({parameters:,} parameters), " + (_by_start(mine) if language else _of_network(mine)))
        ends += _verdicts(mine)
    of_whom = [f"{sentence}." for sentence in base_sentence(found)] if parts else []
    return " ".join([*of_whom, f"{SHARE}: {'; '.join(parts)}.", *ends, *_left_out(own)])


def _left_out(own: Sequence[Finding]) -> list[str]:
    """What the intervals of draws that all start from one base hold, where there are such."""
    draws = [f.n for f in own if BASE_LEFT_OUT in f.note]
    if not draws:
        return []
    return [f"Intervals are over {max(draws)} draws of one base (the projection and the order of the data vary): the base is left out."]


def _of_network(mine: Sequence[Finding]) -> str:
    own = [f for f in mine if f.name == "d90" and f.where["threshold"] == "relative"]
    return ", ".join(f"from {f.where['init']} weights {shown(f, ',.0f')}" for f in own)


def _by_start(mine: Sequence[Finding]) -> str:
    """From every initialization, by each start; what is compared beside its factor."""
    parts = []
    for start, words in COUNTED.items():
        own = [f for f in mine if f.name == "d90_by_definition" and f.where["start"] == start]
        reached = ", ".join(f"from {f.where['init']} weights {shown(f, ',.0f')}" for f in own)
        factors = [
            f"{f.where['between']} {shown(f, '.2g') if f.value is not None else 'not read'} ({direction(f)})"
            for f in _factors(mine, start=start)
        ]
        parts.append(f"{words}, {reached}" + (f", as factors {', '.join(factors)}" if factors else ""))
    return "; ".join(parts)


def direction(f: Finding) -> str:
    """Returns which way a factor points, where its interval leaves out 1; documents of one base alone tell nothing apart."""
    if f.n < 2:
        return ALIKE
    if f.high is not None and f.high < 1:
        return FEWER
    return MORE if f.low is not None and f.low > 1 else ALIKE


def _verdicts(mine: Sequence[Finding]) -> Iterator[str]:
    """Sentences on whether the start decides: against which weights the order reverses, stays, or is told apart from one start alone."""
    groups: dict[str, list[str]] = {}
    for f in _factors(mine, start="min"):
        other = next((g for g in _factors(mine, start="untouched") if _other(g) == _other(f)), None)
        if other is not None:
            groups.setdefault(_verdict(direction(f), direction(other)), []).append(_other(f))
    for words, inits in groups.items():
        yield f"Against {' and '.join(inits)} weights {words}."


def _verdict(lower: str, untouched: str) -> str:
    if {lower, untouched} == {FEWER, MORE}:
        return "the order reverses with the start that a gain is counted from"
    if lower == untouched:
        return f"{LEADER} ones are not told apart from either start" if lower == ALIKE else f"{LEADER} ones take {lower} from both starts"
    return f"{LEADER} ones are told apart from one start alone"


def _factors(mine: Sequence[Finding], **where: Any) -> list[Finding]:
    wanted: Mapping[str, Any] = {"threshold": "relative", **where}
    return [f for f in mine if f.name == "contrast" and wanted.items() <= f.where.items()]


def _other(f: Finding) -> str:
    return str(f.where["between"].partition(" / ")[2])
