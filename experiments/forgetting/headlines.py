"""The table with which the report begins: a row for each method and strength."""

from collections.abc import Sequence

from research.analysis.wording import held, window_sentence
from research.findings import Finding, Table, find, shown

COLUMNS = ("method", "loss on the target (bits/byte)", "rise on the source", "rise at equal loss on the target")
EQUAL = "source_rise_at_equal_target"


def word(f: Finding) -> str:
    """Returns the word of the method of a finding."""
    strength = f.where.get("strength")
    return f.where["method"] if strength is None else f"{f.where['method']}@{strength:g}"


def others(found: Sequence[Finding]) -> list[str]:
    """Returns the words of what rises at equal loss are compared with."""
    return list(dict.fromkeys(str(f.where["between"].split(" - ")[1]) for f in found if f.name == "contrast" and f.where["what"] == EQUAL))


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns one table of what each method learned and lost, at the largest share of what full learns."""
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
        f"What each method learned and lost, bits/byte: {held(equal)}; of the rise on the source at the end, over documents, too. Equal "
        f"loss: {equal[0].where['bits']} bits/byte on the target, {share * 100:g} % of what full learns, mean over bases. wise: the line "
        f"from the start to full's end, on which nothing is trained; slow: full at so much of its learning rate.{window_sentence(found)}"
    )
    return (Table((*COLUMNS, *(f"the same, less {other}'s" for other in beside)), tuple(table), caption),)
