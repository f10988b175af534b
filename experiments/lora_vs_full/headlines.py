"""The table with which the report begins: a row for each arm at each place where arms are compared, and for each null of full training."""

from collections.abc import Iterator, Sequence

from research.analysis.wording import held, window_sentence
from research.findings import Finding, Table, find, shown

FULL, NONE, NOISE, ROTATED, END = "full", "none", "noise", "rotated", "end"
COLUMNS = ("update", "at", "loss on the target", "norm", "rank of 90 % of its energy", "of noise", "intruders", "rotated", "of noise")
NULLS = {"shuffled": "full, shuffled labels", "source": "full, on the source"}


def arms(found: Sequence[Finding]) -> list[str]:
    """Returns the arms that were read, in their order."""
    return list(dict.fromkeys(f.where["arm"] for f in found if f.name == "target_loss"))


def nulls(found: Sequence[Finding]) -> list[str]:
    """Returns the nulls of full training that were read."""
    said = (f.where["null"] for f in found if f.name == "energy_rank" and f.where["arm"] == FULL)
    return [null for null in dict.fromkeys(said) if null not in (NONE, NOISE, ROTATED)]


def places(found: Sequence[Finding]) -> list[str]:
    """Returns the places where arms have learned equally much, the one where they have learned least first."""
    return [f.where["at"] for f in sorted((f for f in found if f.name == "level"), key=lambda f: f.where["share"])]


def named(at: str) -> str:
    """Returns a place for a reader: '80 %', or 'the end'."""
    return "the end" if at == END else f"{float(at) * 100:g} %"


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns one table of what each update is like where arms have learned equally much, and at the end."""
    table = [row for at in (*places(found), END) for row in _rows(found, at)]
    levels = [f"{named(f.where['at'])} of what full learns is {shown(f)} bits/byte" for f in found if f.name == "level"]
    if not table or not levels:
        return ()
    caption = (
        "Updates of the blocks' matrices, mean over them, at the budget where an arm's loss on the target is nearest to a level "
        f"({'; '.join(levels)}), and at the end: {held([f for f in found if f.name == 'energy_rank'])}. Norm: over that of the start. "
        "Intruders: of the leading singular vectors of the tuned matrix, those that resemble none of the start's. Of noise: Gaussian of "
        "the update's norm. Rotated: the update's singular values in random directions. Full on shuffled labels, and on the source, "
        f"which the base knows: after as many steps, where nothing of the target can be learned.{window_sentence(found)}"
    )
    return (Table(COLUMNS, tuple(table), caption),)


def _rows(found: Sequence[Finding], at: str) -> Iterator[tuple[str, ...]]:
    for arm, null, name in [(arm, NONE, arm) for arm in arms(found)] + [(FULL, null, NULLS.get(null, null)) for null in nulls(found)]:
        loss = find(found, "target_loss" if at == END else "matched_loss", arm=arm, at=at) if null == NONE else None
        own = {metric: find(found, metric, arm=arm, null=null, at=at) for metric in ("relative_norm", "energy_rank", "intruders")}
        beside = [("energy_rank", NOISE), ("intruders", ROTATED), ("intruders", NOISE)]
        noise, rotated, other = (find(found, metric, arm=arm, null=which, at=at) if null == NONE else None for metric, which in beside)
        cells = (own["energy_rank"], noise, own["intruders"], rotated, other)
        if loss is None and not any(own.values()):
            continue
        yield (name, named(at), shown(loss), shown(own["relative_norm"], ".2f"), *(shown(cell, ".1f") for cell in cells))
