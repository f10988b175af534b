"""The answer of a sweep over ranks, and the tables with which its report begins: every word of them is a finding's."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from experiments.lora_rank_sweep import ledger
from experiments.lora_rank_sweep.contrasts import FIRST
from experiments.lora_rank_sweep.wording import AT_FULL_RANK, GAINS, IN_FULL_RANK, reference_of
from research.analysis.contrasts import BASE_LEFT_OUT
from research.analysis.wording import ALONE, base_sentence, held, pieces_of, small, window_sentence
from research.findings import Finding, Table, find, shown

NULL = "random"
FORM = "+#.3g"
PARTS = {"matched": "same matrices, full rank", "full": "everything"}
LOSSES = (
    "Loss on held-out target text after the same steps, bits per byte [{held}]. Rank 0 is what moving "
    "alone reaches that an arm moves beside its adapters; where it moves nothing else, rank 0 is the untouched model."
)
COSTS = (
    "What a rank costs: LoRA's loss minus that of {reference}, bits per byte, the difference between pretrained and "
    "random weights first [{held}]. At rank 0 no adapter moves. "
)
AT_A_FEW = "LoRA's rates were chosen at a few ranks, interpolated between and held beyond; those of full rank were chosen for themselves."
AT_EACH = "Learning rates were chosen for each rank, and for full rank, by themselves."
SHARES = (
    "The share that a rank recovers of what {gains}: counted from rank 0, and from the unigram entropy where "
    "that is lower, since coming down to it takes the frequencies of {pieces} alone [{held}]."
)
STARTS = {"rank 0": "from rank 0", "unigram": "from the unigram entropy where that is lower"}
NEEDED = "The rank at which LoRA gains 90 % of what {gains}, counted from the untouched loss or the unigram entropy, the lower of both"
CUT = "what is lost of the full-rank update by cutting it to its best and to random directions of the same norm, bits per byte"
VALUE = "and the first singular value of what training everything changed, over its norm, read at one norm for all"


def answer(found: Sequence[Finding]) -> str:
    """Returns what the smallest rank costs from pretrained against random weights: in bits, at rank 0 too, and as a share by either start.

    All ways of counting stand there, since one may say less and another more; then who ends lower on each target, which is no matter of
    rank.
    """
    reference, sentences = reference_of(found), base_sentence(found)
    costs = [f for f in found if _is_contrast(f, f"gap to {reference}", f"{FIRST} - {NULL}") and f.value is not None]
    rank = min((f.where["rank"] for f in costs if f.where["rank"]), default=None)
    if rank is None:
        sentences.append(f"What a rank costs was not compared: that takes runs from {FIRST} and from {NULL} weights")
        return _prose(sentences) if any(f.name == "target_loss" for f in found) else ""
    own, before = ([f for f in costs if f.where["rank"] == one] for one in (rank, 0))
    sentences += [
        f"What rank {rank} costs against {IN_FULL_RANK[reference]}, {FIRST} minus {NULL} weights, in bits/byte: {_listed(own)}",
        _tally(own, (f"it costs less from {FIRST} weights", "more")),
        f"The same at rank 0, where no adapter moves: {_listed(before)}",
    ]
    for start, words in STARTS.items():
        shares = [f for f in found if _is_contrast(f, "share of the gain", f"{FIRST} - {NULL}") and f.where["rank"] == rank]
        shares = [f for f in shares if f.where["start"] == start]
        gain = "the gain" if reference == "matched" else "the gain of training everything"
        sentences.append(f"The share of {gain} that it recovers, counted {words}: {_listed(shares)}")
        sentences.append(_tally(shares, (f"it is less from {FIRST} weights", "more")))
    ends = [f for f in found if f.name == "contrast" and f.where["between"] == f"{FIRST} untouched - {NULL} everything"]
    listed = ", ".join(f"{shown(f, FORM)} on {f.where['target']}" for f in ends)
    sentences += [f"Before any rank counts: untouched {FIRST} minus everything trained from {NULL} weights, {listed}"] if ends else []
    return _prose((*sentences, _bounds(costs)))


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns tables of losses by what is trained, of what a rank costs, of the share it recovers, of directions, and the ledger."""
    losses = [f for f in found if f.name == "target_loss"]
    rows = list(dict.fromkeys((f.where["target"], f.where["arm"], f.where["init"]) for f in losses if f.where["arm"]))
    if not rows:
        return ()
    costs = ledger.table(found)
    costs = costs._replace(caption=f"{costs.caption} {ledger.sentence(found)}")
    made = (_of_losses(found, rows), _of_costs(found, rows), _of_shares(found, rows), _of_directions(found, rows), costs)
    return tuple(table for table in made if table.rows)


def _prose(sentences: Sequence[str]) -> str:
    return " ".join(f"{sentence}." for sentence in sentences)


def _bounds(contrasts: Sequence[Finding]) -> str:
    """What the intervals of an answer hold, and what they leave out."""
    single = [f.n for f in contrasts if BASE_LEFT_OUT in f.note]
    if all(f.n == 1 for f in contrasts):
        none = f"There is one seed of one base and no interval{small(contrasts)}"
        return none if all(f.low is None for f in contrasts) else f"95 % intervals, each for itself, {ALONE}, which is left out"
    if not single:
        return "95 % intervals, each for itself; arms share bases and documents"
    drawn = "the order of the data, the adapter's start and the random weights"
    documents = small(contrasts).strip(" ()")
    said = f"95 % intervals, each for itself, over {max(single)} seeds of one base ({drawn} vary): the base is left out"
    return f"{said}, and {documents}" if documents else f"{said}; arms share the base and the documents"


def _listed(contrasts: Sequence[Finding]) -> str:
    by_target: dict[str, list[str]] = {}
    for f in contrasts:
        by_target.setdefault(f.where["target"], []).append(f"{_or_undefined(f, FORM)} ({f.where['arm']})")
    return "; ".join(f"on {target} {', '.join(words)}" for target, words in by_target.items())


def _or_undefined(f: Finding | None, form: str) -> str:
    return "undefined" if f is not None and f.value is None else shown(f, form)


def _tally(contrasts: Sequence[Finding], words: tuple[str, str]) -> str:
    """In how many comparisons a contrast is below 0, above it, neither or undefined: nothing is told apart by documents of one base."""
    below = [f for f in contrasts if f.n > 1 and f.high is not None and f.high < 0]
    above = [f for f in contrasts if f.n > 1 and f.low is not None and f.low > 0]
    undefined = [f for f in contrasts if f.value is None]
    neither = len(contrasts) - len(below) - len(above) - len(undefined)
    parts = [f"{words[0]} in {len(below)} of {len(contrasts)} comparisons", f"{words[1]} in {len(above)}"]
    parts += [f"not told apart in {neither}"] if neither else []
    parts += [f"undefined in {len(undefined)}"] if undefined else []
    return ", ".join(parts).capitalize()


def _of_losses(found: Sequence[Finding], rows: Sequence[tuple[str, str, str]]) -> Table:
    losses = [f for f in found if f.name == "target_loss"]
    ranks = sorted({f.where["rank"] for f in losses if f.where["trains"] == "lora"})
    ranks = [rank for rank in ranks if rank in (0, *_some([rank for rank in ranks if rank]))]
    parts = {trains: words for trains, words in PARTS.items() if trains == "full" or find(losses, "target_loss", trains=trains)}
    columns = ("target", "adapted", "from", "untouched", *(f"rank {rank}" for rank in ranks), *parts.values())

    def cells(target: str, arm: str, init: str) -> tuple[str, ...]:
        at = {"target": target, "init": init}
        adapted = (find(losses, "target_loss", **at, arm=arm, trains="lora", rank=rank) for rank in ranks)
        whole = {
            "matched": find(losses, "target_loss", **at, arm=arm, trains="matched"),
            "full": find(losses, "target_loss", **at, trains="full"),
        }
        return tuple(map(shown, (find(found, "untouched_loss", **at), *adapted, *(whole[trains] for trains in parts))))

    entropies = [f"{f.where['target']} {shown(f)}" for f in found if f.name == "unigram_loss"]
    floors = [f"{f.where['target']} {shown(f)}" for f in found if f.name == "floor_loss"]
    known = f" Frequencies of single {pieces_of(found)} alone give {', '.join(entropies)}." if entropies else ""
    known += window_sentence(found)
    known += f" On average no model can be below {', '.join(floors)}." if floors else ""
    return Table(columns, tuple((row[0], row[1], row[2], *cells(*row)) for row in rows), LOSSES.format(held=held(losses)) + known)


def _of_costs(found: Sequence[Finding], rows: Sequence[tuple[str, str, str]]) -> Table:
    inits, between, reference = list(dict.fromkeys(init for _, _, init in rows)), f"{FIRST} - {NULL}", reference_of(found)
    columns = ("target", "adapted", "rank", between, *(f"from {init}" for init in inits))
    made = []
    for where in _places(found, rows, (0,)):
        gaps = [find(found, "gap", **where, init=init, reference=reference) for init in inits]
        contrast = find(found, "contrast", **where, of=f"gap to {reference}", between=between)
        if any(gaps):
            made.append((where["target"], where["arm"], str(where["rank"]), *(shown(f, FORM) for f in (contrast, *gaps))))
    shared = [f for f in found if f.name == "gap" and f.where["reference"] == reference]
    tried, read = ({f.where["rank"] for f in some} - {0} for some in ([f for f in found if f.name == "lr_ratio"], shared))
    words = COSTS.format(reference=AT_FULL_RANK[reference], held=held(shared)) + (AT_EACH if read and read <= tried else AT_A_FEW)
    return Table(columns, tuple(made), words)


def _of_shares(found: Sequence[Finding], rows: Sequence[tuple[str, str, str]]) -> Table:
    between, inits = f"{FIRST} - {NULL}", (FIRST, NULL)
    columns = ("target", "adapted", "rank", *(f"{name}, {start}" for start in STARTS for name in (between, *inits)))
    made = []
    for where in _places(found, rows, ()):
        cells: list[str] = []
        for start in STARTS:
            shares = [find(found, "share_of_gain", **where, init=init, start=start) for init in inits]
            contrast = find(found, "contrast", **where, of="share of the gain", between=between, start=start)
            cells += [_or_undefined(contrast, FORM), *(_or_undefined(f, ".2f") for f in shares)]
        made.append((where["target"], where["arm"], str(where["rank"]), *cells))
    every = [f for f in found if f.name == "share_of_gain"]
    return Table(columns, tuple(made), SHARES.format(gains=GAINS[reference_of(found)], pieces=pieces_of(found), held=held(every)))


def _places(found: Sequence[Finding], rows: Sequence[tuple[str, str, str]], first: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Target, arm and rank of the rows of a table: the ranks in `first`, then a small, a middle and the largest one of those read."""
    ranks = (*first, *_some(sorted({f.where["rank"] for f in found if f.name == "gap" and f.where["rank"]})))
    for (target, arm), rank in itertools.product(dict.fromkeys((target, arm) for target, arm, _ in rows), ranks):
        where = {"target": target, "arm": arm, "rank": rank}
        if find(found, "gap", **where):
            yield where


def _of_directions(found: Sequence[Finding], rows: Sequence[tuple[str, str, str]]) -> Table:
    ranks = _some(sorted({f.where["rank"] for f in found if f.name == "cut_update"}))[:2]
    cuts = [(rank, which) for rank in ranks for which in ("best", "random")]
    is_read = find(found, "first_singular_value", at="one norm") is not None
    words = (f"cut to {rank} {which} direction{'s' * (rank > 1)}" for rank, which in cuts)
    columns = ("target", "adapted", "from", "rank for 90 % of the gain", *words, *["first singular value"] * is_read)
    made = []
    for target, arm, init in rows:
        at = {"target": target, "init": init}
        needed = find(found, "r90", **at, arm=arm, reading="relative")
        lost = [find(found, "cut_update", **at, arm=arm, rank=rank, directions=which) for rank, which in cuts]
        values = [find(found, "first_singular_value", **at, at="one norm")] * is_read
        made.append((target, arm, init, shown(needed, ".3g"), *(shown(f, "+.2f") for f in lost), *(shown(f, ".2f") for f in values)))
    words_needed = NEEDED.format(gains=GAINS[reference_of(found)])
    return Table(columns, tuple(made), f"{'; '.join([words_needed, *[CUT] * bool(cuts), *[VALUE] * is_read])}.")


def _is_contrast(f: Finding, of: str, between: str) -> bool:
    return f.name == "contrast" and f.where["of"] == of and f.where["between"] == between


def _some(ranks: Sequence[int]) -> list[int]:
    """The smallest, a middle and the largest rank."""
    return sorted({ranks[0], ranks[len(ranks) // 2], ranks[-1]}) if ranks else []
