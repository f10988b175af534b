"""How arms are named, ordered and drawn, the same in every figure: how an arm is trained is its color, what it is taught its line."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments.style_vs_facts.ways import CONFLICT, FACTS, FULL, KNOWN, MIXED, NOISE, STYLE, Read, Taught
from research.figures import style
from research.findings import Finding

BITS_EACH = 16.0  # of an entity: four attributes, each one of 16 values
RETRIEVAL = style.Look("#009E73", "^", (0, (5, 2)))
BASE = style.Look(style.GRAY, "s", (0, (1.2, 1.2)))
KINDS = (STYLE, FACTS, MIXED, CONFLICT, KNOWN, NOISE)
_NAMES = {FULL: "full", "lora": "LoRA, rank {}", "one": "one matrix, rank {}"}
_LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
_ONE = ("#0072B2", "#56B4E9")


class Span(NamedTuple):
    """A value with its ends, an open one being the value itself."""

    value: float
    low: float
    high: float


def hows(read: Read, kind: str | None = None) -> list[str]:
    """Returns how arms are trained, those of one kind if named: full, LoRA from the largest rank, others, one matrix."""
    order = (FULL, "lora", "one")

    def key(how: str) -> tuple[int, float, str]:
        name, rank = _parts(how)
        return (2 * order.index(name) if name in order else 3), -rank, how

    return sorted({arm.how for arm in read.arms if kind in (None, arm.kind)}, key=key)


def looks(read: Read) -> dict[str, style.Look]:
    """Returns the look of each way of training of a run, LoRA's ranks from light to dark."""
    every = hows(read)
    adapters = sorted((how for how in every if _parts(how)[0] == "lora"), key=lambda how: _parts(how)[1])
    ramp = zip(adapters, style.rank_colors(range(len(adapters))).values(), strict=True)
    found = {FULL: style.FULL._replace(line="-")} | {how: style.Look(color, "osD"[i % 3], "-") for i, (how, color) in enumerate(ramp)}
    found |= {how: style.Look(_ONE[i % 2], "P", "-") for i, how in enumerate(how for how in every if _parts(how)[0] == "one")}
    found |= style.looks(how for how in every if how not in found)
    return {how: found[how] for how in every}


def lessons(read: Read, kind: str) -> list[Taught]:
    """Returns an arm for each lesson of a kind: those of most paraphrases first, of these the one of most entities."""
    own = {arm.lesson: arm for arm in read.arms if arm.kind == kind}
    return sorted(own.values(), key=lambda arm: (-arm.paraphrases, -arm.entities, arm.lesson))


def arranged(read: Read) -> list[Taught]:
    """Returns all arms in the order of every figure: by what they are taught, then by how."""
    taught, how = [arm.lesson for kind in KINDS for arm in lessons(read, kind)], hows(read)
    return sorted(read.arms, key=lambda arm: (taught.index(arm.lesson), how.index(arm.how)))


def lines(read: Read, kind: str) -> dict[str, Any]:
    """Returns the line style of each lesson of a kind."""
    return {arm.lesson: _LINES[i % len(_LINES)] for i, arm in enumerate(lessons(read, kind))}


def widest(read: Read) -> list[Taught]:
    """Returns the arms that are taught the largest world of new facts in most paraphrases, by how they are trained."""
    own = lessons(read, FACTS)
    most = max(own, key=lambda arm: (arm.entities, arm.paraphrases)).lesson if own else ""
    return [arm for arm in arranged(read) if arm.lesson == most]


def name(how: str) -> str:
    """Returns a way of training for a reader: 'LoRA, rank 16'."""
    base, rank = _parts(how)
    return _NAMES.get(base, how).format(f"{rank:g}")


def lesson(arm: Taught, short: bool = False) -> str:
    """Returns what is taught for a reader: 'facts, 64 entities in 1 way', 'style, 16 entities in capitals'; without its kind if `short`."""
    ways = f" in {arm.paraphrases} way{'s' * (arm.paraphrases > 1)}" if arm.kind == FACTS else ""
    written = f" in {arm.lesson.split(':')[1]}" if arm.kind in (STYLE, MIXED) and arm.lesson.count(":") > 1 else ""
    return f"{'' if short else f'{arm.kind}, '}{arm.entities} entities{ways}{written}"


def size(how: str, points: float) -> float:
    """Returns the size of a marker: a star looks smaller than it is."""
    return points * (1.6 if how == FULL else 1.0)


def handles(read: Read, wanted: Iterable[str], **changes: Any) -> list[Line2D]:
    """Returns a legend entry for each way of training."""
    own = looks(read)
    return [style.handle(own[how], name(how), markersize=size(how, 5), **changes) for how in wanted]


def span(f: Finding, start: float = 0.0) -> Span:
    """Returns value and ends of a finding that has a value, counted from `start`."""
    assert f.value is not None
    return Span(*(start + (f.value if end is None else end) for end in (f.value, f.low, f.high)))


def view(spans: Sequence[Span], also: Iterable[float] = (), reach: float = 0.4) -> tuple[float, float]:
    """Returns limits that hold all values and, unless one reaches much further than these lie apart, their intervals."""
    values = [*(each.value for each in spans), *also]
    extent = (max(values) - min(values)) or 1.0
    low = max(min([*values, *(each.low for each in spans)]), min(values) - reach * extent)
    high = min(max([*values, *(each.high for each in spans)]), max(values) + reach * extent)
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


def mark(axes: Axes, place: float, own: Span, look: style.Look, **changes: Any) -> None:
    """Draws a value and its interval in a row."""
    around = [[own.value - own.low], [own.high - own.value]]
    axes.errorbar([own.value], [place], xerr=around, color=look.color, marker=look.marker, linestyle="none", **changes)


def rows(axes: Axes, names: Sequence[str]) -> None:
    """Names the rows of a panel from the top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def intervals(found: Iterable[Finding]) -> str:
    """Returns what intervals are and how many bases are behind them, for a caption."""
    known = [f for f in found if f.value is not None]
    n = sorted({f.n for f in known})
    how = sorted({f.method for f in known if f.low is not None and f.high is not None})
    count = " to ".join(str(each) for each in dict.fromkeys([*n[:1], *n[-1:]])) or "0"
    return f"{'Bars: ' + '; '.join(how) if how else 'No intervals'} (n = {count}); one that leaves the panel is cut at its edge."


def missing(found: Sequence[Finding]) -> str:
    """Returns a sentence on findings without a value, or nothing."""
    gone = sum(f.value is None for f in found)
    return f" {gone} of {len(found)} have no value, and are left out." if gone else ""


def _parts(how: str) -> tuple[str, float]:
    base, _, rank = how.partition("@")
    return (base, float(rank)) if rank.isdecimal() else (base, 0.0)
