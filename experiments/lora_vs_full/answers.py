"""The answer in words: what of a full update's rank, and of LoRA's intruders, is more than noise; every number is a finding."""

from collections.abc import Iterator, Sequence

from experiments.lora_vs_full.headlines import END, EQUAL, FULL, NOISE, NONE, NULLS, ROTATED, arms, nulls
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, verdict
from research.findings import Finding, find, shown

CLAIM = (
    "The claims are that a full update has a high rank and needs it, that LoRA leaves intruders, directions that the start does not know, "
    "and full training none, and that scaling intruders down undoes forgetting; updates are compared where all arms have come down to one "
    "loss, and each beside its nulls [95 % interval]"
)
NOTHING = "Nothing was compared: for that, full training has to learn something, and another arm to come down to its level"
SAID = {MORE: "above", LESS: "below", ALIKE: "not told apart from", UNJUDGED: "without an interval over bases beside"}
TIMES = {MORE: "more", LESS: "less", ALIKE: "neither more nor less", UNJUDGED: "no verdict, without an interval over bases:"}


def answer(found: Sequence[Finding]) -> str:
    """Returns what each claim is worth in this run."""
    if not found:
        return ""
    target = find(found, "target")
    parts = [*base_sentence(found), *([f"The target is {target.note}"] if target else []), CLAIM]
    if find(found, "energy_rank", arm=FULL, null=NONE, at=EQUAL) is None:
        return " ".join(f"{part}." for part in (*parts, NOTHING))
    parts += [*_rank(found), *_needed(found), *_intruders(found), *_detector(found), *_scaled(found), *_subspaces(found)]
    parts += [*_amplified(found), *_unread(found), *_chance(found), *_edges(found)]
    return " ".join(f"{part}." for part in parts)


def _rank(found: Sequence[Finding]) -> Iterator[str]:
    own = find(found, "energy_rank", arm=FULL, null=NONE, at=EQUAL)
    beside = [_beside(found, "energy_rank", FULL, null, ".1f") for null in (NOISE, *nulls(found))]
    yield f"90 % of the energy of a full update lies in {shown(own, '.1f')} directions of a matrix: {', '.join(filter(None, beside))}"


def _beside(found: Sequence[Finding], metric: str, arm: str, null: str, form: str) -> str:
    """What a reading is beside one of its nulls: above, below or not told apart, with what the null reads."""
    less = find(found, "contrast", what=metric, between=f"{arm} - {null}", at=EQUAL)
    other = find(found, metric, arm=arm, null=null, at=EQUAL)
    if less is None or other is None:
        return ""
    names = {NOISE: "Gaussian noise of its norm", ROTATED: "its own singular values in random directions"}
    names |= {name: f"training on {'shuffled labels' if name == 'shuffled' else 'the source, which it knows,'}" for name in NULLS}
    return f"{SAID[verdict(less)]} {names.get(null, null)} ({shown(other, form)})"


def _needed(found: Sequence[Finding]) -> Iterator[str]:
    """How many directions keep what was learned: of the best ones, and of random ones of the same norm."""
    for at in (EQUAL, END):
        best, random = (find(found, "rank_needed", arm=FULL, at=at, directions=which) for which in ("best", "random"))
        if best is not None:
            place = "there" if at == EQUAL else "at the end"
            than = f", of random directions of the same norm {shown(random, '.1f')}" if random else ""
            yield f"To keep 90 % of what it gained {place}, an update cut to its best directions needs {shown(best, '.1f')}{than}"


def _intruders(found: Sequence[Finding]) -> Iterator[str]:
    full = find(found, "intruders", arm=FULL, null=NONE, at=EQUAL)
    told = []
    for arm in (arm for arm in arms(found) if arm != FULL):
        less = find(found, "contrast", what="intruders", between=f"{arm} - {FULL}", at=EQUAL)
        if less is not None:
            told.append(f"{arm} {TIMES[verdict(less)]} ({shown(less, '.1f')}), {_beside(found, 'intruders', arm, ROTATED, '.1f')}")
    yield f"Of intruders a matrix has {shown(full, '.1f')} after full training, {_beside(found, 'intruders', FULL, ROTATED, '.1f')}" + (
        f"; than that, at one loss, {'; '.join(told)}" if told else ""
    )


def _detector(found: Sequence[Finding]) -> Iterator[str]:
    wrong = [f for f in found if f.name == "detector_fpr" and f.where["ground"] == "base" and f.value is not None]
    norm = find(found, "relative_norm", arm=FULL, null=NONE, at=EQUAL)
    if wrong and norm is not None and norm.value is not None:
        near = min(wrong, key=lambda f: abs(f.where["strength"] - norm.value))
        yield (
            f"The detector is not without fault: of noise that has {near.where['strength']:g} of the start's norm (full's update has "
            f"{shown(norm, '.2f')}) it calls {shown(near, '.2f')} of the leading directions intruders"
        )


def _scaled(found: Sequence[Finding]) -> Iterator[str]:
    """Whether scaling intruders keeps more of the source than scaling the whole update, at the same loss on the target."""
    own = [f for f in found if f.name == "contrast" and f.where["what"] == "source_loss at equal target"]
    told = [f"{f.where['arm']} x{f.where['factor']:g} {shown(f, '.2f')}" for f in own if f.value is not None]
    lost = sum(f.value is None for f in own)
    if told:
        verdicts = {verdict(f) for f in own if f.value is not None}
        words = {MORE: "loses more", LESS: "loses less", ALIKE: "is not told apart from it", UNJUDGED: "is not judged"}
        said = words[verdicts.pop()] if len(verdicts) == 1 else "hangs on the arm and the factor"
        unread = f" ({lost} cannot be compared: scaling the whole update does not have their loss on the target)" if lost else ""
        beside = "Scaling intruders down, beside scaling the whole update down to the same loss on the target"
        yield f"{beside}, {said} of the source: {', '.join(told)}{unread}"


def _subspaces(found: Sequence[Finding]) -> Iterator[str]:
    own = [f for f in found if f.name == "subspace_similarity" and f.where["at"] == EQUAL and f.where["null"] == "none"]
    some = [f for f in own if f.where["side"] == "outputs" and f.where["dimension"] == 1]
    told = []
    for f in some:
        null = find(found, "subspace_similarity", **{**f.where, "null": "permuted"})
        told.append(f"{f.where['pair']} {shown(f, '.2f')} (permuted {shown(null, '.2f')})")
    if told:
        yield f"What the leading output directions of two updates have in common, of 1: {'; '.join(told)}"


def _amplified(found: Sequence[Finding]) -> Iterator[str]:
    told = []
    for arm in arms(found):
        if (f := find(found, "contrast", what="amplification", between=f"{arm} / {NOISE}", at=EQUAL)) is not None:
            told.append(f"{arm} {shown(f, '.2f')}")
    if told:
        yield f"Directions of an update are amplified so many times as much as random ones of its norm: {', '.join(told)}"


def _unread(found: Sequence[Finding]) -> Iterator[str]:
    if lost := [f"{f.where['arm']} {f.note}" for f in found if f.name == "matched_loss" and f.value is None]:
        yield f"Not compared: {'; '.join(lost)}"


def _chance(found: Sequence[Finding]) -> Iterator[str]:
    judged = sum(verdict(f) != UNJUDGED for f in found if f.name == "contrast")
    if judged > 1:
        yield f"Of {judged} intervals, each at 95 %, chance alone tells about {0.05 * judged:.2g} apart"


def _edges(found: Sequence[Finding]) -> Iterator[str]:
    edges = [f.where["arm"] for f in found if f.name == "learning_rate" and "optimum may lie beyond" in f.note]
    if edges:
        yield f"Learning rates lie on the edge of their grid, where a better one may lie outside, for {', '.join(edges)}"
