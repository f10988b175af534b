"""How many bits of new facts there is room for in the parameters that move."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.style_vs_facts.plots import looks
from experiments.style_vs_facts.ways import Read
from research.figures import style
from research.findings import Finding, find

LAW = 2.0  # bits a parameter, of whole models that saw each fact a thousand times (Allen-Zhu & Li 2024)
LAW_LOOK = style.Look("#CC79A7", "", (0, (8, 2, 2, 2)))


def capacity(read: Read, found: Sequence[Finding]) -> Figure:
    """Returns bits of new facts learned by the end, of the largest world of facts, against the parameters that move (log scale).

    Beside them: 2 bits a parameter, all bits there are, what retrieval reads, what the base reads alone; small dots are seeds.
    """
    own = _own(read, found)
    if not own:
        return style.sentence(
            "No bits: this figure needs values of the finding 'bits_learned' and 'trained_parameters' of lessons of facts."
        )
    with style.context():
        figure = style.blank(6.6, 4.3)
        axes = figure.subplots()
        look, ends = looks.looks(read), read.ends("new_bits")
        for arm in (arm for arm in looks.widest(read) if arm.how in own):
            at, f = read.price("trained_parameters", arm.how), looks.span(own[arm.how])
            around = [[f.value - f.low], [f.high - f.value]]
            drawn: dict[str, Any] = {"color": look[arm.how].color, "marker": look[arm.how].marker, "markersize": looks.size(arm.how, 6)}
            seeds = ends[arm.word]
            axes.plot([1.08 * at] * len(seeds), seeds, color=look[arm.how].color, marker=".", markersize=4, alpha=0.7, linestyle="none")
            axes.errorbar([at], [f.value], around, linestyle="none", **drawn)
        levels = _levels(read, found)
        spots = [read.price("trained_parameters", how) for how in own]
        axes.set_xscale("log")
        style.plain_ticks(axes.xaxis)
        axes.set_xlim(min(spots) / 2, 2 * max(spots))
        axes.set_ylim(*looks.view([looks.span(f) for f in own.values()], levels.values()))
        _lines(axes, levels)
        axes.set_xlabel("parameters that move (log scale)")
        axes.set_ylabel("bits of new facts learned by the end")
        named = looks.handles(read, own, linestyle="none")
        style.legend_below(figure, [*named, style.handle(LAW_LOOK, f"{LAW:g} bits a parameter")])
        return figure


def caption(read: Read, found: Sequence[Finding]) -> str:
    """Returns what is learned and compared, what intervals are and n, and which of them still rise."""
    every = [find(found, "bits_learned", **arm.where, per="total", asked="trained") for arm in looks.widest(read)]
    own = [f for f in every if f is not None]
    grown = [find(found, "bits_per_parameter", **arm.where) for arm in looks.widest(read)]
    still = "; ".join(f"{looks.name(f.where['how'])} {f.note.split(';')[0]}" for f in grown if f is not None and f.note)
    taught = looks.lesson(looks.widest(read)[0]) if looks.widest(read) else "none"
    return (
        f"Bits of new facts ({taught}) at the end of training, asked in a paraphrase that was taught, against how many parameters moved, "
        "beside all bits there are, what the untouched base reads with the fact before the question (retrieval), or without (base alone). "
        f"Curve: {LAW:g} bits a parameter, which whole models hold that saw each fact a thousand times (Allen-Zhu & Li 2024): a ceiling "
        f"rather than what so few exposures reach. Small dots: seeds. {looks.intervals(own)}"
        f"{f' Since the reading before: {still}.' if still else ''}{looks.missing(own)}"
    )


def _own(read: Read, found: Sequence[Finding]) -> dict[str, Finding]:
    """What was learned of the largest world by how it was trained, where both that and the parameters are known."""
    every = {arm.how: find(found, "bits_learned", **arm.where, per="total", asked="trained") for arm in looks.widest(read)}
    return {
        how: f for how, f in every.items() if f is not None and f.value is not None and np.isfinite(read.price("trained_parameters", how))
    }


def _levels(read: Read, found: Sequence[Finding]) -> dict[str, float]:
    levels = {"all there is": looks.BITS_EACH * looks.widest(read)[0].entities}
    for name, what in (("retrieval", "retrieved_bits"), ("base alone", "new_bits")):
        f = find(found, "untouched", what=what)
        if f is not None and f.value is not None:
            levels[name] = f.value
    return levels


def _lines(axes: Axes, levels: Mapping[str, float]) -> None:
    """The law, and levels with their names beside the axes."""
    left, right = axes.get_xlim()
    counts = np.geomspace(left, right, 400)
    axes.plot(counts, LAW * counts, color=LAW_LOOK.color, linestyle=LAW_LOOK.line, zorder=0.95)
    known = {"all there is": style.Look("#222222", "", (0, (5, 2))), "retrieval": looks.RETRIEVAL, "base alone": looks.BASE}
    axes.axhline(0.0, color=style.GRAY, linewidth=0.9, zorder=0.9)
    for name, level in levels.items():
        axes.axhline(level, color=known[name].color, linestyle=known[name].line, linewidth=1.3, zorder=0.95)
        spot: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "va": "center", "fontsize": 8}
        axes.annotate(
            f"{name}\N{NO-BREAK SPACE}{level:,.0f}".replace("-", "\N{MINUS SIGN}"), (1.015, level), color=known[name].color, **spot
        )
