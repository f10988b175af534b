"""The answer in words: what each prediction is worth in this run, what contradicts first; every number is a finding."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from research.analysis.contrasts import BASE_LEFT_OUT
from research.findings import Finding, find, shown

CLAIM = (
    "The predictions are that a style is learned in steps that hardly hang on how many entities it is shown on, and needs little capacity; "
    "that facts need capacity; that new facts cost old ones; and that retrieval reads new facts without training, at a price for each "
    "question [95 % intervals, paired by base]"
)
NOTHING = "Nothing was compared: for that, styles, facts and what is known have to be taught"
AGAINST, OPEN, FOR, UNJUDGED = "Against the predictions", "Not told apart", "As predicted", "Without an interval over bases, no verdict"
ORDER = (AGAINST, OPEN, FOR, UNJUDGED)
NEAR = 0.1  # of a score of 1: an adapter that comes so near is enough for a style
LAW = 2.0  # bits a parameter, of transformers that saw each fact often (Allen-Zhu & Li 2024, arXiv 2404.05405)


class Said(NamedTuple):
    """A sentence on a prediction, and what it is worth."""

    verdict: str
    text: str


def answer(found: Sequence[Finding]) -> str:
    """Returns what each prediction is worth in this run: what contradicts first, then what is open, then what is carried."""
    if not found:
        return ""
    said = [each for part in (_style, _capacity, _forgets, _retrieval) for each in part(found)]
    if not said:
        return f"{CLAIM}. {NOTHING}."
    parts = [CLAIM]
    for verdict in ORDER:
        if texts := [each.text for each in said if each.verdict == verdict]:
            parts.append(f"{verdict}: {'; '.join(texts)}")
    parts += [*_beside_retrieval(found), *_saturated(found), *_edges(found)]
    return " ".join(f"{part}." for part in parts)


def judged(f: Finding, predicted: Callable[[Finding], str]) -> str:
    """Returns the verdict on a difference, unjudged where no interval over bases holds it."""
    if f.value is None or f.n < 2 or f.low is None or f.high is None or BASE_LEFT_OUT in f.note:
        return UNJUDGED
    return predicted(f)


def below(f: Finding) -> str:
    """Returns the verdict where a difference below 0 is predicted."""
    assert f.low is not None and f.high is not None
    return FOR if f.high < 0 else AGAINST if f.low > 0 else OPEN


def above(f: Finding) -> str:
    """Returns the verdict where a difference above 0 is predicted."""
    return {FOR: AGAINST, AGAINST: FOR, OPEN: OPEN}[below(f)]


def _contrasts(found: Sequence[Finding], what: str) -> list[Finding]:
    return [f for f in found if f.name == "contrast" and f.where["what"] == what]


def _style(found: Sequence[Finding]) -> Iterator[Said]:
    """A style's steps by entities beside those of facts, and what the smallest adapters make of it."""
    for f in _contrasts(found, "steps_to_style"):
        facts = next((g for g in _contrasts(found, "steps_to_facts") if g.where["how"] == f.where["how"] and _times(g) == _times(f)), None)
        beside = "" if facts is None else f", where facts take {shown(facts, '.2f')} times as many"
        hardly = judged(f, lambda g: FOR if (g.high or 0) < _times(g) else AGAINST if (g.low or 0) > _times(g) else OPEN)
        hangs = f"hardly: less than {_times(f):g}"
        yield Said(hardly, f"a style ({f.where['between']}, {f.where['how']}) takes {shown(f, '.2f')} times the steps ({hangs}){beside}")
    for f in _contrasts(found, "style_score"):
        whole = find(found, "style_score", arm=f.where["arm"], how="full")
        reached = judged(f, lambda g: FOR if (g.low or 0) > -NEAR else AGAINST if (g.high or 0) < -NEAR else OPEN)
        yield Said(
            reached, f"{f.where['between'].split(' - ')[0]} ends {shown(f, '.2f')} beside full training's score of {shown(whole, '.2f')}"
        )


def _sizes(f: Finding) -> tuple[str, ...]:
    return tuple(next(part for part in side.split(":") if part.isdecimal()) for side in f.where["between"].split(" / "))


def _times(f: Finding) -> float:
    """The square root of how many times the entities are: a style whose steps rise by less hardly hangs on them."""
    most, least = (float(size) for size in _sizes(f))
    return (most / least) ** 0.5


def _capacity(found: Sequence[Finding]) -> Iterator[Said]:
    for f in (f for f in _contrasts(found, "bits_learned") if f.where["between"].endswith(" - full")):
        whole = find(found, "bits_learned", arm=f.where["arm"], how="full", per="total", asked="trained")
        how = f.where["between"].split(" - ")[0]
        yield Said(judged(f, below), f"of {f.where['arm']} {how} learns {shown(f)} bits beside full training's {shown(whole)}")


def _forgets(found: Sequence[Finding]) -> Iterator[Said]:
    for f in _contrasts(found, "old_recall"):
        first, _, second = f.where["between"].partition(" - ")
        if first.startswith(("facts:", "mixed:", "conflict:")) and f.where.get("how"):
            yield Said(judged(f, below), f"{first} ({f.where['how']}) changes old facts by {shown(f, '.2f')} bits beside {second}")


def _retrieval(found: Sequence[Finding]) -> Iterator[Said]:
    read, alone = (find(found, "untouched", what=what) for what in ("retrieved_bits", "new_bits"))
    if read is not None and alone is not None:
        verdict = judged(read, lambda f: FOR if f.low is not None and f.low > max(0.0, alone.high or 0.0) else AGAINST)
        yield Said(verdict, f"retrieval reads {shown(read)} bits of new facts, of which a base knows {shown(alone)} without")


def _beside_retrieval(found: Sequence[Finding]) -> Iterator[str]:
    told = []
    for f in (f for f in _contrasts(found, "bits_learned") if f.where["between"].endswith(" - retrieval")):
        queries = find(found, "breakeven_queries", how=f.where["how"])
        price = f" (a run costs as much as {shown(queries)} questions with a fact before each)" if queries else ""
        told.append(f"{f.where['between'].split(' - ')[0]} by {f.where['how']} {shown(f)}{price}")
    if told:
        yield f"Bits that training learned, less those that retrieval reads: {'; '.join(told)}"


def _saturated(found: Sequence[Finding]) -> Iterator[str]:
    own = [f for f in found if f.name == "bits_per_parameter" and f.value is not None]
    for f in sorted(own, key=lambda f: -(f.value or 0.0))[:1]:
        yield (
            f"Most bits a parameter has {f.where['how']} ({f.where['arm']}): {shown(f)}, {f.note.split(';')[0]}; the law of {LAW:g} is of "
            "whole models that saw each fact a thousand times"
        )


def _edges(found: Sequence[Finding]) -> Iterator[str]:
    edges = [f.where["arm"] for f in found if f.name == "learning_rate" and "optimum may lie beyond" in f.note]
    if edges:
        yield f"Learning rates lie on the edge of their grid, where a better one may lie outside, for {', '.join(edges)}"
