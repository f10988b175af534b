"""Where the ranks and the intruders are: each matrix of each layer beside the others, for every arm and null."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.lora_vs_full.plots import looks
from experiments.lora_vs_full.tables import FULL, NOISE, NONE, ROTATED
from research.analysis.tables import rows
from research.figures import style
from research.findings import Finding

PANELS = {"energy_rank": "rank of 90 % of the energy", "intruders": "intruders"}
BESIDE = {NOISE: "noise", ROTATED: "rotated"}
MOST = 6  # layers that have rows of their own; of more, neighbors share one
DARK = 0.55  # of the range of colors: from there on numbers are white


def maps(results: pd.DataFrame) -> Figure:
    """Returns heat maps of the rank of 90 % of the energy and of intruders at equal loss: a row a matrix, a column an arm or a null."""
    tables = {metric: table for metric in PANELS if len(table := _table(results, metric))}
    if not tables:
        return style.sentence("No maps: this figure needs 'energy_rank' or 'intruders' of the phase 'update' at equal loss.")
    with style.context():
        height = 0.24 * max(len(table) for table in tables.values()) + 1.4
        figure = style.blank(7.6 if len(tables) > 1 else 4.6, height)
        panels = figure.subplots(1, len(tables), squeeze=False, sharey=True).ravel()
        for (metric, table), axes in zip(tables.items(), panels, strict=True):
            _panel(axes, table)
            axes.set_title(PANELS[metric], fontsize=9.5)
        return figure


def caption(results: pd.DataFrame, found: Sequence[Finding] = ()) -> str:
    """Returns what numbers are, n, and what the last columns are."""
    own = _rows(results, "energy_rank")
    return (
        f"Each matrix of each layer at equal loss on the target, mean over n = {own['base'].nunique() if len(own) else 0} bases, without "
        "intervals: of which matrices the means elsewhere are made. Left: how many directions hold 90 % of the update's energy; right: how "
        "many of the leading singular vectors of the tuned matrix resemble none of the start's. Shuffled, source: full training on labels "
        "of other examples, and on the source; noise: Gaussian of the norm of full's update; rotated: full's singular values in random "
        f"directions. Each map has colors of its own. {looks.level(found, looks.last(own['at']) if len(own) else '')}"
    )


def _rows(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    own = rows(results, phase="update", metric=metric)
    return rows(own, at=looks.last(own["at"])) if len(own) else own


def _table(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Means over bases by matrix and column: arms, nulls of full, and what is made of full's own update."""
    own = _rows(results, metric)
    if own.empty:
        return pd.DataFrame()
    made = own["like"] != "own"
    own = own[~made | ((own["arm"] == FULL) & (own["null"] == NONE))]
    word = own["like"].where(own["like"] != "own", own["null"].where(own["null"] != NONE, own["arm"]))
    names = _names(own["matrix"])
    means = own.assign(word=word, row=own["matrix"].map(names)).groupby(["row", "word", "base"])["value"].mean()
    table = means.groupby(["row", "word"]).mean().unstack("word").astype(float)
    trained = looks.ordered(word for word in table if word not in BESIDE)
    return table.loc[list(dict.fromkeys(names.values())), [*trained, *(word for word in BESIDE if word in table)]]


def _names(matrices: Iterable[str]) -> dict[str, str]:
    """The name of each matrix's row, in the order of rows: by kind, then by layer, of which neighbors share a row where there are many."""
    parts = {name: (int("".join(filter(str.isdigit, layer)) or 0), kind) for name in matrices for layer, _, kind in [name.partition("/")]}
    bands = np.array_split(sorted({layer for layer, _ in parts.values()}), MOST)
    of = {int(layer): band for band in bands for layer in band}

    def row(layer: int, kind: str) -> str:
        first, last = of[layer][0], of[layer][-1]
        return f"{kind.replace('/', ' ')}, layer {first}" if first == last else f"{kind.replace('/', ' ')}, layers {first} to {last}"

    return {name: row(*parts[name]) for name in sorted(parts, key=lambda name: parts[name][::-1])}


def _panel(axes: Axes, table: pd.DataFrame) -> None:
    values = table.to_numpy(float)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    axes.imshow(values, cmap="YlGnBu", aspect="auto", vmin=low, vmax=max(high, low + 1e-9))
    for (row, column), value in np.ndenumerate(values):
        dark = np.isfinite(value) and value - low > DARK * (high - low) > 0
        text = f"{value:.1f}" if np.isfinite(value) and high < 10 else f"{value:.0f}" if np.isfinite(value) else "–"
        axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color="white" if dark else "#222222")
    names = [BESIDE.get(word) or looks.name(word, short=True) for word in table]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(table)), table.index)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
