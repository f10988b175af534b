"""The answer in words: what the rank does under each rule, which law predicts best, and what is left of each claim."""

from collections.abc import Iterator, Sequence

import numpy as np

from experiments.learning_rate_law.laws import CONSTANT, MEASURED, RANK, RULE, SETTING, SHAPE, TARGET
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, sentences, verdict
from research.findings import Finding, find, shown

CLAIM = (
    "Said so far is that LoRA's best learning rate does not depend on the rank (Thinking Machines 2025, alpha fixed), and that it is 5.6 "
    "times higher at rank 4 than at rank 256 (arXiv 2602.04998, alpha = rank), a power of -0.41, as the largest eigenvalue would have it"
)
PUBLISHED = -0.41  # log(1 / 5.6) / log(256 / 4)
FIRST_STEP = {"rank": -0.5, "scale": -1.0}
Place = tuple[str, str]  # target, init


def answer(found: Sequence[Finding]) -> str:
    """Returns what sets the best rate in this run, on the first target first."""
    every, found = found, at_end(found)
    places = places_of(found)
    if not places:
        return ""
    first = [*base_sentence(found), *_powers(found, places[0]), *_claims(found, places[0]), *_best_law(found, places[0])]
    second = [
        CLAIM,
        *_plane(found, places[0]),
        *_before(every, places[0]),
        *_curvature(found, places[0]),
        *_left_out(found, places[0]),
        *_ratio(found, places[0]),
    ]
    rest = [part for place in places[1:] for part in (*_powers(found, place), *_best_law(found, place), *_transferred(found, place))]
    return sentences(first, second, rest, [*_edges(found), *_exact(found)])


def at_end(found: Sequence[Finding]) -> list[Finding]:
    """Returns the findings without what was read before the last step."""
    last = max((f.where["step"] for f in found if f.where.get("step") is not None), default=0)
    return [f for f in found if f.where.get("step", last) == last]


def places_of(found: Sequence[Finding]) -> list[Place]:
    """Returns the targets and starts of which a best rate was looked for, in order."""
    return list(dict.fromkeys((f.where["target"], f.where["init"]) for f in found if f.name == "best_rate"))


def _at(place: Place) -> dict[str, str]:
    return {"target": place[0], "init": place[1]}


def _name(place: Place) -> str:
    return f"{place[0]} from {place[1]} weights"


def _exponents(found: Sequence[Finding], place: Place, of: str = "rank") -> list[Finding]:
    return [f for f in found if f.name == "rate_exponent" and f.where["of"] == of and _at(place).items() <= f.where.items()]


def by_rule(found: Sequence[Finding], place: Place) -> dict[str, Finding]:
    """Returns the power of the rank under each rule."""
    return {f.where["rule"]: f for f in _exponents(found, place) if f.where["rule"] != "all"}


def _powers(found: Sequence[Finding], place: Place) -> Iterator[str]:
    words = {
        MORE: "rises with the rank",
        LESS: "falls with the rank",
        ALIKE: "is not told apart from one that does not depend on the rank",
        UNJUDGED: "has a power without an interval over bases, which is no verdict",
    }
    own = by_rule(found, place)
    told = [f"{said} under {', '.join(some)}" for kind, said in words.items() if (some := _said(own, kind))]
    if told:
        yield f"On {_name(place)} the best learning rate {'; it '.join(told)} (power of the rank)"


def _said(own: dict[str, Finding], kind: str) -> list[str]:
    return [f"{rule} ({shown(f, '.2f')})" for rule, f in own.items() if verdict(f) == kind]


def _claims(found: Sequence[Finding], place: Place) -> Iterator[str]:
    """Whether each of the two claims holds under its own rule."""
    for rule, f in by_rule(found, place).items():
        name = rule.partition("@")[0]
        if verdict(f) == UNJUDGED or f.low is None or f.high is None:
            continue
        if name == "fixed":
            said = "not contradicted" if verdict(f) == ALIKE else "contradicted"
            yield f"That it does not depend on the rank at a fixed alpha is {said}{_over_ranks(found, place, f)}"
        elif name == "equal":
            held = f.low <= PUBLISHED <= f.high
            yield f"A power of {PUBLISHED} where alpha follows the rank is {'within' if held else 'outside of'} the interval"
    some = [f for f in found if f.name == "contrast" and f.where["what"] == "rate_exponent" and _at(place).items() <= f.where.items()]
    some = [f for f in some if "rule" not in f.where]
    if apart := [f"{f.where['between']} {shown(f, '.2f')}" for f in some if verdict(f) in (LESS, MORE)]:
        yield f"The rule changes the power: {', '.join(apart)}"


def _over_ranks(found: Sequence[Finding], place: Place, f: Finding) -> str:
    """What a power makes of the rate from the smallest rank to the largest."""
    ranks = sorted({g.where["rank"] for g in found if g.name == "best_rate" and g.where["rule"] == f.where["rule"]})
    if f.value is None or f.low is None or f.high is None or not ranks:
        return ""
    value, low, high = (float((ranks[-1] / ranks[0]) ** end) for end in (f.value, f.low, f.high))
    return f"; from rank {ranks[0]} to {ranks[-1]} it changes by {_factor(f._replace(value=value, low=low, high=high))}"


def _factor(f: Finding) -> str:
    return f"x{shown(f, '.2f')}"


def _before(found: Sequence[Finding], place: Place) -> Iterator[str]:
    """Whether powers hang on how long one trains."""
    own = [f for f in found if f.name == "contrast" and f.where.get("what") == "rate_exponent" and "step" in f.where["between"]]
    own = [f for f in own if _at(place).items() <= f.where.items() and f.value is not None]
    if own:
        told = [f"{shown(f, '.2f')} under {f.where['rule']}" for f in own]
        yield f"The powers of the rank at the end less those at an earlier step ({own[0].where['between']}): {', '.join(told)}"


def errors(found: Sequence[Finding], place: Place, left_out: str) -> dict[str, Finding]:
    """Returns the error of each law where something was left out, the best first."""
    own = [f for f in found if f.name == "law_error" and {**_at(place), "left_out": left_out}.items() <= f.where.items()]
    return {f.where["law"]: f for f in sorted(own, key=lambda f: np.inf if f.value is None else f.value)}


def times(f: Finding | None) -> str:
    """Returns an error of logarithms as the factor by which rates are missed."""
    if f is None or f.value is None:
        return "–"
    value, low, high = (None if end is None else float(np.exp(max(end, 0.0))) for end in (f.value, f.low, f.high))
    return "x" + shown(f._replace(value=value, low=low, high=high), ".2f")


def between(found: Sequence[Finding], place: Place, left_out: str, laws: tuple[str, str]) -> Finding | None:
    """Returns the error of one law less that of another."""
    where = {**_at(place), "what": "law_error", "left_out": left_out}
    one = find(found, "contrast", **where, between=f"{laws[0]} - {laws[1]}")
    if one is not None:
        return one
    other = find(found, "contrast", **where, between=f"{laws[1]} - {laws[0]}")
    if other is None:
        return None
    value, low, high = (None if end is None else -end for end in (other.value, other.high, other.low))
    return other._replace(value=value, low=low, high=high)


def _best_law(found: Sequence[Finding], place: Place) -> Iterator[str]:
    """The law of the smallest error, its runner-up, and whether it is told apart from that and from one rate for all."""
    own = {law: f for law, f in errors(found, place, SETTING).items() if law not in (MEASURED, "width")}
    if len(own) < 2:
        return
    best, second = list(own)[:2]
    said = f"Of settings that were left out, {best} predicts the rate best on {_name(place)}, missing it by {times(own[best])}"
    told = []
    for other in dict.fromkeys((second, CONSTANT)):
        f = between(found, place, SETTING, (best, other)) if other != best else None
        if f is not None:
            kind = verdict(f)
            words = "better than" if kind == LESS else "not judged beside" if kind == UNJUDGED else "not told apart from"
            told.append(f"{words} {other} ({times(own[other])}; difference of logarithms {shown(f, '.2f')})")
    costs = [f"{law} {shown(f, '.3f')}" for law in (best, CONSTANT) if (f := _cost(found, place, law)) is not None]
    yield f"{said}, {', '.join(told)}" if told else said
    yield f"What that costs on average, as far as losses are parabolas, is in bits/byte: {', '.join(costs)}"
    if (measured := errors(found, place, SETTING).get(MEASURED)) is not None:
        yield f"What other bases measured at the same setting, a sweep in the place of a law, misses it by {times(measured)}"


def _cost(found: Sequence[Finding], place: Place, law: str) -> Finding | None:
    return find(found, "law_cost", **_at(place), left_out=SETTING, law=law)


def _plane(found: Sequence[Finding], place: Place) -> Iterator[str]:
    own = {of: find(found, "rate_exponent", **_at(place), rule="all", of=of) for of in FIRST_STEP}
    if not all(f is not None and f.value is not None for f in own.values()):
        return
    powers = " and ".join(f"the {of} to the power {shown(f, '.2f')}" for of, f in own.items())
    yield f"Over all rules it goes as {powers}; a first step of one norm would be {' and '.join(map(str, FIRST_STEP.values()))}"


def _curvature(found: Sequence[Finding], place: Place) -> Iterator[str]:
    power = find(found, "rate_exponent", **_at(place), rule="all", of="lambda_max")
    own = errors(found, place, SETTING)
    if power is None or power.value is None or "1 / lambda_max" not in own:
        return
    inside = power.low is not None and power.high is not None and power.low <= -1 <= power.high
    yield (
        f"It goes as the largest eigenvalue to the power {shown(power, '.2f')}, which {'holds' if inside else 'leaves out'} the -1 of its "
        f"inverse; the inverse misses settings by {times(own['1 / lambda_max'])}"
    )
    scaled = [f for f in found if f.name == "lambda_exponent" and f.where["rule"] != "all" and _at(place).items() <= f.where.items()]
    if scaled:
        told = [f"{shown(f, '.2f')} under {f.where['rule']}" for f in scaled]
        yield f"The eigenvalue itself goes as the rank to the power {', '.join(told)}"


def _left_out(found: Sequence[Finding], place: Place) -> Iterator[str]:
    for what, said in ((RANK, "all settings of a rank"), (RULE, "all settings of a rule")):
        own = {law: f for law, f in errors(found, place, what).items() if law not in (MEASURED, "width")}
        if own:
            yield f"Where {said} are left out, rates are missed by {', '.join(f'{times(f)} ({law})' for law, f in own.items())}"
    width = errors(found, place, SETTING).get("width")
    if width is not None:
        yield f"Thinking Machines' formula in the width, to which nothing is fitted, misses by {times(width)} at an alpha of 32"


def _ratio(found: Sequence[Finding], place: Place) -> Iterator[str]:
    own = [f for f in found if f.name == "lr_ratio" and _at(place).items() <= f.where.items() and f.value is not None]
    if own:
        least, most = min(own, key=lambda f: f.value or 0.0), max(own, key=lambda f: f.value or 0.0)
        ends = [f"{shown(f)} ({f.where['rule']} at rank {f.where['rank']})" for f in (least, most)]
        yield f"LoRA's best rate is {ends[0]} to {ends[1]} times full training's, which is said to be 10"


def _transferred(found: Sequence[Finding], place: Place) -> Iterator[str]:
    own = errors(found, place, TARGET)
    if own:
        told = ", ".join(f"{times(f)} ({law})" for law, f in own.items())
        yield f"Fitted to the first target alone, rates on {place[0]} are missed by {told}"
    if own := errors(found, place, SHAPE):
        told = ", ".join(f"{times(f)} ({law})" for law, f in own.items())
        yield f"But for one factor for all settings, which is fitted there, they are missed by {told}"


def _edges(found: Sequence[Finding]) -> Iterator[str]:
    lost = [f for f in found if f.name == "best_rate" and f.value is None]
    if lost:
        names = [f"{f.where['rule'] or 'full'} at rank {f.where['rank']} on {_name((f.where['target'], f.where['init']))}" for f in lost]
        yield f"No best rate was found, in at least one seed, for {', '.join(dict.fromkeys(names))}: the laws are without these"


def _exact(found: Sequence[Finding]) -> Iterator[str]:
    residual = find(found, "lambda_residual")
    if residual is not None and residual.value is not None:
        yield f"The least exact eigenvalue is exact to {residual.value:.1%} of itself"
