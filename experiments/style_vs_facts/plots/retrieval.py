"""New facts in the weights or in the context: what is read of them, and what it costs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.style_vs_facts.plots import looks
from experiments.style_vs_facts.ways import FACTS, Read, Taught
from research.figures import style
from research.findings import Finding, find

READ = {"new_bits": "base alone", "stray_bits": "base, a stray fact before", "retrieved_bits": "retrieval: the fact before"}
TRAINED, WITHHELD = "trained", "withheld"
BESIDE = 0.24  # of a row: how far below stands the paraphrase that is withheld
APART = 0.055  # of the axis: how far apart names beside it stand at least


def retrieval(read: Read, found: Sequence[Finding]) -> Figure:
    """Returns bits of new facts read by the base and by each way of training; and FLOPs against the number of questions asked."""
    rows = _rows(read, found)
    if "retrieved_bits" not in rows:
        return style.sentence("No retrieval: this figure needs values of the finding 'untouched' for retrieved bits.")
    prices = _prices(read, found)
    with style.context():
        figure = style.blank(7.4 if prices else 5.0, 0.33 * len(rows) + 1.9)
        panels = figure.subplots(1, 2 if prices else 1, squeeze=False, width_ratios=[1.25, 1.0][: 2 if prices else 1]).ravel()
        _bits(panels[0], read, rows)
        if prices:
            _flops(panels[1], read, prices)
        named = looks.handles(read, looks.hows(read, FACTS), linestyle="-" if prices else "none")
        own = style.handle(looks.RETRIEVAL, "retrieval", linestyle="-" if prices else "none")
        hollow = style.handle(style.Look("#444444", "o", "none"), "asked in a paraphrase that is withheld", markerfacecolor="white")
        style.legend_below(figure, [own, *named, *[hollow] * any(isinstance(key, Taught) for key in rows)])
        return figure


def caption(read: Read, found: Sequence[Finding]) -> str:
    """Returns what is asked of whom, what intervals are and n, and what the prices hold and leave out."""
    rows = _rows(read, found)
    every = [f for own in rows.values() for f in own]
    prices = _prices(read, found)
    said = (
        " Right: FLOPs beyond those of the plain questions: a training run, once, whatever is asked; and, for retrieval, of the passes "
        "over the fact before each question. Marks and numbers: from so many questions on training is cheaper, whether or not it learned "
        "the facts, for which see the left. Counted, not measured; without the search for a learning rate, and without looking up the fact."
    )
    return (
        "Left: bits of the largest world of new facts that are read by the untouched base, alone, with another entity's fact before the "
        "question, or with the fact itself in another paraphrase (retrieval, nothing trained); and after training, asked in a paraphrase "
        "that was taught (filled) and in one that was withheld (hollow). Dashed: all bits there are, "
        f"beyond which intervals may reach, but no value. {looks.intervals(every)}{said if prices else ''}{looks.missing(every)}"
    )


def _rows(read: Read, found: Sequence[Finding]) -> dict[str | Taught, list[Finding]]:
    """What is read, a finding or two, of the base by its metric and of each arm that is taught the largest world."""
    own: dict[str | Taught, list[Finding]] = {}
    for what in READ:
        f = find(found, "untouched", what=what)
        if f is not None and f.value is not None:
            own[what] = [f]
    taught = looks.widest(read)
    for arm in (arm for arm in looks.arranged(read) if arm.kind == FACTS and arm.entities == taught[0].entities):
        pair = [find(found, "bits_learned", **arm.where, per="total", asked=asked) for asked in (TRAINED, WITHHELD)]
        if known := [f for f in pair if f is not None and f.value is not None]:
            own[arm] = known
    return own


def _prices(read: Read, found: Sequence[Finding]) -> dict[str, float]:
    """From how many questions on each way of training is cheaper."""
    every = {how: find(found, "breakeven_queries", how=how) for how in looks.hows(read, FACTS)}
    return {how: f.value for how, f in every.items() if f is not None and f.value is not None and np.isfinite(f.value)}


def _bits(axes: Axes, read: Read, rows: dict[str | Taught, list[Finding]]) -> None:
    own, spans, names = looks.looks(read), [], []
    for place, (key, found) in enumerate(rows.items()):
        if isinstance(key, Taught):
            look, points = own[key.how], looks.size(key.how, 5)
            names.append(f"{looks.name(key.how)}\N{NO-BREAK SPACE}(in {key.paraphrases} way{'s' * (key.paraphrases > 1)})")
        else:
            look, points = (looks.RETRIEVAL if key == "retrieved_bits" else looks.BASE), 5.0
            names.append(READ[key])
        for f in found:
            spans.append(looks.span(f))
            withheld = f.where.get("asked") == WITHHELD
            face = {"markerfacecolor": "white" if withheld else look.color, "markersize": points}
            looks.mark(axes, place + BESIDE * withheld, spans[-1], look, **face)
    known = [key for key in rows if isinstance(key, Taught)]
    there = [looks.BITS_EACH * known[0].entities] if known else []
    for level in there:
        axes.axvline(level, color="#222222", linewidth=1.2, linestyle=(0, (5, 2)), zorder=0.9)
    axes.axvline(0.0, color=style.GRAY, linewidth=0.9, zorder=0.9)
    if 0 < len(known) < len(rows):
        axes.axhline(len(rows) - len(known) - 0.5, color="#cccccc", linewidth=0.8, zorder=0.8)
    looks.rows(axes, names)
    axes.set_xlim(*looks.view(spans, [0.0, *there], 0.15))
    axes.set_xlabel("bits of new facts read")


def _flops(axes: Axes, read: Read, prices: dict[str, float]) -> None:
    """What training costs once, what retrieval costs with each question, and where they meet."""
    own, extra, reach = looks.looks(read), read.price("query_flops"), 1.25 * max(prices.values())
    axes.plot([0.0, reach], [0.0, extra * reach], color=looks.RETRIEVAL.color, linewidth=1.8)
    lowest = 0.0
    for how, queries in sorted(prices.items(), key=lambda item: item[1]):
        look, height = own[how], queries / reach
        axes.axhline(extra * queries, color=look.color, linewidth=1.3, zorder=1.5)
        axes.plot(queries, extra * queries, color=look.color, marker=look.marker, markersize=looks.size(how, 5), zorder=4)
        lowest = max(height, lowest)
        spot: dict[str, Any] = {"xycoords": axes.transAxes, "va": "center", "fontsize": 8}
        axes.annotate(style.compact(queries), (1.015, lowest), color=look.color, **spot)
        lowest += APART
    axes.set_xlim(0.0, reach)
    axes.set_ylim(0.0, extra * reach)
    style.plain_ticks(axes.xaxis)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2g}".replace("e+", "e"))
    axes.set_xlabel("questions asked")
    axes.set_title("FLOPs beyond plain questions", fontsize=9.5)
