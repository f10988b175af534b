"""Spectra of updates where all arms have learned equally much: arms, and full training beside its nulls and noise."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from experiments.lora_vs_full.headlines import NULLS
from experiments.lora_vs_full.plots import looks
from experiments.lora_vs_full.tables import FULL, NOISE, NONE, arms
from research.figures import style
from research.figures.intervals import over_seeds, seeds_sentence, select, tidy
from research.findings import Finding

BY = ["arm", "null", "index"]
DEEPEST = 1e-4  # of the largest singular value: what lies below is zero but for rounding


def spectra(results: pd.DataFrame) -> Figure:
    """Returns singular values of updates over their Frobenius norm against their index, log-log: of arms, and of full and its nulls."""
    table = _table(_rows(results))
    if table.empty:
        return style.sentence("No spectra: this figure needs 'singular_value' of the phase 'spectrum'.")
    words = looks.ordered(table["arm"])
    sides = {"trained on the target": [w for w in words if w not in NULLS]}
    if any(word in NULLS for word in words):
        sides["full, beside its nulls"] = [w for w in words if w == FULL or w in NULLS]
    with style.context():
        figure = style.blank(7.2 if len(sides) > 1 else 4.6, 4.1)
        panels = figure.subplots(1, len(sides), squeeze=False, sharex=True, sharey=True).ravel()
        for (title, own), axes in zip(sides.items(), panels, strict=True):
            _panel(axes, table, own, arms(results))
            axes.set_title(title, fontsize=9.5)
            axes.set_xlabel("index of the singular value")
        means = table["mean"]
        panels[0].set_ylim(0.7 * means.min(), 1.15 * max(means.max(), table["high"].max()))
        panels[0].set_ylabel("singular value / Frobenius norm of the update")
        noise = style.handle(_NOISE, "Gaussian noise", marker="")
        style.legend_below(figure, [*looks.handles(words, arms(results), marker=""), *[noise] * bool((table["null"] == NOISE).any())])
        return figure


def caption(results: pd.DataFrame, found: Sequence[Finding] = ()) -> str:
    """Returns what lines and bands are, n, and where the arms are read."""
    rows, last = _rows(results), looks.last(f.where["at"] for f in found if f.name == "level")
    return (
        "Singular values of the updates of the blocks' matrices at equal loss on the target, each over the update's Frobenius norm, mean "
        "over matrices: a line that falls late is an update of high rank. Gaussian noise: of the same shapes. Nulls of full: trained for "
        "as many steps on labels of other examples, and on the source, which the base knows. Below a ten-thousandth of the largest they "
        f"are cut off: an update of LoRA ends at its rank. {looks.level(found, last)} {seeds_sentence(rows, BY, text='')}"
    )


_NOISE = style.Look(looks.NOISE_COLOR, "", (0, (4, 2)))


def _rows(results: pd.DataFrame) -> pd.DataFrame:
    rows = select(tidy(results), phase="spectrum", metric="singular_value")
    return rows[rows["index"] > 0]


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """Means and intervals of what a log axis can show; noise, which is the same for all, once."""
    table = over_seeds(rows, BY)
    return table[table["mean"] > DEEPEST * table["mean"].max()]


def _panel(axes: Axes, table: pd.DataFrame, words: Sequence[str], every: Sequence[str]) -> None:
    noise = table[table["null"] == NOISE]
    lines = [(noise[noise["arm"] == noise["arm"].min()], _NOISE)] if len(noise) else []
    lines += [(table[(table["null"] == NONE) & (table["arm"] == word)], look) for word, look in looks.looks(words, every).items()]
    for own, look in lines:
        own = own.sort_values("index")
        low = np.maximum(own["low"], 1e-12)
        axes.fill_between(own["index"], low, own["high"], color=look.color, alpha=0.15, linewidth=0)
        axes.plot(own["index"], own["mean"], color=look.color, linestyle=look.line, marker="o" if len(own) == 1 else "", markersize=4)
        if look is not _NOISE and len(own) > 1:
            axes.plot(own["index"].iloc[-1:], own["mean"].iloc[-1:], color=look.color, marker="o", markersize=4, linestyle="none")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    style.plain_ticks(axes.xaxis)
    style.plain_ticks(axes.yaxis)
