"""The tables with which the report begins: a row for each method and strength, one for each method's front, and what updates are like."""

from collections.abc import Sequence

from research.analysis.contrasts import NO_DOCUMENTS
from research.analysis.wording import held, window_sentence
from research.findings import Finding, Table, find, shown

COLUMNS = ("method", "loss on the target (bits/byte)", "rise on the source", "rise at equal loss on the target")
EQUAL = "source_rise_at_equal_target"
VOLUME = "hypervolume"
RANK = "energy_rank"


def word(f: Finding) -> str:
    """Returns the word of the method of a finding."""
    strength = f.where.get("strength")
    return f.where["method"] if strength is None else f"{f.where['method']}@{strength:g}"


def others(found: Sequence[Finding]) -> list[str]:
    """Returns the words of what rises at equal loss are compared with."""
    return list(dict.fromkeys(str(f.where["between"].split(" - ")[1]) for f in found if f.name == "contrast" and f.where["what"] == EQUAL))


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns what each method learned and lost, at the largest share of what full learns, its front, and what its update is like."""
    every, beside = [f for f in found if f.name == EQUAL], others(found)
    if not every:
        return ()
    share = max(f.where["share"] for f in every)
    equal, table = [f for f in every if f.where["share"] == share], []
    for f in equal:
        own = {"method": f.where["method"], "strength": f.where["strength"]}
        ends = shown(find(found, "target_loss", **own)), shown(find(found, "source_rise", **own), ".2f"), shown(f, ".2f")
        less = [find(found, "contrast", what=EQUAL, between=f"{word(f)} - {other}", share=share) for other in beside]
        table.append((word(f), *ends, *(shown(each, ".2f") for each in less)))
    caption = (
        f"What each method learned and lost, bits/byte: {held(equal)}; {_over(equal)}. Equal "
        f"loss: {equal[0].where['bits']} bits/byte on the target, {share * 100:g} % of what full learns, mean over bases. wise: the line "
        f"from the start to full's end, on which nothing is trained; slow: full at so much of its learning rate.{window_sentence(found)}"
    )
    return (Table((*COLUMNS, *(f"the same, less {other}'s" for other in beside)), tuple(table), caption), *_fronts(found), *_updates(found))


def _over(equal: Sequence[Finding]) -> str:
    """What intervals beside those at equal loss are over, or of which documents the latter are."""
    if all(NO_DOCUMENTS in f.note for f in equal if f.value is not None):
        return "of the rise on the source at the end, over documents, too"
    return "no interval holds documents of the target; at equal loss those of the source are of the first chunk that is read"


def _fronts(found: Sequence[Finding]) -> tuple[Table, ...]:
    """The hypervolume of each method, the largest first: all strengths and early stops in one number, as learned beside what was lost."""
    own = sorted((f for f in found if f.name == VOLUME and f.value is not None), key=lambda f: -(f.value or 0.0))
    if not own:
        return ()
    less = [find(found, "contrast", what=VOLUME, between=f"{f.where['method']} - full") for f in own]
    rows = tuple((f.where["method"], shown(f, ".2f"), shown(each, ".2f")) for f, each in zip(own, less, strict=True))
    caption = (
        "The front of all strengths and early stops of a method: the share that lies behind it of the rectangle from full's last loss on "
        f"the target to the untouched one, and from no rise of the source's loss to full's last (hypervolume; {held(own)}). 1 is to learn "
        "as much as full and lose nothing; a method of more strengths has more to choose from."
    )
    return (Table(("method", "share behind its front", "the same, less full's"), rows, caption),)


def _updates(found: Sequence[Finding]) -> tuple[Table, ...]:
    """How far each method ends from its start, and over how many directions of a matrix that is spread."""
    own, table = [f for f in found if f.name == RANK], []
    if not own:
        return ()
    for f in own:
        less = find(found, "contrast", what=RANK, between=f"{word(f)} - full")
        table.append((word(f), shown(find(found, "distance", **f.where), ".3g"), shown(f, ".1f"), shown(less, ".1f")))
    caption = (
        "What training changed, at its end: the distance of all weights from their start, and the directions of each of the blocks' "
        f"matrices that hold 90 % of its update's energy (squared singular values), mean over the matrices that moved; {held(own)}. "
        f"Gaussian noise has {shown(find(found, 'noise_rank'), '.1f')}: an update of as many has no direction that it prefers."
    )
    return (Table(("method", "distance from the start", "rank of the update", "the same, less full's"), tuple(table), caption),)
