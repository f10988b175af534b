"""The table with which the report begins: a row for each arm, and for each null of full training."""

from collections.abc import Sequence

from research.analysis.wording import held, window_sentence
from research.findings import Finding, Table, find, shown

FULL, NONE, NOISE, ROTATED, END, EQUAL = "full", "none", "noise", "rotated", "end", "equal"
COLUMNS = ("update", "loss on the target", "norm", "rank of 90 % of its energy", "of noise", "intruders", "rotated", "of noise")
NULLS = {"shuffled": "full, shuffled labels", "source": "full, on the source"}


def arms(found: Sequence[Finding]) -> list[str]:
    """Returns the arms that were read, in their order."""
    return list(dict.fromkeys(f.where["arm"] for f in found if f.name == "target_loss"))


def nulls(found: Sequence[Finding]) -> list[str]:
    """Returns the nulls of full training that were read."""
    said = (f.where["null"] for f in found if f.name == "energy_rank" and f.where["arm"] == FULL)
    return [null for null in dict.fromkeys(said) if null not in (NONE, NOISE, ROTATED)]


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns one table of what each update is like where all arms have learned equally much."""
    level, table = find(found, "level"), []
    every = [(arm, NONE, arm) for arm in arms(found)] + [(FULL, null, NULLS.get(null, null)) for null in nulls(found)]
    for arm, null, name in every if level else ():
        loss = find(found, "matched_loss", arm=arm) if null == NONE else None
        norm = find(found, "relative_norm", arm=arm, null=null, at=EQUAL)
        own = [find(found, metric, arm=arm, null=null, at=EQUAL) for metric in ("energy_rank", "intruders")]
        beside = [
            find(found, metric, arm=arm, null=which, at=EQUAL) if null == NONE else None
            for metric, which in (("energy_rank", NOISE), ("intruders", ROTATED), ("intruders", NOISE))
        ]
        cells = (norm, own[0], beside[0], own[1], *beside[1:])
        table.append((name, shown(loss), shown(norm, ".2f"), *(shown(cell, ".1f") for cell in cells[1:])))
    if not table or level is None:
        return ()
    caption = (
        f"Updates of the blocks' matrices, mean over them, where each arm's loss on the target is nearest to {shown(level)} bits/byte, "
        f"{level.where['share'] * 100:g} % of what full learns: {held([f for f in found if f.name == 'energy_rank'])}. Norm: over that of "
        "the start. Intruders: leading singular vectors of the tuned matrix that resemble none of the start's. Of noise: Gaussian of the "
        "update's norm. Rotated: the update's singular values in random directions. Full on shuffled labels, and on the source, which the "
        f"base knows, after as many steps as full: what is left where nothing of the target can be learned.{window_sentence(found)}"
    )
    return (Table(COLUMNS, tuple(table), caption),)
