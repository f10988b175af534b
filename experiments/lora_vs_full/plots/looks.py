"""How arms and nulls are named, ordered and drawn, the same in every figure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.lines import Line2D

from experiments.lora_vs_full.headlines import NULLS, named
from experiments.lora_vs_full.tables import END, FULL
from research.figures import style
from research.findings import Finding

NAMES = {FULL: "full", "slow": "low rate, × {}", "lora": "LoRA, rank {}", "slowlora": "LoRA, low rate, × {}", **NULLS}
SHORT = {"slow": "rate × {}", "lora": "LoRA {}", "slowlora": "LoRA × {}", "shuffled": "shuffled", "source": "source"}
NOISE_COLOR = "#8a8a8a"
_SLOW = ("#0072B2", "#56B4E9")
_SLOWLORA = ("#7f4f24", "#b58863")
_NULLS = {"shuffled": style.Look("#009E73", "v", (0, (4, 1.5))), "source": style.Look("#5fb596", "X", (0, (1.2, 1.2)))}
_ORDER = (FULL, "slow", "lora", "slowlora")


def ordered(words: Iterable[str]) -> list[str]:
    """Returns distinct words of arms and nulls: full, slowed from the fastest, LoRA from the smallest rank, slowed, others, then nulls."""

    def key(word: str) -> tuple[int, float, str]:
        name, strength = _parts(word)
        kind = _ORDER.index(name) if name in _ORDER else len(_ORDER) + (name in NULLS)
        return kind, -strength if name.startswith("slow") else strength, word

    return sorted(set(words), key=key)


def looks(words: Iterable[str], every: Iterable[str] = ()) -> dict[str, style.Look]:
    """Returns the look of each word, in their order: LoRA's ranks from light to dark, nulls of full in greens.

    every: words that other panels and figures have, so that one of them looks alike in all.
    """
    wanted = ordered(words)
    own = ordered([*wanted, *every])
    ramp = dict(zip(_of(own, "lora"), style.rank_colors(range(len(_of(own, "lora")))).values(), strict=True))
    found: dict[str, style.Look] = {FULL: style.FULL._replace(line="-"), **_NULLS}
    for kind, colors, marker in (("slow", _SLOW, "P"), ("slowlora", _SLOWLORA, "p")):
        found |= {word: style.Look(colors[i % 2], marker, "-") for i, word in enumerate(_of(own, kind))}
    found |= {word: style.Look(color, "os^D"[i % 4], "-") for i, (word, color) in enumerate(ramp.items())}
    found |= style.looks(word for word in own if word not in found)
    return {word: found[word] for word in wanted}


def name(word: str, short: bool = False) -> str:
    """Returns an arm or a null for a reader: 'LoRA, rank 8', or 'LoRA 8' where there is little room."""
    base, strength = _parts(word)
    return {**NAMES, **(SHORT if short else {})}.get(base, word).format(f"{strength:g}")


def size(word: str, points: float) -> float:
    """Returns the size of an arm's marker: a star looks smaller than it is."""
    return points * (1.6 if word == FULL else 1.0)


def handles(words: Iterable[str], every: Iterable[str] = (), **changes: Any) -> list[Line2D]:
    """Returns legend entries of arms and nulls; `every` as in `looks`."""
    return [style.handle(look, name(word), markersize=size(word, 5), **changes) for word, look in looks(words, every).items()]


def places(read: Iterable[str]) -> list[str]:
    """Returns the places at which something was read, in the order of every figure: where least was learned first, the end last."""
    return sorted(set(read), key=lambda at: float("inf") if at == END else float(at))


def placed(at: str) -> str:
    """Returns a place for a reader."""
    return "at the end" if at == END else f"at {named(at)} of what full learns"


def last(read: Iterable[str]) -> str:
    """Returns the place before the end at which most was learned, of those at which something was read; empty where there is none."""
    return next((at for at in reversed(places(read)) if at != END), "")


def level(found: Sequence[Finding], *places: str) -> str:
    """Returns at which losses arms are compared, for a caption, all of them unless places are named; and which arms did not come down."""
    own = [f for f in found if f.name == "level" and (not places or f.where["at"] in places)]
    said = [f"{named(f.where['at'])} of what full learns, {f.value:.2f} bits/byte" for f in own if f.value is not None]
    matched = (f for f in found if f.name == "matched_loss" and f.value is None and (not places or f.where["at"] in places))
    lost = [f"{name(f.where['arm'])} at {named(f.where['at'])} {f.note}" for f in matched]
    unread = f" Not there: {'; '.join(lost)}." if lost else ""
    return f"Equal loss: where each arm's loss on the target is nearest to one level ({'; '.join(said)}).{unread}" if said else ""


def intervals(found: Iterable[Finding], unit: str = "") -> str:
    """Returns what the intervals of these findings are and n, for a caption."""
    known = [f for f in found if f.value is not None]
    n = sorted({f.n for f in known})
    count = "0" if not n else f"{n[0]}" if len(n) == 1 else f"{n[0]} to {n[-1]}"
    how = sorted({f.method for f in known if f.low is not None and f.high is not None})
    said = f"Intervals: {'; '.join(how)}" if how else "No intervals"
    return f"{said} (n = {count}{unit})."


def _parts(word: str) -> tuple[str, float]:
    base, _, strength = word.partition("@")
    try:
        return base, float(strength or 0)
    except ValueError:
        return base, 0.0


def _of(own: Sequence[str], kind: str) -> list[str]:
    return [word for word in own if _parts(word)[0] == kind]


def ends(f: Finding) -> Mapping[str, float]:
    """Returns value, low and high of a finding that has a value, an open end being its value."""
    assert f.value is not None
    return {"value": f.value, "low": f.value if f.low is None else f.low, "high": f.value if f.high is None else f.high}
