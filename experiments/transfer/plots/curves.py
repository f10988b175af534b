"""Losses and their differences against the number of blocks, with what was published beside them."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.transfer import published
from experiments.transfer.arms import ABOVE, BELOW, MATCHED, RANDOM, SCRATCH, SHUFFLED, TUNED
from experiments.transfer.plots import looks
from experiments.transfer.readings import SLOPE
from research.analysis.wording import interval_sentence, window_sentence
from research.figures import style
from research.figures.intervals import around
from research.findings import Finding, find

PARTS = (BELOW, ABOVE, "AnB+")
BESIDE = {TUNED: "tuning all of A", SCRATCH: "from scratch", MATCHED: "from scratch, longer"}
CUT = ("BnB", "BnB+", "AnB", "AnB+", RANDOM, SHUFFLED)
BLOCKS = "n, blocks"
SIDE = 0.09  # by which curves of one panel are drawn apart, so that intervals do not lie on one another


def transfer(found: Sequence[Finding]) -> Figure:
    """Returns the loss of each arm against the number of copied blocks, beside the published curves as errors above the base network's."""
    ends = [f for f in found if f.name == "transfer_loss" and f.where["share"] == 1]
    if not [f for f in ends if f.where["arm"] in CUT]:
        return style.sentence("No curves: this figure needs an arm that copies blocks.")
    with style.context():
        figure = style.blank(9.6, 4.4)
        own, theirs = figure.subplots(1, 2, width_ratios=(1.5, 1.0))
        names = [name for name in CUT if _line(own, name, [f for f in ends if f.where["arm"] == name])]
        names += [name for name in (SCRATCH, MATCHED, TUNED) if _level(own, name, find(ends, "transfer_loss", arm=name))]
        own.set_ylabel(f"loss on the target ({ends[0].unit})")
        own.set_title("this run")
        for name, values in published.ACCURACY.items():
            look = looks.LOOKS[name]
            errors = [100 * (published.BASE - value) for value in values]
            theirs.plot(published.LAYERS, errors, color=look.color, marker=look.marker, linestyle=look.line, markersize=5)
        theirs.axhline(0.0, color=looks.LOOKS[SCRATCH].color, linestyle=looks.LOOKS[SCRATCH].line, linewidth=1.0)
        theirs.set_ylabel("top-1 error above the base network's (points)")
        theirs.set_title("ImageNet's halves, Yosinski et al. 2014")
        theirs.set_xlabel("n, layers from the input on")
        _blocks(own, ends)
        style.legend_below(figure, looks.handles([*names, *published.ACCURACY]))
        return figure


def transfer_caption(found: Sequence[Finding]) -> str:
    """Returns what a curve is, what its intervals hold, and where the published numbers are from."""
    ends = [f for f in found if f.name == "transfer_loss" and f.where["share"] == 1]
    return (
        f"Left: loss on the target at the end of training; up is worse. {interval_sentence(ends)}{window_sentence(found)} Curves are drawn "
        f"a little apart. Right: {published.SOURCE}; up is worse, without intervals. Its arms "
        "were trained for as long as its base network; its random frozen layers, near chance from the third on, are not drawn."
    )


def differences(found: Sequence[Finding]) -> Figure:
    """Returns what is special to A, what frozen blocks are worth beside random ones, and what cutting costs, by number of blocks."""
    panels = {
        "special to A:\nAnB − BnB": _by_n(found, "specificity"),
        "worth of A's blocks:\nAnB − random": _by_n(found, "features", beside=RANDOM),
        "B's own, frozen:\nBnB − scratch": _by_n(found, "coadaptation", beside=SCRATCH),
        "B's own, frozen:\nBnB − BnB+": _by_n(found, "coadaptation", beside="BnB+"),
    }
    return _panels({title: {"AnB": some} for title, some in panels.items() if some}, None)


def differences_caption(found: Sequence[Finding]) -> str:
    """Returns what a mark is, and what its interval holds."""
    names = ("specificity", "features", "coadaptation")
    some = [f for f in found if f.name in names and f.where["n"] != SLOPE]
    return f"Differences of losses on the target, paired by seed; above the line the first is worse. {interval_sentence(some)}"


def kept(found: Sequence[Finding]) -> Figure:
    """Returns the gain of each way of copying or tuning less: beside from scratch, and beside tuning all of A."""

    def beside(other: str) -> dict[str, list[Finding]]:
        made = {name: [f for f in found if f.name == "contrast" and f.where["between"] == f"{name} - {other}"] for name in PARTS}
        return {name: [f for f in some if f.where["n"] is not None] for name, some in made.items()}

    panels = {f"beside {said}": beside(other) for other, said in BESIDE.items()}
    there = [name for name in PARTS if any(own[name] for own in panels.values())]
    return _panels({title: own for title, own in panels.items() if any(own.values())}, there)


def kept_caption(found: Sequence[Finding]) -> str:
    """Returns what a mark is, and what its interval holds."""
    some = [f for f in found if f.name == "contrast" and f.where["between"].split(" - ")[0] in PARTS]
    return (
        "Differences of losses on the target, paired by seed, against n: of the first blocks that are frozen, of the last ones that are "
        f"frozen with the head, of the first ones that are copied while all behind them is drawn anew. {interval_sentence(some)}"
    )


def shares(found: Sequence[Finding]) -> Figure:
    """Returns each arm's loss against how much of the training is done, at the fewest and the most blocks."""
    own = [f for f in found if f.name == "transfer_loss" and f.where["arm"] != MATCHED]
    if len({f.where["share"] for f in own}) < 2:
        return style.sentence("No course of training: this figure needs read_at.")
    most = {f.where["n"] for f in own if f.where["n"] is not None}
    panels = {f"n = {n}": n for n in sorted({min(most), max(most)})} if most else {"": None}
    with style.context():
        figure = style.blank(4.4 * len(panels) + 0.6, 4.4)
        drawn = figure.subplots(1, len(panels), squeeze=False, sharey=True).ravel()
        for axes, (title, n) in zip(drawn, panels.items(), strict=True):
            for place, name in enumerate(looks.LOOKS):
                some = [f for f in own if f.where["arm"] == name and f.where["n"] in (None, n)]
                _marks(axes, name, some, [f.where["share"] * (1 + 0.02 * (place - 4)) for f in some])
            axes.set_xscale("log")
            axes.set_xlabel("share of the steps")
            axes.set_title(title)
            style.plain_ticks(axes.xaxis)
        drawn[0].set_ylabel(f"loss on the target ({own[0].unit})")
        style.legend_below(figure, looks.handles([f.where["arm"] for f in own]))
        return figure


def shares_caption(found: Sequence[Finding]) -> str:
    """Returns on what the losses of a course are read."""
    some = [f for f in found if f.name == "transfer_loss" and f.where["share"] != 1]
    return (
        "Loss on the target along the way, on the first chunk of its held-out part, at the end on the whole of it; rates serve "
        f"all of it alike. {interval_sentence(some)}"
    )


def _by_n(found: Iterable[Finding], name: str, **where: Any) -> list[Finding]:
    return [f for f in found if f.name == name and where.items() <= f.where.items() and f.where["n"] != SLOPE]


def _panels(panels: dict[str, dict[str, list[Finding]]], legend: list[str] | None) -> Figure:
    if not panels:
        return style.sentence("No differences: this figure needs arms that are compared.")
    with style.context():
        figure = style.blank(2.6 * len(panels) + 1.0, 3.7 if legend else 3.2)
        drawn = figure.subplots(1, len(panels), squeeze=False, sharey=legend is not None).ravel()
        for axes, (title, own) in zip(drawn, panels.items(), strict=True):
            for name, some in own.items():
                _line(axes, name, some)
            axes.axhline(0.0, color=style.GRAY, linewidth=0.9, zorder=0.9)
            axes.set_title(title, fontsize=9.5)
            _blocks(axes, [f for some in own.values() for f in some])
        unit = next(f.unit for own in panels.values() for some in own.values() for f in some)
        drawn[0].set_ylabel(f"difference ({unit})")
        if legend:
            style.legend_below(figure, looks.handles(legend))
        return figure


def _line(axes: Axes, name: str, some: Sequence[Finding]) -> bool:
    """Draws an arm's findings against their number of blocks; returns whether there are any."""
    order = list(looks.LOOKS).index(name)
    return _marks(axes, name, some, [f.where["n"] + SIDE * (order - 5) / 2 for f in some])


def _marks(axes: Axes, name: str, some: Sequence[Finding], places: Sequence[float]) -> bool:
    known = [(f, x) for f, x in zip(some, places, strict=True) if f.value is not None]
    if not known:
        return False
    x, value, spread = around([f for f, _ in known], [x for _, x in known])
    look = looks.LOOKS[name]
    axes.errorbar(x, value, spread, color=look.color, marker=look.marker or ".", linestyle=look.line, markersize=5, elinewidth=1.0)
    return True


def _level(axes: Axes, name: str, f: Finding | None) -> bool:
    if f is None or f.value is None:
        return False
    look = looks.LOOKS[name]
    axes.axhline(f.value, color=look.color, linestyle=look.line, linewidth=1.1)
    if f.low is not None and f.high is not None:
        axes.axhspan(f.low, f.high, color=look.color, alpha=0.08, linewidth=0)
    return True


def _blocks(axes: Axes, some: Sequence[Finding]) -> None:
    axes.set_xticks(sorted({f.where["n"] for f in some if f.where["n"] is not None}))
    axes.set_xlabel(BLOCKS)
