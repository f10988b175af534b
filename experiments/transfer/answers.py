"""The answer in words: whether features transfer, grow special and are co-adapted, and what the gain needs; every number is a finding."""

from collections.abc import Iterator, Mapping, Sequence

from experiments.transfer.arms import ABOVE, BELOW, MATCHED, RANDOM, SCRATCH, SHUFFLED, TUNED
from experiments.transfer.readings import ADJUSTED, CUTS, SLOPE
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, sentences, verdict
from research.findings import Finding, find, shown

CLAIM = (
    "The claims are that what blocks learned elsewhere serves here, so that most of a network can be frozen and the rest tuned; that it is "
    "the more special the more blocks are taken; and that blocks which were trained together do not like to be cut apart (Yosinski et al. "
    "2014). Losses are of the target, in {unit}, differences are paired by seed [95 % interval]"
)
NOTHING = "Nothing was compared: for that, an arm has to be read beside another one that controls for it"
ALPHA, UNSURE, TEXT = 0.05, "unsure", "bits/byte"
HIGHER = {
    LESS: "the loss is lower",
    ALIKE: "not told apart",
    UNSURE: "not sure among so many comparisons",
    MORE: "the loss is higher",
    UNJUDGED: "without an interval over bases, which is no verdict,",
}


def answer(found: Sequence[Finding]) -> str:
    """Returns what each claim is worth in this run: first in short, then the gain, the blocks, and what the gain needs."""
    if not found:
        return ""
    target, unit = find(found, "target"), unit_of(found)
    said = "The first split's target is" if unit != TEXT else "The target is"
    first = [*base_sentence(found), *([f"{said} {target.note}"] if target else []), CLAIM.format(unit=unit)]
    if not [f for f in found if f.name in ("specificity", "features", "coadaptation", "contrast")]:
        return sentences([*first, NOTHING])
    gains = [*_gain(found, SCRATCH, "in as many steps"), *_gain(found, MATCHED, "for as long as A and an arm together")]
    blocks = [*_features(found), *_special(found), *_frozen(found), *_dip(found)]
    return sentences([*first, *_short(found)], gains, blocks, [*_needed(found), *_sure(found)])


def unit_of(found: Sequence[Finding]) -> str:
    """Returns the unit of the losses."""
    return next((f.unit for f in found if f.name == "transfer_loss"), TEXT)


def judged(found: Sequence[Finding], f: Finding) -> str:
    """Returns the verdict on a difference: unsure where it has one, but not among all of its family, by its adjusted p value."""
    said, adjusted = verdict(f), find(found, ADJUSTED, of=f.name, **f.where)
    return UNSURE if said in (LESS, MORE) and adjusted is not None and (adjusted.value or 0.0) > ALPHA else said


def _between(found: Sequence[Finding], arm: str, beside: str) -> list[Finding]:
    return [f for f in found if f.name == "contrast" and f.where["between"] == f"{arm} - {beside}"]


def _named(found: Sequence[Finding], name: str, **where: str) -> list[Finding]:
    return [f for f in found if f.name == name and where.items() <= f.where.items() and f.where["n"] != SLOPE]


def _grouped(found: Sequence[Finding], some: Sequence[Finding], words: Mapping[str, str] = HIGHER) -> str:
    """What is told apart from 0 in each direction and what is not, as 'the loss is lower at 1 -0.12 [..], ...; not told apart at ...'."""
    told = []
    for kind, said in words.items():
        if own := [f for f in some if judged(found, f) == kind]:
            told.append(f"{said} {', '.join(_at(f) + shown(f, '.3f') for f in own)}")
    return "; ".join(told)


def _at(f: Finding) -> str:
    return "" if f.where["n"] is None else f"at {f.where['n']} "


def _depth(found: Sequence[Finding]) -> float:
    depth = find(found, "depth")
    return float("inf") if depth is None or depth.value is None else depth.value


def _short(found: Sequence[Finding]) -> Iterator[str]:
    """A clause for each claim: carried, not carried, not told."""
    for f in _between(found, TUNED, SCRATCH):
        longer = next(iter(_between(found, TUNED, MATCHED)), None)
        cheap = {LESS: "Tuning all of A beats as many steps from scratch", MORE: "Tuning all of A loses to as many steps from scratch"}
        dear = {LESS: "and as many as it and A took together", MORE: "and loses to as many as it and A took together"}
        more = (
            "" if longer is None else f", {dear.get(judged(found, longer), 'and is not told apart from as many as it and A took together')}"
        )
        yield cheap.get(judged(found, f), "Tuning all of A is not told apart from as many steps from scratch") + more
    if kept := _kept(found, BELOW):
        yield f"Of that gain, freezing A's first n blocks, with the embedding, keeps {kept}"
    nulls = [_named(found, "features", beside=beside) for beside in (RANDOM, SHUFFLED)]
    if any(nulls):
        blocks = sorted({f.where["n"] for some in nulls for f in some})
        carried = [n for n in blocks if all(judged(found, f) == LESS for some in nulls for f in some if f.where["n"] == n)]
        yield f"Frozen, A's first n blocks serve better than those that know nothing for n = {_listed(carried)} of {_listed(blocks)}"
    slope, null = find(found, "specificity", n=SLOPE), find(found, "null_specificity", n=SLOPE)
    if slope is not None:
        said = {MORE: "More is special to A with each block", LESS: "Less is special to A with each block, against the claim,"}
        beside = f"; of random blocks {shown(null, '.3f')}" if null is not None else ""
        lead = said.get(judged(found, slope), "That more is special to A with each block is not told")
        yield f"{lead} ({shown(slope, '.3f')} {slope.unit}{beside})"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def _gain(found: Sequence[Finding], beside: str, how: str) -> Iterator[str]:
    arms = {
        TUNED: "Tuning all of A",
        BELOW: "With A's first n blocks frozen and the others tuned",
        "AnB+": "Tuning what has A's first n blocks and new ones behind them",
        "AnB": "With A's first n blocks frozen and new ones behind them",
    }
    told = [f"{said}, {_grouped(found, some)}" for arm, said in arms.items() if (some := _between(found, arm, beside))]
    if told:
        twice = ", which read as much more of the target" if beside == MATCHED else ""
        yield f"Beside training from scratch {how}{twice}: {'. '.join(told)}"
    if beside == SCRATCH and (own := _between(found, "B untouched", SCRATCH)):
        yield f"B as it is, beside from scratch, which differ in rate and order alone: {_grouped(found, own)}"


def _features(found: Sequence[Finding]) -> Iterator[str]:
    before = " (and a random embedding)" if unit_of(found) == TEXT else ""
    for beside, said in ((RANDOM, f"random ones{before}"), (SHUFFLED, "of A's own with their entries permuted")):
        if some := _named(found, "features", beside=beside):
            yield f"A's first n blocks, frozen, beside as many {said}: {_grouped(found, some)}"


def _special(found: Sequence[Finding]) -> Iterator[str]:
    if some := _named(found, "specificity"):
        yield f"Frozen, A's first n blocks beside B's own: {_grouped(found, some)}"
    if shares := [f for f in found if f.name == "specificity_share" and f.value is not None]:
        told = ", ".join(f"{_at(f)}{shown(f, '.2f')}" for f in shares)
        yield f"The fewer weights are trained, the more any difference counts: of what random blocks lose beside B's, A's lose {told}"


def _frozen(found: Sequence[Finding]) -> Iterator[str]:
    others = dict(zip(CUTS, ("training from scratch", "the same with everything tuned", "B as it is"), strict=True))
    for beside, what in others.items():
        if some := _named(found, "coadaptation", beside=beside):
            yield f"B's first n blocks, frozen, beside {what}: {_grouped(found, some)}"
    if any(f.where["n"] == _depth(found) for f in _named(found, "coadaptation")):
        yield f"At {_depth(found):g}, all blocks, a new head alone is trained, and nothing is cut"


def _dip(found: Sequence[Finding]) -> Iterator[str]:
    if not (dips := [f for f in found if f.name == "dip"]):
        return
    cut = sorted({f.where["n"] for f in dips})
    deep = [n for n in cut if all(judged(found, f) == MORE for f in dips if f.where["n"] == n)]
    ends = {end: _grouped(found, [f for f in dips if f.where["beside"] == end]) for end in ("first", "last")}
    where = f"appears at {' and '.join(map(str, deep))} blocks" if deep else "appears nowhere"
    yield (
        f"The dip by which co-adaptation showed there, B's own blocks cut in the middle worse than at both ends, {where}: beside the "
        f"fewest blocks, {ends['first']}; beside the most, {ends['last']}"
    )


def _needed(found: Sequence[Finding]) -> Iterator[str]:
    said = {
        ABOVE: "freezing A's last n blocks and head keeps",
        "AnB+": "drawing all behind its first n blocks anew",
        "AnB": "doing that and freezing the first n",
    }
    told = [f"{what} {kept}" for arm, what in said.items() if (kept := _kept(found, arm))]
    if told:
        yield f"Of the gain of tuning all of A over scratch, {'; '.join(told)} (intervals: findings `gain_share`)"
    if some := _between(found, BELOW, ABOVE):
        yield f"Freezing n blocks from below, with the embedding, beside as many from above, with the head: {_grouped(found, some)}"


def _kept(found: Sequence[Finding], arm: str) -> str:
    """How much of the gain of tuning all of A an arm keeps, where tuning gains anything: '94 % at 1, nothing at 4'."""
    if not [f for f in _between(found, TUNED, SCRATCH) if judged(found, f) == LESS]:
        return ""
    own = [f for f in found if f.name == "gain_share" and f.where["arm"] == arm and f.value is not None]
    return ", ".join(f"{f'{f.value:.0%}' if (f.value or 0) > 0 else 'nothing'} at {f.where['n']}" for f in own)


def _sure(found: Sequence[Finding]) -> Iterator[str]:
    yield "Each sentence's verdicts are adjusted for their number (Holm 1979), intervals are not"
    if edges := dict.fromkeys(f.where["arm"] for f in found if f.name == "learning_rate" and "optimum may lie beyond" in f.note):
        yield f"The learning rate lies on the edge of its grid for {', '.join(edges)}"
