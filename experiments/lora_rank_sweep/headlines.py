"""The tables with which the report of a sweep over ranks begins."""

from collections.abc import Sequence

from research.findings import Finding, Table, find, shown

PARTS = {"matched": "same matrices, full rank", "full": "everything"}
DIRECTIONS = (
    "The rank at which LoRA gains 90 % of what the same matrices gain at full rank, counted from the untouched loss or the unigram "
    "entropy, the lower of both; and the first singular value of what training everything changed, as a share of the change's norm, beside "
    "that of noise of the same shape."
)


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns two tables with a row for each initialization (and arm): losses by what is trained; how many directions that takes."""
    losses = [f for f in found if f.name == "target_loss"]
    ranks = _some(sorted({f.where["rank"] for f in losses if f.where["trains"] == "lora" and f.where["rank"]}))
    arms = list(dict.fromkeys(f.where["arm"] for f in losses if f.where["arm"]))
    rows = [(init, arm) for arm in arms for init in dict.fromkeys(f.where["init"] for f in losses)]
    if not rows:
        return ()
    names = [f"{init}, {arm}" if len(arms) > 1 else init for init, arm in rows]

    def cells(init: str, arm: str) -> tuple[str, ...]:
        adapted = (find(losses, "target_loss", init=init, arm=arm, trains="lora", rank=rank) for rank in ranks)
        matched = find(losses, "target_loss", init=init, arm=arm, trains="matched")
        full = find(losses, "target_loss", init=init, trains="full")
        return tuple(map(shown, (find(found, "untouched_loss", init=init), *adapted, matched, full)))

    def directions(init: str, arm: str) -> tuple[str, ...]:
        update, noise = (find(found, "first_singular_value", init=init, null=null) for null in ("none", "noise"))
        needed = find(found, "r90", init=init, arm=arm, reading="relative")
        return shown(needed, ".3g"), shown(update), shown(noise)

    losses_by = ("from", "untouched", *(f"rank {rank}" for rank in ranks), *PARTS.values())
    directions_by = ("from", "rank for 90 % of the gain", "first singular value of the update", "of noise")
    return (
        Table(losses_by, tuple((name, *cells(*row)) for name, row in zip(names, rows, strict=True)), _caption(found, losses)),
        Table(directions_by, tuple((name, *directions(*row)) for name, row in zip(names, rows, strict=True)), DIRECTIONS),
    )


def _caption(found: Sequence[Finding], losses: Sequence[Finding]) -> str:
    entropy = find(found, "unigram_loss")
    floor = f" Frequencies of single bytes alone give {shown(entropy)}." if entropy else ""
    seeds = max(f.n for f in losses)
    return f"Loss on held-out target text after the same steps, bits per byte: mean over {seeds} seeds [95 % interval].{floor}"


def _some(ranks: Sequence[int]) -> list[int]:
    """The smallest, a middle and the largest rank."""
    return sorted({ranks[0], ranks[(len(ranks) - 1) // 2], ranks[-1]}) if ranks else []
