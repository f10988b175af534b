"""Where ranks stand on an axis, and which findings belong to which panel."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from research.figures.intervals import ARMS, INITS
from research.findings import Finding

ARM_WORDS = {
    "block": "adapters on attention and MLP",
    "all": "adapters on every matrix",
    "block+norms": "adapters on attention and MLP, norms trained too",
    "block+ends": "adapters on attention and MLP, ends trained too",
}
ENDS = "The ends are the embedding, the head and the norms. "


def rank_places(ranks: Iterable[int]) -> dict[int, float]:
    """Returns the place of each rank on a logarithmic axis, rank 0 one step left of the smallest other."""
    ranks = sorted(set(ranks))
    first = min((rank for rank in ranks if rank), default=1)
    return {rank: float(np.log2(rank)) if rank else float(np.log2(first)) - 1 for rank in ranks}


def name_ranks(axes: Axes, places: Mapping[int, float]) -> None:
    """Puts ticks at the ranks, and parts rank 0 from the rest, which stands on a logarithmic axis."""
    axes.set_xticks(list(places.values()), [str(rank) for rank in places])
    axes.grid(visible=False, axis="x")
    axes.set_xlim(min(places.values()) - 0.4, max(places.values()) + 0.4)
    if 0 in places and len(places) > 1:
        axes.axvline(places[0] + 0.5, color="#bbbbbb", linewidth=0.8)


def panels_of(found: Sequence[Finding]) -> list[tuple[str, str]]:
    """Returns the (target, arm) of findings, arm by arm, the targets in the order of the findings."""
    return sorted(dict.fromkeys((f.where["target"], f.where["arm"]) for f in found), key=lambda place: _rank_in(place[1], ARMS))


def inits_in(found: Sequence[Finding]) -> list[str]:
    """Returns the initializations of findings, in the order of every figure."""
    return sorted(dict.fromkeys(f.where["init"] for f in found), key=lambda init: _rank_in(init, INITS))


def arm_words(arm: str) -> str:
    """Returns what an arm adapts, in words and by its name."""
    return f"{ARM_WORDS[arm]} ({arm})" if arm in ARM_WORDS else arm


def of_panel(found: Sequence[Finding], place: tuple[str, str]) -> list[Finding]:
    """Returns the findings of a (target, arm)."""
    return [f for f in found if (f.where["target"], f.where["arm"]) == place]


def _rank_in(word: str, known: tuple[str, ...]) -> tuple[int, str]:
    return (known.index(word), "") if word in known else (len(known), word)
