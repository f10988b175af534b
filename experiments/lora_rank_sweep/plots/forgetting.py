"""Figure: what the source lost, at equal loss on the target."""

from collections.abc import Sequence, Set
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.lora_rank_sweep.plots.places import ENDS, arm_words, rank_places
from research.analysis.wording import interval_sentence
from research.figures import layout, style
from research.figures.intervals import ARMS, around, select, tidy
from research.findings import Finding

NAME = "source_at_equal_loss"
REFERENCES = {"matched": "same\nmatrices", "full": "everything"}


def source_at_equal_loss(results: pd.DataFrame, found: Sequence[Finding]) -> Figure:
    """Returns source loss (bits/byte) at one loss on the target against rank, beside full-rank training: a panel per arm and target.

    The loss of untouched weights is a line.
    """
    read = [f for f in found if f.name == NAME]
    places = _places(read)
    if not places or not any(f.value is not None for f in read):
        return style.sentence("No source losses yet: this figure needs source and validation losses of the phase 'result'.")
    spots = _spots([f.where["rank"] for f in read if f.where["rank"] is not None], {f.where["trains"] for f in read})
    with style.context():
        figure, grid = layout.grid(len(places), 4.6, 3.0, least=5.6)
        for axes, (target, arm) in zip(grid, places, strict=True):
            own = [f for f in read if f.where["target"] == target and f.where["arm"] in (arm, None)]
            _panel(axes, own, spots, _untouched(results, own[0]))
            layout.subtitled(axes, target, arm_words(arm))
        layout.label_rows(grid, "rank of the adapter (log scale); right: full rank", f"source loss ({style.BITS})")
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns what the figure shows, n, and what its intervals hold and leave out."""
    read = [f for f in found if f.name == NAME]
    levels = {f.where["target"]: f.where["validation_bits"] for f in read}
    listed = ", ".join(f"{level:.2f} on {target}" for target, level in levels.items())
    inits = ", ".join(dict.fromkeys(f.where["init"] for f in read))
    ends = ENDS if "block+ends" in {f.where["arm"] for f in read} else ""
    return (
        f"Loss on the source's test text when the target's validation loss (bits/byte) is {listed or 'equal'}, the worst final one of what "
        f"is compared; from {inits or 'pretrained'} weights, each run read between its budgets. Line: untouched. Axes differ between "
        f"panels; learning rates are each arm's own. {ends}{interval_sentence(read)}"
    )


def _places(read: Sequence[Finding]) -> list[tuple[str, str]]:
    places = dict.fromkeys((f.where["target"], f.where["arm"]) for f in read if f.where["arm"] is not None)
    return sorted(places, key=lambda place: ARMS.index(place[1]) if place[1] in ARMS else len(ARMS))


def _spots(ranks: Sequence[int], trains: Set[str]) -> dict[Any, float]:
    """Returns where ranks and full-rank references stand on the axis."""
    places = rank_places(ranks)
    first, last = min(places.values(), default=0.0), max(places.values(), default=0.0)
    step = max(1.0, (last - first) / 5)
    references = [name for name in REFERENCES if name in trains]
    return {**places, **{name: last + (1.1 + 1.4 * i) * step for i, name in enumerate(references)}}


def _untouched(results: pd.DataFrame, like: Finding) -> float:
    """Returns the source loss of the weights from which a finding's runs started, NaN where it was not read."""
    at = {"target": like.where["target"], "init": like.where["init"]}
    return float(select(tidy(results), phase="reference", metric="source_loss", **at)["value"].mean())


def _panel(axes: Axes, own: Sequence[Finding], spots: dict[Any, float], untouched: float) -> None:
    """Draws LoRA by rank as a line, the full-rank references beside it."""
    look = style.looks([own[0].where["init"]])[own[0].where["init"]]
    references = [spots[name] for name in REFERENCES if name in spots]
    kinds = {"lora": "-", **{name: "none" for name in REFERENCES if name in spots}}
    for trains, line in kinds.items():
        some = sorted((f for f in own if f.where["trains"] == trains and f.value is not None), key=lambda f: f.where["rank"] or 0)
        for part in ([f for f in some if f.where["rank"] == 0], [f for f in some if f.where["rank"] != 0]):
            places, values, spread = around(part, [spots[f.where["rank"] if trains == "lora" else trains] for f in part])
            shape = style.TRAINS_LOOKS.get(trains, look)
            mark: dict[str, Any] = {"color": shape.color, "marker": shape.marker, "linestyle": line, "elinewidth": 1.2, "capsize": 2.5}
            axes.errorbar(places, values, yerr=spread, markersize=style.TRAINS_SIZES.get(trains, 4.5) + 1, zorder=3, **mark)
    axes.set_xticks(list(spots.values()), [REFERENCES.get(name, str(name)) for name in spots])
    axes.set_xlim(min(spots.values()) - 0.5, max(spots.values()) + 0.6)
    if references and len(spots) > len(references):
        last = max(spot for name, spot in spots.items() if name not in REFERENCES)
        axes.axvline(last + 0.36 * (references[0] - last), color="#bbbbbb", linewidth=0.8)
    axes.grid(visible=False, axis="x")
    if np.isfinite(untouched):
        axes.axhline(untouched, color=style.GRAY, linewidth=1.1, zorder=0.9)
        style.name_line(axes, untouched, "untouched")
