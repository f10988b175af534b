"""The answer in words: what of a full update's rank, and of LoRA's intruders, is more than noise; every number is a finding."""

from collections.abc import Iterable, Iterator, Sequence

from experiments.lora_vs_full.headlines import END, FULL, NOISE, NONE, ROTATED, arms, named, nulls, places
from experiments.lora_vs_full.tables import EQUAL_TARGET, INTRUDERS, OTHERS, UPDATE
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, sentences, verdict
from research.findings import Finding, find, shown

CLAIM = (
    "The claims are that a full update has a high rank and needs it, that LoRA leaves intruders, leading directions that the start does "
    "not know, and full training none, and that scaling intruders down undoes forgetting; arms are compared where they have learned "
    "equally much (a share of what full learns), and each beside its nulls [95 % interval]"
)
NOTHING = "Nothing was compared: for that, full training has to learn something, and another arm to come down to its level"
MIXED = "mixed"
SOURCE = "source"
BESIDE = {
    NOISE: "Gaussian noise of its norm",
    ROTATED: "its own singular values in random directions",
    "shuffled": "full training on shuffled labels",
    SOURCE: "full training on the source, where nothing is new",
    FULL: "full training",
}
SAID = {
    MORE: "more than",
    LESS: "fewer than",
    ALIKE: "not told apart from",
    UNJUDGED: "no verdict (no interval of any width over bases) beside",
}


def answer(found: Sequence[Finding]) -> str:
    """Returns what each claim is worth in this run: in short, and in a second paragraph the numbers behind it."""
    if not found:
        return ""
    target = find(found, "target")
    start = [*base_sentence(found), *([f"The target is {target.note}"] if target else []), CLAIM]
    if not places(found) or not any(f.name == "contrast" and f.where["between"].endswith(f" - {FULL}") for f in found):
        return sentences([*start, NOTHING])
    short = [*_rank_in_short(found), *_intruders_in_short(found), *_scaled_in_short(found)]
    long = [*_rank(found), *_needed(found), *_intruders(found), *_detector(found), *_scaled(found), *_subspaces(found)]
    return sentences([*start, *short], [*long, *_amplified(found), *_unread(found), *_chance(found), *_edges(found)])


def overall(some: Iterable[Finding]) -> str:
    """Returns the verdict in which differences agree, MIXED where they do not, UNJUDGED where one is missing or there are none."""
    verdicts = {verdict(f) for f in some}
    if len(verdicts - {UNJUDGED}) > 1:
        return MIXED
    return verdicts.pop() if len(verdicts) == 1 else UNJUDGED


def _contrasts(found: Sequence[Finding], metric: str, arm: str, other: str) -> list[Finding]:
    """The differences of an arm from another, where both have learned equally much and at the end."""
    own = (find(found, "contrast", what=metric, between=f"{arm} - {other}", at=at) for at in (*places(found), END))
    return [f for f in own if f is not None and f.value is not None]


def _named(found: Sequence[Finding], name: str) -> list[str]:
    return [arm for arm in arms(found) if arm.partition("@")[0] == name]


def _rank_in_short(found: Sequence[Finding]) -> Iterator[str]:
    new, labels = (overall(_contrasts(found, "energy_rank", FULL, null)) for null in (SOURCE, "shuffled"))
    words = {
        LESS: "A full update has fewer directions than the same training where nothing is new",
        ALIKE: "A full update is not told apart in its number of directions from the same training where nothing is new",
        MORE: "A full update has more directions than the same training where nothing is new",
        MIXED: "Whether a full update has more directions than the same training where nothing is new hangs on how much was learned",
    }
    other = {LESS: ", and fewer than on shuffled labels", MORE: ", and more than on shuffled labels"}
    if new in words:
        so = ": a high rank is no evidence of learning" if new in (LESS, ALIKE) else ""
        yield f"{words[new]}{other.get(labels, '')}{so}"


def _intruders_in_short(found: Sequence[Finding]) -> Iterator[str]:
    loras, slow = (_named(found, name) for name in ("lora", "slowlora"))
    more, slower = (_than_full(found, some) for some in (loras, slow))
    random = overall(f for arm in (*loras, *slow) for f in _contrasts(found, "intruders", arm, ROTATED))
    said = {MORE: "LoRA has more intruders than full training", LESS: "LoRA has fewer intruders than full training"}
    said |= {ALIKE: "LoRA's intruders are not told apart in number from full training's"}
    said |= {MIXED: "whether LoRA has more intruders than full training hangs on the rank and on how much was learned"}
    why = {ALIKE: "; in number they are not told apart from what its singular values make in random directions"}
    why |= {MORE: "; they are more than its singular values make in random directions"}
    why |= {LESS: "; they are fewer than its singular values make in random directions"}
    if more in said:
        yield f"At the learning rates at which each learns best {said[more]}{why.get(random, '')}"
    if slower in said:
        yield f"At a lower rate {said[slower].replace('the rank', 'the rate')}"  # slowed adapters are of one rank
    own = find(found, "intruders", arm=FULL, null=NONE, at=END)
    if own is not None and verdict(own) == MORE:  # than none
        yield f"Full training has some, too, by its end: {shown(own, '.1f')} a matrix"


def _than_full(found: Sequence[Finding], some: Iterable[str]) -> str:
    """The verdict on intruders beside full's, where both have learned equally much; none against none is no comparison."""
    return overall(f for arm in some for f in _contrasts(found, "intruders", arm, FULL) if f.where["at"] != END and not _both_none(f))


def _both_none(f: Finding) -> bool:
    return f.value == f.low == f.high == 0


def _scaled_in_short(found: Sequence[Finding]) -> Iterator[str]:
    own = [f for f in _scalings(found, INTRUDERS, "all") if f.where["arm"].startswith("lora@")]
    others = overall(f for f in _scalings(found, INTRUDERS, OTHERS) if f.where["arm"].startswith("lora@"))
    than = "of the source than scaling the whole update down to the same loss on the target"
    words = {MORE: f"loses more {than}", LESS: f"loses less {than}"}
    words |= {ALIKE: "is not told apart from scaling the whole update down to the same loss on the target"}
    kind = overall(own)
    if kind == MIXED and not any(verdict(f) in (LESS, UNJUDGED) for f in own):
        words |= {MIXED: f"loses more {than}, or is not told apart from it"}
    also = {LESS: ", and less than scaling as many other directions", MORE: ", and more than scaling as many other directions"}
    if kind in words:
        yield f"Scaling LoRA's intruders down {words[kind]}{also.get(others, '')}"


def _beside(found: Sequence[Finding], metric: str, arm: str, other: str) -> str:
    """What a reading is beside another one's, at each place where both are read."""
    told = []
    for less in _contrasts(found, metric, arm, other):
        null = NONE if other == FULL else other
        read = find(found, metric, arm=FULL if other == FULL else arm, null=null, at=less.where["at"])
        words = "none, as has" if _both_none(less) and read is not None and read.value == 0 else SAID[verdict(less)]
        told.append((words, f"{shown(read, '.1f')} at {named(less.where['at'])}"))
    if not told:
        return ""
    if len({words for words, _ in told}) == 1:
        return f"{told[0][0]} {BESIDE.get(other, other)} ({', '.join(value for _, value in told)})"
    return f"beside {BESIDE.get(other, other)} {', '.join(f'{words} its {value}' for words, value in told)}"


def _values(found: Sequence[Finding], metric: str, arm: str) -> str:
    own = (find(found, metric, arm=arm, null=NONE, at=at) for at in (*places(found), END))
    return ", ".join(f"{shown(f, '.1f')} at {named(f.where['at'])}" for f in own if f is not None)


def _rank(found: Sequence[Finding]) -> Iterator[str]:
    beside = filter(None, (_beside(found, "energy_rank", FULL, null) for null in (NOISE, *nulls(found))))
    told = "; ".join([_values(found, "energy_rank", FULL), *beside])
    yield f"90 % of the energy of a full update lies in so many directions of a matrix: {told}"


def _needed(found: Sequence[Finding]) -> Iterator[str]:
    """How many directions keep what was learned: of the best ones, and of random ones of the same norm."""
    told = []
    for at in (*places(found), END):
        best, random = (find(found, "rank_needed", arm=FULL, at=at, directions=which) for which in ("best", "random"))
        if best is not None:
            than = f", random ones of the same norm {shown(random, '.1f')}" if random else ""
            told.append(f"{shown(best, '.1f')} at {named(at)}{than}")
    if told:
        yield f"Cut to its best directions, it keeps 90 % of what it gained with so many of them: {'; '.join(told)}"
        gained = [f"{f.where['arm']} {shown(f, '.2f')}" for f in found if f.name == "gain_share" and f.value is not None]
        if gained:
            yield f"That is what this update needs, and not the target: by their end others gain of what full gains {', '.join(gained)}"


def _intruders(found: Sequence[Finding]) -> Iterator[str]:
    for arm in arms(found):
        beside = filter(None, (_beside(found, "intruders", arm, other) for other in ((ROTATED,) if arm == FULL else (FULL, ROTATED))))
        yield f"Intruders a matrix of {arm}: {'; '.join([_values(found, 'intruders', arm), *beside])}"


def _detector(found: Sequence[Finding]) -> Iterator[str]:
    for arm in _named(found, "lora")[-1:]:
        noise, norm = (find(found, name, arm=arm, null=null, at=END) for name, null in (("intruders", NOISE), ("relative_norm", NONE)))
        if noise is not None and norm is not None:
            yield (
                f"The detector is not without fault: Gaussian noise of the norm of {arm}'s update at the end ({shown(norm, '.2f')} of the "
                f"start's) makes {shown(noise, '.1f')} a matrix"
            )


def _scalings(found: Sequence[Finding], part: str, other: str) -> list[Finding]:
    between = f"{part} - {other}"
    own = (f for f in found if f.name == "contrast" and f.where["what"] == EQUAL_TARGET and f.where["between"] == between)
    return [f for f in own if f.value is not None]


def _scaled(found: Sequence[Finding]) -> Iterator[str]:
    names = {INTRUDERS: "intruders", OTHERS: "as many other directions", UPDATE: "only the update's part along the intruders"}
    told = []
    for part, name in names.items():
        if own := [f"{f.where['arm']} x{f.where['factor']:g} {shown(f, '.2f')}" for f in _scalings(found, part, "all")]:
            told.append(f"{name}: {', '.join(own)}")
    if told:
        beside = (f for f in found if f.name == "contrast" and f.where["what"] == EQUAL_TARGET and f.where["between"].endswith(" - all"))
        lost = sum(f.value is None for f in beside)
        unread = f" ({lost} cannot be compared: scaling the whole update does not have their loss on the target)" if lost else ""
        yield (
            "The source's loss where a part is scaled down, less that where the whole update is, at the same loss on the target; "
            f"{'; '.join(told)}{unread}"
        )


def _subspaces(found: Sequence[Finding]) -> Iterator[str]:
    at, told = places(found)[-1], []
    for f in found:
        w = f.where
        if f.name == "subspace_similarity" and (w["at"], w["null"], w["side"], w["dimension"]) == (at, NONE, "outputs", 1):
            null = find(found, "subspace_similarity", **{**w, "null": "permuted"})
            told.append(f"{w['pair']} {shown(f, '.2f')} (permuted {shown(null, '.2f')})")
    if told:
        yield f"What the leading output directions of two updates have in common at {named(at)}, of 1: {'; '.join(told)}"


def _amplified(found: Sequence[Finding]) -> Iterator[str]:
    at = places(found)[-1]
    own = ((arm, find(found, "contrast", what="amplification", between=f"{arm} / {NOISE}", at=at)) for arm in arms(found))
    if told := [f"{arm} {shown(f, '.2f')}" for arm, f in own if f is not None]:
        yield f"The amplification factor of an update's four leading directions over that of random ones, at {named(at)}: {', '.join(told)}"


def _unread(found: Sequence[Finding]) -> Iterator[str]:
    if lost := [f"{f.where['arm']} at {named(f.where['at'])} ({f.note})" for f in found if f.name == "matched_loss" and f.value is None]:
        yield f"Not compared: {'; '.join(lost)}"


def _chance(found: Sequence[Finding]) -> Iterator[str]:
    told = [f for f in found if f.name == "contrast" and f.where["what"] in ("energy_rank", "intruders", EQUAL_TARGET)]
    judged = sum(verdict(f) != UNJUDGED and not _both_none(f) for f in told)
    if judged > 1:
        yield f"Of {judged} intervals on ranks, intruders and scaling, each at 95 %, chance alone tells about {0.05 * judged:.2g} apart"


def _edges(found: Sequence[Finding]) -> Iterator[str]:
    edges = [f.where["arm"] for f in found if f.name == "learning_rate" and "optimum may lie beyond" in f.note]
    if edges:
        yield f"Learning rates lie on the edge of their grid, where a better one may lie outside, for {', '.join(edges)}"
