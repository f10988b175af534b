"""The answer in words: whether features transfer, grow special and are co-adapted, and what the gain needs; every number is a finding."""

from collections.abc import Iterator, Sequence

from experiments.transfer.arms import ABOVE, BELOW, MATCHED, SCRATCH, TUNED
from experiments.transfer.readings import SLOPE
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, sentences, verdict
from research.findings import Finding, find, shown

CLAIM = (
    "The claims are that what blocks learned elsewhere serves here, frozen or tuned; that it is the more special the more blocks are "
    "taken; and that blocks which were trained together do not like to be cut apart (Yosinski et al. 2014). Losses are of the target, in "
    "{unit}, differences are paired by seed [95 % interval{splits}]"
)
NOTHING = "Nothing was compared: for that, an arm that copies blocks has to be read beside scratch"
TEXT = "bits/byte"
NO_VERDICT = "without an interval over bases, which is no verdict"


def answer(found: Sequence[Finding]) -> str:
    """Returns what each claim is worth in this run: the gain first, beside as much training from scratch."""
    if not found:
        return ""
    target = find(found, "target")
    unit = unit_of(found)
    claim = CLAIM.format(unit=unit, splits="" if unit == TEXT else " over splits, each with networks of its own")
    said = "The first split's target is" if unit != TEXT else "The target is"
    first = [*base_sentence(found), *([f"{said} {target.note}"] if target else []), claim]
    if not _between(found, "AnB+", SCRATCH) and not _between(found, TUNED, SCRATCH):
        return sentences([*first, NOTHING])
    gains = [*_gain(found, SCRATCH, "in as many steps"), *_gain(found, MATCHED, "in as many steps as A and an arm together")]
    return sentences([*first, *gains], [*_features(found), *_special(found), *_coadapted(found)], [*_needed(found), *_sure(found)])


def unit_of(found: Sequence[Finding]) -> str:
    """Returns the unit of the losses."""
    return next((f.unit for f in found if f.name == "transfer_loss"), TEXT)


def _between(found: Sequence[Finding], arm: str, beside: str) -> list[Finding]:
    return [f for f in found if f.name == "contrast" and f.where["between"] == f"{arm} - {beside}"]


def _grouped(some: Sequence[Finding], words: dict[str, str], form: str = ".3f") -> str:
    """What is told apart from 0 in each direction and what is not, as 'more at 1 block 0.12 [..], ...; less at ...'."""
    told = []
    for kind, said in words.items():
        if own := [f for f in some if verdict(f) == kind]:
            told.append(f"{said} {', '.join(f'{_at(f)}{shown(f, form)}' for f in own)}")
    return "; ".join(told)


def _at(f: Finding) -> str:
    n = f.where["n"]
    return "" if n is None else f"at {n} " if isinstance(n, int) else f"({n}) "


def _gain(found: Sequence[Finding], beside: str, how: str) -> Iterator[str]:
    for arm, said in (
        (TUNED, "Tuning all of A"),
        ("AnB+", "Tuning what has A's first n blocks"),
        ("AnB", "With A's first n blocks frozen"),
    ):
        if some := _between(found, arm, beside):
            words = {
                LESS: "the loss is lower,",
                ALIKE: "not told apart,",
                MORE: "the loss is higher,",
                UNJUDGED: f"{NO_VERDICT},",
            }
            yield f"{said}, beside from scratch {how}: {_grouped(some, words)}"


def _features(found: Sequence[Finding]) -> Iterator[str]:
    some = [f for f in found if f.name == "features" and f.where["n"] != SLOPE]
    if some:
        words = {
            LESS: "lower, so that A put something there that serves,",
            ALIKE: "not told apart",
            MORE: "higher, so that random ones serve better,",
            UNJUDGED: NO_VERDICT,
        }
        yield f"A's first n blocks, frozen, beside as many random ones, the loss is {_grouped(some, words)}"


def _special(found: Sequence[Finding]) -> Iterator[str]:
    some = [f for f in found if f.name == "specificity" and f.where["n"] != SLOPE]
    slope = find(found, "specificity", n=SLOPE)
    if not some:
        return
    words = {MORE: "higher", ALIKE: "not told apart", LESS: "lower", UNJUDGED: NO_VERDICT}
    yield f"Frozen, A's first blocks beside B's own, the loss is {_grouped(some, words)}"
    if slope is not None:
        said = {
            MORE: "A line through these rises, as is claimed, by",
            ALIKE: "A line through these is not told apart from a level one:",
            LESS: "A line through these falls, against the claim:",
            UNJUDGED: f"A line through these, {NO_VERDICT}:",
        }
        yield f"{said[verdict(slope)]} {shown(slope, '.3f')} {slope.unit}"


def _coadapted(found: Sequence[Finding]) -> Iterator[str]:
    others = {SCRATCH: "training whole, as long (scratch)", "BnB+": "the same with everything tuned", "B untouched": "B as it is"}
    for beside, what in others.items():
        if some := [f for f in found if f.name == "coadaptation" and f.where["beside"] == beside]:
            words = {MORE: "worse", ALIKE: "not told apart", LESS: "better", UNJUDGED: NO_VERDICT}
            yield f"B's first n blocks, frozen, with new ones behind them, are, beside {what}, {_grouped(some, words)}"
    dips = [f for f in found if f.name == "dip" and f.where["arm"] == "BnB"]
    if dips:
        cut = sorted({f.where["n"] for f in dips})
        deep = [n for n in cut if all(verdict(f) == MORE for f in dips if f.where["n"] == n)]
        told = f"at {' and '.join(map(str, deep))} blocks" if deep else "nowhere"
        yield (
            f"The dip by which co-adaptation showed itself there, B's own blocks cut in the middle worse than at both ends, appears {told} "
            f"({len(cut)} cuts were tried)"
        )


def _needed(found: Sequence[Finding]) -> Iterator[str]:
    said = {
        BELOW: "With A's first n blocks frozen",
        ABOVE: "With A's last n blocks and its head frozen",
        "AnB+": "With all behind A's first n blocks drawn anew",
    }
    for arm, what in said.items():
        if some := _between(found, arm, TUNED):
            words = {MORE: "higher", ALIKE: "not told apart", LESS: "lower", UNJUDGED: NO_VERDICT}
            yield f"{what}, beside tuning all of A, the loss is {_grouped(some, words)}"
    if some := _between(found, BELOW, ABOVE):
        words = {MORE: "more", ALIKE: "as much, as far as is told,", LESS: "less", UNJUDGED: f"{NO_VERDICT},"}
        yield f"Freezing n blocks from below, with the embedding, costs, beside as many from above, with the head, {_grouped(some, words)}"


def _sure(found: Sequence[Finding]) -> Iterator[str]:
    judged = [f for f in found if f.name in JUDGED and verdict(f) != UNJUDGED]
    if judged:
        yield f"Of {len(judged)} intervals, each at 95 %, chance alone tells about {max(1, round(0.05 * len(judged)))} apart"
    if edges := [f.where["arm"] for f in found if f.name == "learning_rate" and "optimum may lie beyond" in f.note]:
        yield f"The learning rate lies on the edge of its grid for {', '.join(edges)}"


JUDGED = ("specificity", "features", "untuned", "coadaptation", "dip", "contrast")
