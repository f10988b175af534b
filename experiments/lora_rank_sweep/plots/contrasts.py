"""Figure: how what a rank costs differs between initializations."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.lora_rank_sweep.plots.places import ENDS, of_panel, panels_of
from experiments.lora_rank_sweep.wording import AT_FULL_RANK, GAINS, reference_of
from research.analysis.wording import interval_sentence
from research.figures import style
from research.figures.intervals import INITS, around
from research.findings import Finding

FIRST, SHARE = "pretrained", "share of the gain"
SPREAD = 0.26  # between the marks of a row
Row = tuple[str, str, int | None]  # target, arm, rank


def gap_contrasts(found: Sequence[Finding]) -> Figure:
    """Returns what a rank costs from pretrained weights minus what it costs from others: a row per arm, target and rank.

    Left in bits/byte, then as the share of the gain that it recovers, by either start. A mark with its interval for each other
    initialization, and a line at no difference; what lies off the axis is written at its side.
    """
    contrasts, *shares = (_contrasts(found, *what) for what in ((_gap(found),), (SHARE, "rank 0"), (SHARE, "unigram")))
    if not any(f.value is not None for f in contrasts):
        return style.sentence(f"Nothing to compare yet: this figure needs {FIRST} and other weights in the phase 'result'.")
    places, others = panels_of(contrasts), _others(contrasts)
    rows = _rows(contrasts, places)
    words = style.looks(others)
    with style.context():
        figure = style.blank(10.6, 0.3 * (max(rows.values()) + 1) + 1.7)
        every = figure.subplots(1, 3, sharey=True, width_ratios=[1.5, 1, 1])
        for axes, some in zip(every, (contrasts, *shares), strict=True):
            _panel(axes, some, rows, words)
        _rows_named(every[0], rows, places)
        every[0].set_xlabel(f"what a rank costs ({style.BITS}),\n{FIRST} minus others")
        every[1].set_xlabel("share of the gain it recovers,\ncounted from rank 0")
        every[2].set_xlabel("the same, from the\nunigram entropy if lower")
        named = [style.handle(words[other], f"{FIRST} minus {other}", linestyle="-") for other in others]
        style.legend_on_top(figure, named)
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns what the figure shows, n, and what its intervals hold and leave out."""
    contrasts, reference = _contrasts(found, _gap(found)), reference_of(found)
    ends = ENDS if "block+ends" in {arm for _, arm in panels_of(contrasts)} else ""
    return (
        f"From {FIRST} weights minus from others, paired by seed. Left: what a rank costs, LoRA's loss minus that of "
        f"{AT_FULL_RANK[reference]}. Middle: the share that it recovers of what {GAINS[reference]}, counted from rank 0. Right: "
        "counted from the unigram entropy where that is lower; nothing stands where that gain is not clearly there. The three may "
        "point different ways. An interval that holds 0 does not tell them apart. Rank 0 is the model without an adapter; "
        f"numbers with an arrow lie off the axis. {ends}{interval_sentence(contrasts)}"
    )


def _panel(axes: Axes, contrasts: Sequence[Finding], rows: Mapping[Row, int], words: Mapping[str, style.Look]) -> None:
    ends = _ends(contrasts)
    axes.axvline(0.0, color="#333333", linewidth=1.1, zorder=1)
    for key, height in rows.items():
        own = [f for f in contrasts if (f.where["target"], f.where["arm"], f.where["rank"]) == key]
        for i, other in enumerate(_others(own)):
            turn = i - (len(_others(own)) - 1) / 2
            _mark(axes, next(f for f in own if _other(f) == other), words[other], (ends, height + SPREAD * turn, i))
    _directions(axes, ends)
    axes.grid(visible=False, axis="y")
    for (target, _, rank), height in rows.items():
        if rank is None and height and target:
            axes.axhline(height - 0.45, color="#bbbbbb", linewidth=0.8)


def _contrasts(found: Sequence[Finding], of: str, start: str | None = None) -> list[Finding]:
    own = [f for f in found if f.name == "contrast" and f.where["of"] == of and f.where["between"].startswith(f"{FIRST} - ")]
    return [f for f in own if f.where.get("start") == start]


def _gap(found: Sequence[Finding]) -> str:
    return f"gap to {reference_of(found)}"


def _others(contrasts: Sequence[Finding]) -> list[str]:
    words = {_other(f) for f in contrasts}
    return [word for word in INITS if word in words] + sorted(words - set(INITS))


def _other(f: Finding) -> str:
    return str(f.where["between"]).removeprefix(f"{FIRST} - ")


def _rows(contrasts: Sequence[Finding], places: Sequence[tuple[str, str]]) -> dict[Row, int]:
    """Returns the height of each row, counted from the top: a heading (no rank) for each arm and target, then its ranks."""
    rows: dict[Row, int] = {}
    for target, arm in places:
        for rank in [None, *sorted({f.where["rank"] for f in of_panel(contrasts, (target, arm))})]:
            rows[target, arm, rank] = len(rows)
    return rows


def _ends(contrasts: Sequence[Finding]) -> tuple[float, float]:
    """Returns how far the axis reaches to each side: fitted to the ranks above 0, to no interval that dwarfs them, and round zero."""
    read = [f for f in contrasts if f.value is not None]
    if not read:
        return -1.0, 1.0
    read = [f for f in read if f.where["rank"]] or read
    size = max([abs(f.value) for f in read if f.value is not None] + [0.01])
    reached = [end for f in read for end in (f.value, f.low, f.high) if end is not None]
    low, high = max(min(reached), -2.5 * size), min(max(reached), 2.5 * size)
    return min(low, -0.25 * max(high, size)), max(high, 0.25 * max(-low, size))


def _directions(axes: Axes, ends: tuple[float, float]) -> None:
    """Sets the horizontal axis, and says what left and right of zero mean."""
    room = 0.06 * (ends[1] - ends[0])
    axes.set_xlim(ends[0] - room, ends[1] + room)
    for text, side, align in (("← less", -6, "right"), ("more →", 6, "left")):
        spot: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "xytext": (side, 3), "textcoords": "offset points", "ha": align}
        axes.annotate(text, (0, 1), va="bottom", fontsize=8.5, **spot)


def _mark(axes: Axes, f: Finding, look: style.Look, at: tuple[tuple[float, float], float, int]) -> None:
    """Draws a contrast with its interval; `at`: where the axis ends, the height, and its turn among what lies off the axis."""
    (low, high), height, turn = at
    if f.value is None:
        return
    if low <= f.value <= high:
        places, values, spread = around([f], [height])
        mark: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": "none"}
        axes.errorbar(values, places, xerr=spread, elinewidth=1.3, capsize=2.5, zorder=3, **mark)
        return
    arrow, side = ("← ", -1) if f.value < 0 else ("→ ", 1)
    text = f"{arrow}{f.value:.1f}".replace("-", "−")
    spot: dict[str, Any] = {"xytext": (-side * 42 * turn, 0), "textcoords": "offset points", "ha": "left" if side < 0 else "right"}
    axes.annotate(text, (low if side < 0 else high, round(height)), va="center", fontsize=8, color=look.color, **spot)


def _rows_named(axes: Axes, rows: Mapping[Row, int], places: Sequence[tuple[str, str]]) -> None:
    """Names the ranks left of the axis and the arms and targets above their rows."""
    ranks = {key[2]: height for key, height in rows.items()}
    named = [(height, f"rank {rank}") for (_, _, rank), height in rows.items() if rank is not None]
    axes.set_yticks([height for height, _ in named], [name for _, name in named])
    axes.set_ylim(max(ranks.values()) + 0.6, -0.5)
    axes.tick_params(axis="y", length=0)
    for target, arm in places:
        height = rows[target, arm, None]
        text = f"{target} · {arm}"
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        spot: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "va": "center", "bbox": paper, "zorder": 4}
        axes.annotate(text, (0.01, height), fontsize=9, color=style.GRAY, **spot).set_in_layout(False)  # it may reach into the next panel
