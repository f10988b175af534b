"""The answer of a sweep over ranks, and the tables with which its report begins: every word of them is a finding's."""

import itertools
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
    "What a rank costs: LoRA's loss minus that of the same matrices at full rank, bits per byte, and the difference between pretrained and "
    "random weights; then the share that the rank recovers of what the same matrices gain over the untouched model, where null weights have "
    "more to gain [95 % interval over bases and documents]. LoRA's rates were chosen at a few ranks and are interpolated between."
)
DIRECTIONS = (
    "The rank at which LoRA gains 90 % of what the same matrices gain at full rank, counted from the untouched loss or the unigram "
    "entropy, the lower of both; what is lost of the full-rank update by cutting it to its best and to random directions of the same "
    "norm, bits per byte; and the first singular value of what training everything changed, over its norm, read at one norm for all."
)


def answer(found: Sequence[Finding]) -> str:
    """Returns what rank costs from pretrained against random weights, in bits and as a share of the gain, and how often it is less.

    The smallest rank on each target and arm, then in how many of these a larger one. Both ways of counting stand there, since one may say
    less and the other more.
    """
    costs, shares = (
        [f for f in found if _is_contrast(f, of, f"{FIRST} - {NULL}") and f.where["rank"] and f.value is not None]
        for of in ("gap to matched", "share of the gain")
    )
    if not costs:
        said = f"What a rank costs was not compared: that takes runs from {FIRST} and from {NULL} weights."
        return said if any(f.name == "target_loss" for f in found) else ""
    first, *others = _shared_ranks(costs)
    own, own_shares = ([f for f in some if f.where["rank"] == first] for some in (costs, shares))
    sentences = [
        f"What rank {first} costs against full rank in the same matrices, {FIRST} minus {NULL} weights, in bits/byte: {_listed(own)}",
        _tally(own, (f"it costs less from {FIRST} weights", "more")),
        f"The share it recovers of what these matrices gain over the untouched model, {FIRST} minus {NULL}: {_listed(own_shares)}",
        _tally(own_shares, (f"it is less from {FIRST} weights", "more")),
    ]
    for rank in others[-1:]:
        cost, share = ([f for f in some if f.where["rank"] == rank] for some in (costs, shares))
        sentences.append(_tally(cost, (f"rank {rank} costs less from {FIRST} weights", "more")))
        sentences.append(_tally(share, (f"its share is less from {FIRST} weights", "more")))
    return " ".join(f"{sentence}." for sentence in (*sentences, *_before(found, own[0].where["target"])))


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


def _shared_ranks(costs: Sequence[Finding]) -> list[int]:
    """The ranks at which every target and arm was compared, ascending; if there are none, all."""
    by_arm: dict[tuple[str, str], set[int]] = {}
    for f in costs:
        by_arm.setdefault((f.where["target"], f.where["arm"]), set()).add(f.where["rank"])
    return sorted(set.intersection(*by_arm.values()) or set.union(*by_arm.values()))


def _listed(contrasts: Sequence[Finding]) -> str:
    by_target: dict[str, list[str]] = {}
    for f in contrasts:
        by_target.setdefault(f.where["target"], []).append(f"{shown(f, '+.2f')} ({f.where['arm']})")
    return "; ".join(f"on {target} {', '.join(words)}" for target, words in by_target.items())


def _tally(contrasts: Sequence[Finding], words: tuple[str, str]) -> str:
    """In how many comparisons a contrast is below 0, above it, or neither: nothing is told apart by the documents of one base."""
    below = [f for f in contrasts if f.n > 1 and f.high is not None and f.high < 0]
    above = [f for f in contrasts if f.n > 1 and f.low is not None and f.low > 0]
    neither = len(contrasts) - len(below) - len(above)
    parts = [f"{words[0]} in {len(below)} of {len(contrasts)} comparisons", f"{words[1]} in {len(above)}"]
    parts += [f"not told apart in {neither}"] if neither else []
    return ", ".join(parts).capitalize()


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
    between = f"{FIRST} - {NULL}"
    shares = (f"share from {FIRST}", f"share from {NULL}", f"share, {between}")
    columns = ("target", "adapted", "rank", *(f"from {init}" for init in inits), between, *shares)
    made = []
    for (target, arm), rank in itertools.product(dict.fromkeys((target, arm) for target, arm, _ in rows), ranks):
        at = {"target": target, "arm": arm, "rank": rank}
        gaps = [find(found, "gap", **at, init=init, reference="matched") for init in inits]
        shared = [find(found, "share_of_gain", **at, init=init) for init in (FIRST, NULL)]
        contrasts = [find(found, "contrast", **at, of=of, between=between) for of in ("gap to matched", "share of the gain")]
        if any(gaps):
            cells = (*gaps, contrasts[0], *shared, contrasts[1])
            made.append((target, arm, str(rank), *(shown(f, "+.2f" if f and f.name != "share_of_gain" else ".2f") for f in cells)))
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
