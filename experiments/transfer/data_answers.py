"""The answer in words where data is measured: what contradicts the law, the law, and what a donor is worth; every number is a finding."""

from collections.abc import Iterator, Sequence

from experiments.transfer.arms import SCRATCH, TUNED
from experiments.transfer.data_published import POWERS, SOURCE
from experiments.transfer.data_readings import of_name
from research.analysis.data_transferred import A_BY_N, CURVATURE, LARGEST
from research.analysis.effective_data import FITTED, OSSIFIED
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED, base_sentence, sentences, verdict
from research.findings import Finding, find, shown

CLAIM = (
    "The claim is that the data D_T that pretraining is worth follows D_T = k D_F^a N^b while the target's data D_F is short, N the "
    "parameters without embeddings: larger models gain more, b > 0, and each byte more is worth less beside the donor, a < 1 (Hernandez et "
    "al. 2021). D_E = D_F + D_T is the data at which scratch, trained to its lowest validation loss as the tuned were, costs as little on "
    "held-out text"
)
MISFITS = {
    CURVATURE: "its line in ln D_F is curved",
    A_BY_N: "a changes with the size of the model",
    LARGEST: "the law of the smaller models misses the largest",
}

LATE = {
    SCRATCH: "were they longer, D_E near these amounts would be lower, and the data that scratch needs higher",
    TUNED: "were they longer, D_E would be higher",
}


def answer(found: Sequence[Finding]) -> str:
    """Returns what the law is worth in this run: what contradicts it first."""
    points = of_name(found, "data_transferred")
    if not points:
        return ""
    target = find(found, "target")
    about = [*base_sentence(found), *([f"The target is {target.note}"] if target else [])]
    return sentences([*_against(found, points), *_law(found), *_worth(found)], [*about, CLAIM, *_published(found), *_sure(found, points)])


def _against(found: Sequence[Finding], points: Sequence[Finding]) -> Iterator[str]:
    if none := [f for f in points if f.where["word"] == OSSIFIED]:
        yield f"Against the claim, nothing is transferred to {', '.join(map(_at, none))}"
    told = [f"{MISFITS[f.where['what']]} ({shown(f, '.2f')})" for f in of_name(found, "transfer_misfit") if verdict(f) in (LESS, MORE)]
    if told:
        yield f"Against the claim, the law does not hold: {'; '.join(told)}"
    a, b = (find(found, "transfer_law", what=power) for power in ("a", "b"))
    if a is not None and a.low is not None and a.low > 1:
        yield f"Against the claim, each byte more is worth more beside the donor: a = {shown(a, '.2f')}"
    if b is not None and (kind := verdict(b)) in (LESS, ALIKE):
        said = {LESS: "larger models gain less", ALIKE: "that larger models gain more is not told apart from that they do not"}
        yield f"Against the claim, {said[kind]}: b = {shown(b, '.2f')}"


def _law(found: Sequence[Finding]) -> Iterator[str]:
    k, a, b = (find(found, "transfer_law", what=power) for power in ("k", "a", "b"))
    if k is None or a is None or k.value is None:
        yield f"The law is {k.note if k else 'not fitted'}"
        return
    fitted, every = find(found, "points", word=FITTED), sum(f.value or 0 for f in of_name(found, "points"))
    count = 0 if fitted is None else fitted.value
    unjudged = " (without an interval over bases, which is no verdict)" if verdict(a) == UNJUDGED else ""
    told = f"a = {shown(a, '.2f')}, b = {shown(b, '.2f')}, k = {shown(k)}"
    yield f"D_T = k D_F^a N^b with {told}, of {count:.0f} of {every:.0f} points{unjudged}"
    if notes := sorted({part for f in (a, b) if f for part in f.note.split("; ") if "left out" in part and "points" in part}):
        yield f"Of points {', '.join(notes)}"


def _worth(found: Sequence[Finding]) -> Iterator[str]:
    """The multiplier at each size, at the least and the most data."""
    every = of_name(found, "multiplier")
    for size in sorted({f.where["parameters"] for f in every}):
        own = [f for f in every if f.where["parameters"] == size]
        ends = dict.fromkeys((0, len(own) - 1))
        yield f"At N = {size:,} " + ", ".join(f"{own[n].where['amount']:,} bytes {_times(own[n])}" for n in ends)


def _times(f: Finding) -> str:
    if f.value is None and f.low is not None:
        return f"are worth over {f.low:#.3g} times themselves ({f.where['word']})"
    return f"are worth {shown(f)} times themselves" if f.value is not None else f"have no number ({f.where['word']})"


def _published(found: Sequence[Finding]) -> Iterator[str]:
    a, b = (find(found, "transfer_law", what=power) for power in ("a", "b"))
    if a is None or a.value is None:
        return
    told = []
    for name, powers in POWERS.items():
        judged = [f"{what} = {powers[what]:g} {_beside(f, powers[what])}" for what, f in (("a", a), ("b", b)) if f is not None]
        told.append(f"from {name} {', '.join(judged)}")
    yield f"Published ({SOURCE}): {'; '.join(told)}"


def _beside(f: Finding, other: float) -> str:
    if f.low is None or f.high is None:
        return "(no interval here to judge it by)"
    return "(inside of this interval)" if f.low <= other <= f.high else "(outside of this interval)"


def _sure(found: Sequence[Finding], points: Sequence[Finding]) -> Iterator[str]:
    words = {f.where["word"]: f.value for f in of_name(found, "points") if f.where["word"] != FITTED}
    if words:
        told = "; ".join(f"{count:.0f} {word}" for word, count in words.items())
        yield f"Of {len(points)} points the law leaves out: {told}"
    for arm, told in LATE.items():
        falling = [f for f in of_name(found, "still_falling") if f.where["arm"] == arm]
        if late := [f for f in falling if f.value]:
            count, least = sum(f.value or 0 for f in late), min(f.where["amount"] for f in late)
            yield f"{count:.0f} of {sum(f.n for f in falling)} runs of {arm}, from {least:,} bytes on, were lowest at their end: {told}"
    if edges := [
        f"{f.where['arm']} at N = {f.where['parameters']:,}" for f in of_name(found, "learning_rate") if "may lie beyond" in f.note
    ]:
        yield f"The learning rate lies on the edge of its grid for {', '.join(edges)}"


def _at(f: Finding) -> str:
    return f"{f.where['parameters']:,} parameters from {f.where['amount']:,} bytes"
