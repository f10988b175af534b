"""The answer of a sweep over ranks, and the tables with which its report begins: every word of them is a finding's."""

from collections.abc import Sequence

from experiments.lora_rank_sweep import ledger
from research.findings import Finding, Table, find, shown

FIRST, NULL = "pretrained", "random"
PARTS = {"matched": "same matrices, full rank", "full": "everything"}
LOSSES = (
    "Loss on held-out target text after the same steps, bits per byte [95 % interval over bases and documents]. Rank 0 is what moving "
    "alone reaches that an arm moves beside its adapters; where it moves nothing else, rank 0 is the untouched model."
)
COSTS = (
    "What a rank costs: LoRA's loss minus that of the same matrices at full rank, bits per byte; at last the difference between pretrained "
    "and random weights [95 % interval over bases and documents]."
)
DIRECTIONS = (
    "The rank at which LoRA gains 90 % of what the same matrices gain at full rank, counted from the untouched loss or the unigram "
    "entropy, the lower of both; what is lost of the full-rank update by cutting it to its best and to random directions of the same "
    "norm, bits per byte; and the first singular value of what training everything changed, over its norm, read at one norm for all."
)


def answer(found: Sequence[Finding]) -> str:
    """Returns what rank costs from pretrained weights against random ones, on each target and arm, and in how many of these it is less."""
    costs = [f for f in found if _is_contrast(f, "gap to matched", f"{FIRST} - {NULL}")]
    rank = min((f.where["rank"] for f in costs if f.where["rank"]), default=None)
    costs = [f for f in costs if f.where["rank"] == rank and f.value is not None]
    if not costs and any(f.name == "target_loss" for f in found):
        return f"What a rank costs was not compared: that takes runs from {FIRST} and from {NULL} weights."
    if not costs:
        return ""
    by_target: dict[str, list[str]] = {}
    for f in costs:
        by_target.setdefault(f.where["target"], []).append(f"{shown(f, '+.2f')} ({f.where['arm']})")
    listed = "; ".join(f"on {target} {', '.join(words)}" for target, words in by_target.items())
    sentences = [
        f"What rank {rank} costs against full rank in the same matrices, {FIRST} minus {NULL} weights, in bits/byte: {listed}",
        _tally(costs),
        *_before(found, costs[0].where["target"]),
    ]
    return " ".join(f"{sentence}." for sentence in sentences)


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns four tables: losses by what is trained; what a rank costs; how many directions there are; the ledger."""
    losses = [f for f in found if f.name == "target_loss"]
    rows = list(dict.fromkeys((f.where["target"], f.where["arm"], f.where["init"]) for f in losses if f.where["arm"]))
    if not rows:
        return ()
    costs = ledger.table(found)
    costs = costs._replace(caption=f"{costs.caption} {ledger.sentence(found)}")
    made = (_of_losses(found, rows), _of_costs(found, rows), _of_directions(found, rows), costs)
    return tuple(table for table in made if table.rows)


def _tally(costs: Sequence[Finding]) -> str:
    """In how many comparisons the cost is less from pretrained weights, more, or not told apart: nothing is by documents of one base."""
    less = [f for f in costs if f.n > 1 and f.high is not None and f.high < 0]
    more = [f for f in costs if f.n > 1 and f.low is not None and f.low > 0]
    open_ones = len(costs) - len(less) - len(more)
    words = [f"it costs less from {FIRST} weights in {len(less)} of {len(costs)} comparisons", f"more in {len(more)}"]
    words += [f"not told apart in {open_ones}"] if open_ones else []
    return ", ".join(words).capitalize()


def _before(found: Sequence[Finding], target: str) -> list[str]:
    """The losses that say nothing of rank, with which pretrained weights are ahead all the same."""
    untouched = find(found, "untouched_loss", target=target, init=FIRST)
    full = find(found, "target_loss", target=target, init=NULL, trains="full")
    if untouched is None or full is None or untouched.value is None or full.value is None:
        return []
    return [
        f"Who ends lower says nothing of rank: untouched {FIRST} weights read {shown(untouched)} on {target}, "
        f"everything trained from {NULL} weights {shown(full)}"
    ]


def _of_losses(found: Sequence[Finding], rows: Sequence[tuple[str, str, str]]) -> Table:
    losses = [f for f in found if f.name == "target_loss"]
    ranks = sorted({f.where["rank"] for f in losses if f.where["trains"] == "lora"})
    ranks = [rank for rank in ranks if rank in (0, *_some([rank for rank in ranks if rank]))]
    columns = ("target", "adapted", "from", "untouched", *(f"rank {rank}" for rank in ranks), *PARTS.values())

    def cells(target: str, arm: str, init: str) -> tuple[str, ...]:
        at = {"target": target, "init": init}
        adapted = (find(losses, "target_loss", **at, arm=arm, trains="lora", rank=rank) for rank in ranks)
        matched = find(losses, "target_loss", **at, arm=arm, trains="matched")
        full = find(losses, "target_loss", **at, trains="full")
        return tuple(map(shown, (find(found, "untouched_loss", **at), *adapted, matched, full)))

    entropies = [f"{f.where['target']} {shown(f)}" for f in found if f.name == "unigram_loss"]
    floors = [f"{f.where['target']} {shown(f)}" for f in found if f.name == "floor_loss"]
    known = f" Frequencies of single bytes alone give {', '.join(entropies)}." if entropies else ""
    known += f" On average no model can be below {', '.join(floors)}." if floors else ""
    return Table(columns, tuple((row[0], row[1], row[2], *cells(*row)) for row in rows), LOSSES + known)


def _of_costs(found: Sequence[Finding], rows: Sequence[tuple[str, str, str]]) -> Table:
    inits = list(dict.fromkeys(init for _, _, init in rows))
    ranks = _some(sorted({f.where["rank"] for f in found if f.name == "gap" and f.where["rank"]}))
    columns = ("target", "adapted", "rank", *(f"from {init}" for init in inits), f"{FIRST} - {NULL}")
    made = []
    for target, arm in dict.fromkeys((target, arm) for target, arm, _ in rows):
        for rank in ranks:
            at = {"target": target, "arm": arm, "rank": rank}
            gaps = [find(found, "gap", **at, init=init, reference="matched") for init in inits]
            contrast = next(
                (f for f in found if _is_contrast(f, "gap to matched", f"{FIRST} - {NULL}") and at.items() <= f.where.items()), None
            )
            if any(gaps):
                made.append((target, arm, str(rank), *(shown(f, "+.2f") for f in gaps), shown(contrast, "+.2f")))
    return Table(columns, tuple(made), COSTS)


def _of_directions(found: Sequence[Finding], rows: Sequence[tuple[str, str, str]]) -> Table:
    ranks = _some(sorted({f.where["rank"] for f in found if f.name == "cut_update"}))[:2]
    cuts = [(rank, which) for rank in ranks for which in ("best", "random")]
    words = (f"cut to {rank} {which} direction{'s' * (rank > 1)}" for rank, which in cuts)
    columns = ("target", "adapted", "from", "rank for 90 % of the gain", *words, "first singular value")
    made = []
    for target, arm, init in rows:
        at = {"target": target, "init": init}
        needed = find(found, "r90", **at, arm=arm, reading="relative")
        lost = [find(found, "cut_update", **at, arm=arm, rank=rank, directions=which) for rank, which in cuts]
        value = find(found, "first_singular_value", **at, at="one norm")
        made.append((target, arm, init, shown(needed, ".3g"), *(shown(f, "+.2f") for f in lost), shown(value, ".2f")))
    return Table(columns, tuple(made), DIRECTIONS)


def _is_contrast(f: Finding, of: str, between: str) -> bool:
    return f.name == "contrast" and f.where["of"] == of and f.where["between"] == between


def _some(ranks: Sequence[int]) -> list[int]:
    """The smallest, a middle and the largest rank."""
    return sorted({ranks[0], ranks[len(ranks) // 2], ranks[-1]}) if ranks else []
