"""Figure (d): the full update's singular values beside noise of the same norm."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research.figures import style
from research.figures.intervals import inits_of, over_seeds, seeds_sentence, select, targets_of, tidy

NOISE = "noise"
BY = ["target", "init", "null", "index"]


def update_spectra(results: pd.DataFrame) -> Figure:
    """Returns the full update's singular values (over its Frobenius norm) against their index, log-log, beside noise of the same norm.

    One panel per target and initialization; the updates from other initializations stand in it as thin gray lines, to compare.
    """
    rows = _spectrum(results)
    if rows.empty:
        return style.sentence("No spectra yet: this figure needs singular values of the phase 'spectrum'.")
    words = style.looks(inits_of(rows))
    table = over_seeds(rows, BY)
    with style.context():
        keys = [(target, "", init) for target in targets_of(rows) for init in inits_of(select(rows, target=target))]
        figure, cells = style.panels(keys, sharex=True, sharey=True)
        for cell in cells:
            _panel(cell.axes, table[table["target"] == cell.target], cell.init, words[cell.init].color)
        cells[0].axes.set_ylim(*_range(table))
        style.label_outer(cells, "index of the singular value", "singular value /\nFrobenius norm")
        handles = [
            style.handle(style.Look("#333333", "", "-"), "update (in color)", linewidth=1.8),
            style.handle(style.Look("#333333", "", (0, (4, 2))), "noise of the same norm"),
        ]
        if len(words) > 1:
            handles.append(style.handle(style.Look("#b5b5b5", "", "-"), "updates of the other panels"))
        style.legend_below(figure, handles)
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns what the figure shows, n, and what its intervals cover and leave out."""
    rows = _spectrum(results)
    return (
        "Singular values of the update that training everything makes to the adapted matrices, each divided by the update's Frobenius "
        "norm, mean over those matrices; dashed: Gaussian noise of the same norm. Below a ten-thousandth of the largest they are cut off. "
        + seeds_sentence(rows, BY, text="")
    )


def _spectrum(results: pd.DataFrame) -> pd.DataFrame:
    """Returns the singular values with a known place in their spectrum, at the last step that has one."""
    rows = select(tidy(results), phase="spectrum", metric="singular_value", trains="full")
    return rows[(rows["index"] > 0) & (rows["step"].isna() | (rows["step"] == rows["step"].max()))]


def _panel(axes: Axes, table: pd.DataFrame, init: str, color: str) -> None:
    """Draws one initialization's update and noise over the others' updates."""
    for other in sorted(set(table["init"]) - {init}):
        _line(axes, _of(table, other, False), "#b5b5b5", "-", 0.8)
    _line(axes, _of(table, init, True), "#333333", (0, (4, 2)), 1.3)
    _line(axes, _of(table, init, False), color, "-", 1.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    style.plain_ticks(axes.xaxis)
    style.plain_ticks(axes.yaxis)


def _of(table: pd.DataFrame, init: str, noise: bool) -> pd.DataFrame:
    """Returns one spectrum in order of its index, without what a log axis cannot show."""
    own = table[(table["init"] == init) & ((table["null"] == NOISE) == noise) & (table["mean"] > 0)]
    return own.sort_values("index")


def _line(axes: Axes, table: pd.DataFrame, color: str, line: object, width: float) -> None:
    """Draws a spectrum, with the interval as a band."""
    axes.plot(table["index"], table["mean"], color=color, linestyle=line, linewidth=width)
    low = table["low"].clip(lower=1e-12)
    axes.fill_between(table["index"], low, table["high"], color=color, alpha=0.2, linewidth=0)


def _range(table: pd.DataFrame) -> tuple[float, float]:
    """Returns the y range: what is numerically zero (rank-deficient tails) is left below it."""
    means = table.loc[table["mean"] > 0, "mean"]
    top = float(np.nanmax([*means, *table["high"].dropna(), 1e-12]))
    kept = means[means >= 1e-4 * top]
    return 0.7 * float(kept.min() if len(kept) else top / 10), 1.4 * top
