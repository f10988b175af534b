"""The answer in words: whether optimization is easier from pretrained weights, what contradicts it first; every number is a finding."""

from collections.abc import Iterator, Sequence
from typing import Any

from research.analysis.contrasts import BASE_LEFT_OUT
from research.analysis.wording import base_sentence, sentences
from research.findings import Finding, find, shown

CONTRADICTS, SUPPORTS, ALIKE, UNJUDGED, UNREAD = "contradicts", "supports", "not told apart", "unjudged", "not read"
MAIN = "random"
CLAIM = (
    "The claim is that optimization is easier near a good solution: fewer steps, smaller curvature at one loss, lower barriers, a "
    "straighter way, a larger stable rate; numbers are factors of pretrained weights over others, for barriers differences [95 % interval]"
)
NOTHING = "Nothing was compared: for that, pretrained weights and others have to be read"
LARGER_IS_EASIER = ("largest_stable_rate",)
PAIRS = {"one base": "between runs of one base", "two bases": "between runs of two bases", "start": "from a start to its solution"}
PLACES = {"start": "before training, at another loss", "end": "after training, at another loss"}
NAMES = {"lambda_max": "largest eigenvalue", "trace": "trace"}
KEY = (
    {"what": "steps_to_loss", "level": "lowest"},
    {"what": "lambda_max", "at": "matched"},
    {"what": "trace", "at": "matched"},
    {"what": "barrier", "pair": "one base", "matching": "raw"},
    {"what": "path_ratio"},
    {"what": "largest_stable_rate"},
)
KEPT = {"shuffled": "each matrix's entries in another order", "rotated": "each matrix's singular values"}


def answer(found: Sequence[Finding]) -> str:
    """Returns what contradicts the claim against random weights, what supports it, the rest; then the same against the other nulls."""
    contrasts = [f for f in found if f.name == "contrast"]
    if not contrasts:
        return sentences([*base_sentence(found), NOTHING]) if found else ""
    target = find(found, "target")
    others = list(dict.fromkeys(map(_other, contrasts)))
    others.sort(key=lambda init: init != MAIN)
    parts = [*base_sentence(found), *([f"The target is {target.note}"] if target else []), CLAIM]
    parts += _against(others[0], [f for f in contrasts if _other(f) == others[0]])
    rest = [part for other in others[1:] for part in _against(other, [f for f in contrasts if _other(f) == other and _is_key(f)])]
    rest += _nulls(contrasts, others)
    rest += _chance([f for f in contrasts if _other(f) == others[0]], others[0])
    edges = [
        f"{f.where['trains']} from {f.where['init']}" for f in found if f.name == "learning_rate" and "optimum may lie beyond" in f.note
    ]
    rest += [f"Learning rates lie on the edge of their grid, where a better one may lie outside, for {', '.join(edges)}"] if edges else []
    return sentences(parts, rest)


def verdict(f: Finding) -> str:
    """Returns what a contrast says of the claim: its interval leaves out 1, or of a difference 0, on one side or on neither.

    Nothing is judged without an interval over bases: where one base was read, or a base that was pretrained elsewhere.
    """
    if f.value is None:
        return UNREAD
    if f.n < 2 or f.low is None or f.high is None or BASE_LEFT_OUT in f.note:
        return UNJUDGED
    null = 0.0 if " - " in f.where["between"] else 1.0
    if f.low <= null <= f.high:
        return ALIKE
    return SUPPORTS if (f.low > null) == (f.where["what"] in LARGER_IS_EASIER) else CONTRADICTS


def named(f: Finding) -> str:
    """Returns the words for what a contrast, or a reading, is of."""
    where: dict[str, Any] = {"what": f.name, **f.where}
    what = where["what"]
    if what == "steps_to_loss":
        return f"steps to {where['bits']:.3g} bits/byte" if where["bits"] is not None else "steps to a loss that all reach"
    if what == "barrier":
        words = f"barrier {PAIRS[where['pair']]}"
        return (
            f"{words}, whose losses differ"
            if where["pair"] == "start"
            else f"{words} ({_matching(where['matching'])}), its ends at another loss"
        )
    if what in NAMES:
        inside = " inside LoRA" if where["trains"] == "lora" else ""
        if where["at"] != "matched":
            return f"{NAMES[what]}{inside} {PLACES[where['at']]}"
        return f"{NAMES[what]}{inside} at matched loss" + (f" ({where['bits']:.3g} bits/byte)" if where["bits"] is not None else "")
    return {
        "path_ratio": "length of the way over its distance",
        "largest_stable_rate": "largest stable learning rate, each judged by its own start",
    }.get(what, what)


def _matching(word: str) -> str:
    return "as they are" if word == "raw" else "units matched"


def _against(other: str, own: Sequence[Finding]) -> Iterator[str]:
    """One sentence for each verdict that there is, contradictions first."""
    groups: dict[str, list[Finding]] = {}
    for f in own:
        groups.setdefault(verdict(f), []).append(f)
    words = {
        CONTRADICTS: "contradicting the claim",
        SUPPORTS: "supporting it",
        ALIKE: "not told apart",
        UNJUDGED: "read without an interval over bases, which is no verdict",
        UNREAD: "not read",
    }
    for name in words:
        if group := groups.get(name):
            between = ": " if name == UNREAD else " "
            told = "; ".join(f"{named(f)}{between}{shown(f, '.2g')}" for f in group)
            yield f"Against {other} weights, {words[name]}: {told}"


def _nulls(contrasts: Sequence[Finding], others: Sequence[str]) -> Iterator[str]:
    """What supports the claim against random weights, but not against weights that keep less of the pretrained ones than all."""
    if others[0] != MAIN:
        return
    held = [f for f in contrasts if _other(f) == MAIN and _is_key(f) and verdict(f) == SUPPORTS]
    for other in others[1:]:
        own = {_kind(f): verdict(f) for f in contrasts if _other(f) == other}
        lost = [named(f) for f in held if own.get(_kind(f)) in (ALIKE, CONTRADICTS)]
        keeps = next((f", which keep {kept}" for word, kept in KEPT.items() if other.startswith(word)), "")
        if lost:
            yield f"What supports the claim against random weights does not hold against {other} ones{keeps}, for {'; '.join(lost)}"


def _chance(own: Sequence[Finding], other: str) -> list[str]:
    """How many of the contrasts would be told apart by chance alone."""
    judged = sum(verdict(f) in (CONTRADICTS, SUPPORTS, ALIKE) for f in own)
    if judged < 2:
        return []
    return [f"Of {judged} intervals against {other} weights, each at 95 %, chance alone tells about {0.05 * judged:.1g} apart"]


def _other(f: Finding) -> str:
    return str(f.where["between"].split(" ", 2)[2])


def _is_key(f: Finding) -> bool:
    return f.where.get("trains", "full") == "full" and any(key.items() <= f.where.items() for key in KEY)


def _kind(f: Finding) -> tuple[tuple[str, Any], ...]:
    return tuple((key, value) for key, value in f.where.items() if key != "between")
