"""The answer in words: what the rank does under each rule, which laws predict best, and what is left of each claim."""

from collections.abc import Iterator, Sequence

from experiments.learning_rate_law.compared import Place, at, at_end, between, by_rule, errors, places_of, times
from experiments.learning_rate_law.laws import CONSTANT, MEASURED, RANK, RULE, SETTING, SHAPE, TARGET, WIDTH
from research.analysis.rate_laws import ALPHA
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, sentences, verdict
from research.findings import Finding, find, shown

CLAIM = (
    "Said so far is that LoRA's best learning rate does not depend on the rank and is ten times full training's (Thinking Machines 2025, "
    "alpha fixed at 32); that it is 5.6 times higher at rank 4 than at rank 256, a power of -0.41 (arXiv 2602.04998, alpha = rank); and, "
    "there between initializations, that it goes as the inverse of the largest eigenvalue"
)
PUBLISHED = -0.41  # log(1 / 5.6) / log(256 / 4)
GRID = 0.14  # what one step of their grid, a factor of 1.78, changes it by
FIRST_STEP = {"rank": -0.5, "scale": -1.0}


def answer(found: Sequence[Finding]) -> str:
    """Returns what sets the best rate in this run, on the first target first."""
    every, found = found, at_end(found)
    places = places_of(found)
    if not places:
        return ""
    lead = places[0]
    first = [*base_sentence(found), *_powers(found, lead), *_claims(found, lead), *_best_laws(found, lead)]
    second = [CLAIM, *_plane(found, lead), *_before(every, lead), *_curvature(found, lead), *_left_out(found, lead)]
    rest = [part for place in places[1:] for part in (*_powers(found, place), *_claims(found, place), *_best_laws(found, place))]
    last = [part for place in places[1:] for part in _transferred(found, place)]
    return sentences(first, [*second, *_ratio(found, places)], [*rest, *last], [*_edges(found), *_exact(found)])


def _name(place: Place) -> str:
    return f"{place[0]} from {place[1]} weights"


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
    return [f"{rule} ({shown(f, '.2f')}{_of_ranks(f)})" for rule, f in own.items() if verdict(f) == kind]


def _of_ranks(f: Finding) -> str:
    """Which ranks a power is of, where some were not read."""
    return f", {f.note.split(';')[0]}" if f.note.startswith("of ranks") else ""


def _claims(found: Sequence[Finding], place: Place) -> Iterator[str]:
    """Whether each of the two claims holds under its own rule, and what one rate for all ranks costs there."""
    for rule, f in by_rule(found, place).items():
        name, cost = rule.partition("@")[0], find(found, "one_rate_cost", **at(place), rule=rule)
        if verdict(f) == UNJUDGED or f.low is None or f.high is None:
            continue
        costs = f"one rate for all these ranks costs {shown(cost, '.3f')} bits/byte"
        if name == "fixed":
            said = "not contradicted" if verdict(f) == ALIKE else "contradicted, if exactly is meant"
            yield f"That it does not depend on the rank at a fixed alpha is {said}{_over_ranks(found, f)}, and {costs}"
        elif name == "equal":
            published = f"{PUBLISHED} (one step of that grid either way: {PUBLISHED + GRID:.2f} to {PUBLISHED - GRID:.2f})"
            held = "within" if f.low <= PUBLISHED <= f.high else "outside of"
            yield f"Where alpha follows the rank, the published power of {published} is {held} the interval, and {costs}"
    some = [f for f in found if f.name == "contrast" and f.where["what"] == "rate_exponent" and at(place).items() <= f.where.items()]
    if apart := [f"{f.where['between']} {shown(f, '.2f')}" for f in some if "rule" not in f.where and verdict(f) in (LESS, MORE)]:
        yield f"The rule changes the power: {', '.join(apart)}"


def _over_ranks(found: Sequence[Finding], f: Finding) -> str:
    """What a power makes of the rate from the smallest rank to the largest that it is of."""
    same = {name: f.where[name] for name in ("target", "init", "rule")}
    ranks = sorted(g.where["rank"] for g in found if g.name == "best_rate" and g.value is not None and same.items() <= g.where.items())
    if f.value is None or f.low is None or f.high is None or not ranks:
        return ""
    value, low, high = (float((ranks[-1] / ranks[0]) ** end) for end in (f.value, f.low, f.high))
    return f": from rank {ranks[0]} to {ranks[-1]} it changes by x{shown(f._replace(value=value, low=low, high=high), '.2f')}"


def _before(found: Sequence[Finding], place: Place) -> Iterator[str]:
    """Whether powers hang on how long one trains."""
    own = [f for f in found if f.name == "contrast" and f.where.get("what") == "rate_exponent" and "step" in f.where["between"]]
    own = [f for f in own if at(place).items() <= f.where.items() and f.value is not None]
    if own:
        told = [f"{shown(f, '.2f')} under {f.where['rule']}" for f in own]
        yield f"The powers of the rank at the end less those at an earlier step ({own[0].where['between']}): {', '.join(told)}"


def _best_laws(found: Sequence[Finding], place: Place) -> Iterator[str]:
    """The laws that miss what was left out least, by whether they are told apart from the first of them."""
    own = {law: f for law, f in errors(found, place, SETTING).items() if law not in (MEASURED, WIDTH)}
    if len(own) < 2:
        yield f"No law was judged on {_name(place)}: that takes two rules whose best rates were found"
        return
    best, *others = own
    kinds: dict[str, list[str]] = {}
    for law in others:
        f = between(found, place, SETTING, (best, law))
        kinds.setdefault(UNJUDGED if f is None else verdict(f), []).append(f"{law} ({times(own[law])})")
    words = {ALIKE: "not told apart from it are", LESS: "worse are", UNJUDGED: "not judged beside it, for want of an interval, are"}
    told = [f"{said} {', '.join(kinds[kind])}" for kind, said in words.items() if kind in kinds]
    yield f"Of settings on {_name(place)} that were left out, {best} misses the best rate least, by {times(own[best])}; {'; '.join(told)}"
    costs = [f"{law} {shown(f, '.3f')}" for law in (best, CONSTANT) if (f := _cost(found, place, law)) is not None]
    yield f"What these misses cost, mean over settings, bits/byte: {', '.join(costs)}"
    if (measured := errors(found, place, SETTING).get(MEASURED)) is not None:
        yield f"What other bases measured at the same setting, a sweep in the place of a law, misses it by {times(measured)}"


def _cost(found: Sequence[Finding], place: Place, law: str) -> Finding | None:
    return find(found, "law_cost", **at(place), left_out=SETTING, law=law)


def _plane(found: Sequence[Finding], place: Place) -> Iterator[str]:
    own = {of: find(found, "rate_exponent", **at(place), rule="all", of=of) for of in FIRST_STEP}
    if not all(f is not None and f.value is not None for f in own.values()):
        return
    powers = " and ".join(f"the {of} to the power {shown(f, '.2f')}" for of, f in own.items())
    yield f"Over all rules it goes as {powers}; a first step of one norm would be {' and '.join(map(str, FIRST_STEP.values()))}"


def _curvature(found: Sequence[Finding], place: Place) -> Iterator[str]:
    power = find(found, "rate_exponent", **at(place), rule="all", of="lambda_max")
    own = errors(found, place, SETTING)
    if power is None or power.value is None or "1 / lambda_max" not in own:
        return
    inside = power.low is not None and power.high is not None and power.low <= -1 <= power.high
    yield (
        f"Between ranks and rules it goes as the largest eigenvalue to the power {shown(power, '.2f')}, which "
        f"{'holds' if inside else 'leaves out'} the -1 of its inverse; the inverse misses settings by {times(own['1 / lambda_max'])}"
    )
    apart = [f for f in found if f.name == "contrast" and f.where["what"] == "inverse" and at(place).items() <= f.where.items()]
    if apart:
        told = [f"{shown(f, '.2f')} under {f.where['rule']}" for f in apart]
        yield f"Powers of the rank in the best rate less those in that inverse: {', '.join(told)}"


def _left_out(found: Sequence[Finding], place: Place) -> Iterator[str]:
    for what, said in ((RANK, "all settings of a rank"), (RULE, "all settings of a rule")):
        own = {law: f for law, f in errors(found, place, what).items() if law not in (MEASURED, WIDTH)}
        if own:
            yield f"Where {said} are left out, rates are missed by {', '.join(f'{times(f)} ({law})' for law, f in own.items())}"
    width = errors(found, place, SETTING).get(WIDTH)
    if width is not None:
        yield f"Thinking Machines' formula in the width, to which nothing is fitted, misses by {times(width)} at an alpha of {ALPHA:g}"


def _ratio(found: Sequence[Finding], places: Sequence[Place]) -> Iterator[str]:
    """LoRA's best rate over full training's, at the alpha at which it is said to be ten, and over all settings."""
    told = []
    for place in places:
        own = [f for f in found if f.name == "lr_ratio" and at(place).items() <= f.where.items() and f.value is not None]
        stated = sorted(f.value or 0.0 for f in own if f.where["alpha"] == ALPHA)
        if stated:
            every = sorted(f.value or 0.0 for f in own)
            told.append(f"{stated[0]:.2f} to {stated[-1]:.2f} on {_name(place)} ({every[0]:.2f} to {every[-1]:.2f})")
    if told:
        yield f"At an alpha of {ALPHA:g} (at all alphas) LoRA's best rate over full training's is {', '.join(told)}: a matter of alpha"


def _transferred(found: Sequence[Finding], place: Place) -> Iterator[str]:
    if own := errors(found, place, TARGET):
        told = ", ".join(f"{times(f)} ({law})" for law, f in own.items())
        yield f"Fitted to the first target alone, rates on {place[0]} are missed by {told}"
    if own := errors(found, place, SHAPE):
        told = ", ".join(f"{times(f)} ({law})" for law, f in own.items())
        yield f"But for one factor for all settings, which is fitted there, they are missed by {told}"


def _edges(found: Sequence[Finding]) -> Iterator[str]:
    lost = [f for f in found if f.name == "best_rate" and f.value is None]
    if lost:
        what = [(f, f"{f.where['rule']} at rank {f.where['rank']}" if f.where["rule"] else "everything trained") for f in lost]
        names = dict.fromkeys(f"{said} on {_name((f.where['target'], f.where['init']))}" for f, said in what)
        yield f"No best rate was found, in at least one seed, for {', '.join(names)}: powers and laws are without it, and may hang on that"


def _exact(found: Sequence[Finding]) -> Iterator[str]:
    residual = find(found, "lambda_residual")
    if residual is not None and residual.value is not None:
        yield f"The largest residual of an eigenvalue is {residual.value:.1%} of it"
