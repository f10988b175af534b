"""Figure: what is left of a full-rank update when it is cut to a few directions."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.lora_rank_sweep.plots.places import inits_in, name_ranks, of_panel, panels_of, rank_places
from research.analysis.wording import interval_sentence
from research.figures import layout, style
from research.figures.intervals import around
from research.findings import Finding

NAMES = {"best": "cut to its best directions", "random": "cut to random directions", "lora": "LoRA of this rank"}
LOOKS = {"best": ("o", "-"), "random": ("s", (0, (4, 2))), "lora": ("D", (0, (1.2, 1.2)))}
REACH = 4.0  # times what the best directions and LoRA lose: above it, random directions are numbers


def cut_updates(found: Sequence[Finding]) -> Figure:
    """Returns the loss that is added by cutting the full-rank update of the adapted matrices (bits/byte) against the rank it is cut to.

    A panel per initialization and target: cut to its best directions, to random ones of the same norm, and what LoRA of that rank costs.
    """
    cuts = [f for f in found if f.name == "cut_update"]
    if not any(f.value is not None for f in cuts):
        return style.sentence("No update was cut yet: this figure needs records of the phase 'truncation'.")
    keys = [(*place, init) for place in panels_of(cuts) for init in inits_in(of_panel(cuts, place))]
    with style.context():
        figure, cells = layout.panels(keys, height=2.9)
        for cell in cells:
            color = style.looks([cell.init])[cell.init].color
            _panel(cell.axes, _lines(found, cell), {which: color if which != "lora" else "#333333" for which in NAMES})
        layout.label_outer(cells, "rank (log scale)", f"loss above the whole\nupdate's ({style.BITS})")
        style.legend_below(figure, [style.handle(style.Look("#333333", *LOOKS[which]), name) for which, name in NAMES.items()])
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns what the figure shows, n, and what its intervals hold and leave out."""
    cuts = [f for f in found if f.name == "cut_update"]
    return (
        "Loss on held-out target text of the full-rank update of the adapted matrices cut to a rank, minus that of the whole update: cut "
        "to its best directions (the largest singular values), and to random ones; both cuts have one norm, matrix by matrix. Dotted: "
        "LoRA of that rank minus the same matrices at full rank. Numbers with an arrow lie above the axis; axes differ. "
        + interval_sentence(cuts)
    )


def _lines(found: Sequence[Finding], cell: layout.Panel) -> dict[str, list[Finding]]:
    """Returns the findings of a panel by line, in order of rank."""
    at = {"target": cell.target, "arm": cell.arm, "init": cell.init}
    own = [f for f in found if at.items() <= f.where.items()]
    lines = {which: [f for f in own if f.name == "cut_update" and f.where["directions"] == which] for which in ("best", "random")}
    lines["lora"] = [f for f in own if f.name == "gap" and f.where["reference"] == "matched" and f.where["rank"]]
    return {which: sorted(line, key=lambda f: f.where["rank"]) for which, line in lines.items()}


def _panel(axes: Axes, lines: Mapping[str, Sequence[Finding]], colors: Mapping[str, str]) -> None:
    """Draws the three lines with intervals over the zero line."""
    low, top = _range(lines)
    ranks = rank_places(f.where["rank"] for line in lines.values() for f in line)
    for i, (which, line) in enumerate(lines.items()):
        inside = [f for f in line if f.value is not None and f.value <= top]
        places, values, spread = around(inside, [ranks[f.where["rank"]] + 0.07 * (i - 1) for f in inside])
        marker, dashes = LOOKS[which]
        mark: dict[str, Any] = {"color": colors[which], "marker": marker, "linestyle": dashes, "markersize": 4.5}
        axes.errorbar(places, values, yerr=spread, elinewidth=1, zorder=3, **mark)
        for f in line:
            if f not in inside:
                style.off_axis(axes, ranks[f.where["rank"]], float("nan") if f.value is None else f.value, colors[which], 0)
    axes.axhline(0.0, color="#333333", linewidth=1.1, zorder=1)
    axes.set_ylim(low - 0.08 * (top - low), top + 0.14 * (top - low))
    name_ranks(axes, ranks)


def _range(lines: Mapping[str, Sequence[Finding]]) -> tuple[float, float]:
    """Returns the ends of the axis: fitted to the best directions and LoRA, to random ones and intervals within `REACH` of these."""
    read = [(which, f) for which, line in lines.items() for f in line if f.value is not None]
    size = max([abs(f.value) for which, f in read if which != "random" and f.value is not None] + [0.01])
    ends = [end for _, f in read for end in (f.value, f.low, f.high) if end is not None]
    return max(min([0.0, *ends]), -size), min(max([size, *ends]), REACH * size)
