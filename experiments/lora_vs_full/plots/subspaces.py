"""What the leading directions of two updates have in common: of two seeds of one base, of one arm and of two."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.lora_vs_full.plots import looks
from research.figures import style
from research.findings import Finding

NAME = "subspace_similarity"
TWIN = "another seed's"
SIDES = {"inputs": style.Look("#0072B2", "o", "none"), "outputs": style.Look("#D55E00", "s", "none")}
APART = 0.19  # of a row: how far both sides stand from its middle


def subspaces(found: Sequence[Finding]) -> Figure:
    """Returns the overlap of leading subspaces, 0 to 1, at equal loss: a row a pair, a panel a dimension; ticks are both nulls."""
    table = _table(found)
    if table.empty:
        return style.sentence("No subspaces: this figure needs values of the finding 'subspace_similarity' at equal loss.")
    pairs = _ordered(table["pair"])
    sizes = sorted(set(table["dimension"]))
    with style.context():
        figure = style.blank(min(2.0 * len(sizes) + 1.8, 7.4), 0.3 * len(pairs) + 1.5)
        panels = figure.subplots(1, len(sizes), squeeze=False, sharey=True).ravel()
        for size, axes in zip(sizes, panels, strict=True):
            _panel(axes, table[table["dimension"] == size], pairs)
            axes.set_title("the leading direction" if size == 1 else f"{size} directions", fontsize=9.5)
        twins = sum(TWIN in pair for pair in pairs)
        for axes in panels:
            axes.set_xlabel("overlap of subspaces")
            axes.set_ylim(len(pairs) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0)
            axes.grid(visible=False, axis="y")
            if 0 < twins < len(pairs):
                axes.axhline(twins - 0.5, color="#bbbbbb", linewidth=0.8)
        panels[0].set_yticks(range(len(pairs)), [_words(pair) for pair in pairs])
        ticks = [style.handle(look, name, markersize=9, markeredgewidth=1.5) for name, look in _NULLS.values()]
        style.legend_below(figure, [*(style.handle(look, side) for side, look in SIDES.items()), *ticks])
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns what the overlap is, what ticks are, what intervals are and n, and which pairs have fewer dimensions."""
    own = [f for f in found if f.name == NAME and f.where["at"] == _place(found) and f.where["null"] == "none"]
    return (
        "What the leading singular vectors of two updates have in common at equal loss: 1 where they span one subspace, mean over the "
        "blocks' matrices. Two seeds of one base, above of one arm, below of two. Inputs, outputs: left and right singular "
        "vectors of kernels (inputs, outputs). Ticks: the overlap when coordinates of one of them are permuted, and what random subspaces "
        "have on average; a pair with an adapter of a lower rank than the panel's is not there. "
        f"{looks.intervals(own)} {looks.level(found, _place(found))}"
    )


_NULLS = {
    "permuted": ("coordinates permuted", style.Look("#222222", "|", "none")),
    "expected": ("random, expected", style.Look("#9a9a9a", "|", "none")),
}


def _place(found: Sequence[Finding]) -> str:
    return looks.last(f.where["at"] for f in found if f.name == NAME)


def _table(found: Sequence[Finding]) -> pd.DataFrame:
    own = [f for f in found if f.name == NAME and f.where["at"] == _place(found) and f.value is not None]
    columns = ["pair", "side", "dimension", "null", "value", "low", "high"]
    return pd.DataFrame([{**f.where, **looks.ends(f)} for f in own], columns=columns)


def _ordered(pairs: pd.Series) -> list[str]:
    """Pairs of seeds, then of arms, each in the order of the arms."""
    own = list(dict.fromkeys(pairs))
    arms = looks.ordered(part for pair in own for part in pair.split(" & ") if part != TWIN)
    return sorted(own, key=lambda pair: (TWIN not in pair, [arms.index(part) for part in pair.split(" & ") if part != TWIN]))


def _words(pair: str) -> str:
    first, second = pair.split(" & ")
    return f"{looks.name(first)}, two seeds" if second == TWIN else f"{looks.name(first, True)} & {looks.name(second, True)}"


def _panel(axes: Axes, own: pd.DataFrame, pairs: Sequence[str]) -> None:
    for (side, look), shift in zip(SIDES.items(), (-APART, APART), strict=True):
        some = own[own["side"] == side]
        places = some["pair"].map({pair: place for place, pair in enumerate(pairs)}) + shift
        for null, (_, tick) in reversed(_NULLS.items()):
            mine = some["null"] == null
            at = some.loc[mine, "value"], places[mine]
            axes.plot(*at, color=tick.color, marker="|", markersize=7, markeredgewidth=1.4, linestyle="none", zorder=3)
        mine = some["null"] == "none"
        read = some[mine]
        spread = [read["value"] - read["low"], read["high"] - read["value"]]
        axes.errorbar(read["value"], places[mine], xerr=spread, color=look.color, marker=look.marker, linestyle="none", markersize=4.5)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])
