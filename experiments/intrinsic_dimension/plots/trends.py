"""d90 of fine-tuning against how long the weights were pretrained, and against the model's size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research.analysis.contrasts import BASE_LEFT_OUT
from research.figures import intervals, style
from research.findings import Finding

LOOKS = {
    "relative": style.Look("#0072B2", "o", "-"),
    "untouched": style.Look("#56B4E9", "v", (0, (3, 1, 1, 1, 1, 1))),
    "worst_best": style.Look("#D55E00", "s", (0, (6, 2))),
    "halfway": style.Look("#009E73", "^", (0, (4, 1.5, 1, 1.5))),
    "best_90": style.Look("#CC79A7", "D", (0, (1, 1))),
}
MEANINGS = {
    "worst_best": "which every initialization reaches",
    "halfway": "halfway from there to the unigram entropy",
    "best_90": "90 % of the best one's gain",
}
NULL = "shuffled"


def against_pretraining(found: Sequence[Finding]) -> Figure:
    """Returns d90 (log) against the steps of pretraining, by the arm's own gain from either start and for shared losses.

    Shuffled weights are hollow. An arrow is a bound: up, not reached at the largest dimension; down, at or below the smallest; a cross, not
    read; a 0 at the foot, read as 0.
    """
    own = [f for f in _largest(found) if "pretraining_steps" in f.where]  # not known of weights from elsewhere
    if len({f.where["pretraining_steps"] for f in own}) < 2:
        return style.sentence("d90 against pretraining needs a language model from at least two stages of pretraining.")
    with style.context():
        figure = style.blank(6.2, 4.2)
        axes = figure.subplots()
        places = {steps: place for place, steps in enumerate(sorted({f.where["pretraining_steps"] for f in own}))}
        names = [name for name in LOOKS if any(_name(f) == name for f in own)]
        for shift, name in zip(0.09 * (np.arange(len(names)) - (len(names) - 1) / 2), names, strict=True):
            some = [f for f in own if _name(f) == name]
            for hollow in (False, True):
                rows = sorted((f for f in some if f.where["init"].startswith(NULL) is hollow), key=lambda f: f.where["pretraining_steps"])
                x = [places[f.where["pretraining_steps"]] + shift + 0.4 * hollow for f in rows]
                _drawn(axes, x, rows, LOOKS[name], hollow)
        axes.set_xticks(list(places.values()), [f"{steps:,}" for steps in places])
        axes.set_xlabel("steps of pretraining (evenly spaced); hollow: shuffled after them")
        _finish(figure, axes, own, names)
        return figure


def pretraining_caption(found: Sequence[Finding]) -> str:
    """Returns what the figure shows, n and the losses that are shared."""
    own = _largest(found)
    shared = {f.where["target"]: f.where["target_bits"] for f in own if "target" in f.where}
    words = ", ".join(f"{bits:.2f}, {MEANINGS[name]}" for name, bits in shared.items())
    n = max((f.n for f in own), default=0)
    units = "draws of one base, which is left out" if any(BASE_LEFT_OUT in f.note for f in own) else "bases"
    return (
        "Dimension that fine-tuning needs against how long the weights were pretrained: for 90 % of the arm's own full fine-tuning gain, "
        "counted from the untouched loss or the unigram entropy, the lower of both, and from the untouched loss; and for losses that are "
        f"the same for all ({words}; bits/byte). Intervals: t band over {n} {units}, inverted. Arrows: up, not reached at the largest "
        "dimension, or an interval open there; down, at or below the smallest. A 0 at the foot: untouched weights are there already. A "
        "cross: nothing is read, mostly because full fine-tuning itself does not reach that loss."
    )


def against_size(found: Sequence[Finding]) -> Figure:
    """Returns d90 (log) for the arm's own target against the number of parameters, a line an initialization."""
    own = [f for f in _language(found) if _name(f) == "relative"]
    sizes = sorted({f.where["parameters"] for f in own})
    if len(sizes) < 2:
        return style.sentence("d90 against model size needs at least two `widths` (the variant :gpu has three).")
    with style.context():
        figure = style.blank(5.8, 4.0)
        axes = figure.subplots()
        words = style.looks(f.where["init"] for f in own)
        for place, (init, look) in enumerate(words.items()):
            rows = [f for f in own if f.where["init"] == init]
            _drawn(axes, [f.where["parameters"] * 1.02**place for f in rows], rows, look, False)
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(sizes, [style.compact(size) for size in sizes])
        axes.set_xlabel("parameters")
        axes.set_yscale("log", base=2)
        axes.set_ylabel("d90 (dimensions)")
        style.legend_below(figure, [style.handle(look, init) for init, look in words.items()])
        return figure


def size_caption(found: Sequence[Finding]) -> str:
    """Returns what the figure shows."""
    return (
        "Dimension for 90 % of the arm's own full fine-tuning gain against the number of parameters, by initialization; t bands over draws."
    )


def _language(found: Sequence[Finding]) -> list[Finding]:
    """d90 of language models, by the first projection, that from the untouched loss among them."""
    own = [f for f in found if f.where.get("model") == "lm" and (f.name == "d90" or _from_untouched(f))]
    return [f for f in own if f.where["projection"] == own[0].where["projection"]]


def _from_untouched(f: Finding) -> bool:
    return f.name == "d90_by_definition" and f.where["start"] == "untouched"


def _largest(found: Sequence[Finding]) -> list[Finding]:
    own = _language(found)
    return [f for f in own if f.where["parameters"] == max(g.where["parameters"] for g in own)]


def _name(f: Finding) -> str:
    return str(f.where.get("target") or f.where.get("start") or f.where["threshold"])


def _drawn(axes: Axes, x: Sequence[float], rows: Sequence[Finding], look: style.Look, hollow: bool) -> None:
    """Draws what was read with its intervals, and arrows for bounds and for the open ends of intervals."""
    drawn: dict[str, Any] = {"color": look.color, "marker": look.marker, "markerfacecolor": "white" if hollow else look.color}
    read = [(place, f) for place, f in zip(x, rows, strict=True) if f.value]
    if read:
        places, values, spread = intervals.around([f for _, f in read], [place for place, _ in read])
        axes.errorbar(places, values, yerr=spread, linestyle="none" if hollow else look.line, capsize=2, **drawn)
    for place, f in zip(x, rows, strict=True):
        above = "open above" in f.note or (f.value is None and "not reached at" in f.note)
        below = "open below" in f.note or (f.value is None and "at or below" in f.note) or (f.value and f.low == 0)
        at = f.value or (f.low if above else f.high) or None
        if f.value == 0:
            axes.annotate("0", (place, 0.02), xycoords=axes.get_xaxis_transform(), color=look.color, ha="center")
            continue
        if at is None:
            axes.plot([place], [0.04], marker="x", color=look.color, transform=axes.get_xaxis_transform(), linestyle="none")
        elif f.value is None:
            axes.plot([place], [at], linestyle="none", **drawn)
        for shift in ([16] if above and at else []) + ([-16] if below and at else []):
            arrow = {"arrowstyle": "<-", "color": look.color}
            axes.annotate("", (place, at), (0, shift), textcoords="offset points", arrowprops=arrow)


def _finish(figure: Figure, axes: Axes, own: Sequence[Finding], names: Sequence[str]) -> None:
    bits = {f.where["target"]: f.where["target_bits"] for f in own if "target" in f.where}
    words = {"relative": "90 % of its own gain", "untouched": "the same from the untouched loss"}
    words |= {name: f"loss {value:.2f} ({MEANINGS[name]})" for name, value in bits.items()}
    axes.set_yscale("log", base=2)
    axes.set_ylabel("d90 (dimensions)")
    axes.margins(y=0.15)
    style.legend_below(figure, [style.handle(LOOKS[name], words[name]) for name in names])
