"""The table with which the report of a sequence begins: a row for each method and strength."""

from collections.abc import Sequence

from experiments.forgetting.headlines import word
from research.analysis.wording import held, window_sentence
from research.findings import Finding, Table, find, shown

READ = {  # the column of a finding; those whose difference from another method is a column, too
    "learned_loss": "loss after its task",
    "average_forgetting": "forgotten",
    "bwt": "backward transfer",
    "end_loss": "loss at the end",
    "source_rise": "rise on the source",
}
COMPARED = ("average_forgetting", "end_loss")


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns one table of what each method learned, what it forgot of it, and how that differs from full's at a lower rate."""
    ends = [f for f in found if f.name == "end_loss"]
    if not ends:
        return ()
    beside = others(found)
    compared = {name: beside if name in COMPARED else [] for name in READ}
    columns = ["method", *(column for name, own in READ.items() for column in (own, *(f"the same, less {o}'s" for o in compared[name])))]
    start = shown(find(found, "untouched_loss"), ".2f")
    table = [("untouched", *(start if column == READ["end_loss"] else "–" for column in columns[1:]))]
    for f in ends:
        own, cells = {"method": f.where["method"], "strength": f.where["strength"]}, [word(f)]
        for name, rest in compared.items():
            less = [find(found, "contrast", what=name, between=f"{word(f)} - {other}") for other in rest]
            cells += [shown(each, ".2f") for each in (find(found, name, **own), *less)]
        table.append(tuple(cells))
    caption = (
        f"Targets learned one after another, bits/byte: {held(ends)}. Loss after its task: mean over targets, each right after it was "
        "learned. Forgotten: mean over all targets but the last of the loss after all tasks less the lowest after an earlier one. Backward "
        "transfer: mean over the same of the loss after its task less that at the end; forgetting is negative. Loss at the end: mean over "
        f"all targets. joint: all targets mixed, as many steps in all.{window_sentence(found)}"
    )
    return (Table(tuple(columns), tuple(table), caption),)


def others(found: Sequence[Finding]) -> list[str]:
    """Returns the words of what methods are compared with: full at its lower rates first, then full."""
    words = dict.fromkeys(str(f.where["between"].split(" - ")[1]) for f in found if f.name == "contrast")
    return sorted(words, key=lambda other: other == "full")
