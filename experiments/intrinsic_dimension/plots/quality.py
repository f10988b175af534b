"""Quality against the dimension of a random subspace, with what its d90 are read from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from experiments.intrinsic_dimension.arms import bases_of, units_of
from research.analysis import described
from research.analysis.wording import base_sentence
from research.figures import style
from research.figures.intervals import around, over_seeds, spread
from research.findings import Finding

PROJECTION_LOOKS = {
    "count_sketch": style.Look("#0072B2", "o", "-"),
    "fastfood": style.Look("#D55E00", "s", (0, (6, 2))),
    "dense": style.Look("#009E73", "^", (0, (4, 1.5, 1, 1.5))),
}
TITLES = {"fc": "fully connected", "lenet": "LeNet", "lm": "language model"}
THRESHOLDS: dict[str, Any] = {"absolute": (0, (1, 1.5)), "relative": (0, (5, 2))}
ABOVE_UNIGRAM = 1.5
SCALED = "phase == 'reference' and metric == 'per_layer'"
# Li et al. 2018 (arXiv 1804.08838) on MNIST, by number of parameters: the dimension of the paper, and of the runs that its authors
# released (github.com/uber-research/intrinsic-dimension, 100 epochs) the mean accuracy at dimensions.
PUBLISHED = {199_210: 750, 44_426: 290}
PUBLISHED_CURVES = {
    199_210: ((100, 300, 500, 600, 700, 750, 800, 900, 1000), (0.593, 0.818, 0.865, 0.880, 0.890, 0.894, 0.900, 0.906, 0.907)),
}


def quality_against_dimension(results: pd.DataFrame, found: Sequence[Finding]) -> Figure:
    """Returns accuracy, or loss (bits/byte), against d, a panel per model and, for accuracy, a line per projection, else per init.

    Horizontal lines are full-space training and the thresholds; a filled diamond with a bar is a d90 with its interval.
    """
    tested = results.query("phase == 'result'")
    if tested.empty:
        return style.sentence("No results yet: this figure needs records of the phase 'result'.")
    keys = list(tested[["model", "parameters"]].drop_duplicates().itertuples(index=False, name=None))
    with style.context():
        figure = style.blank(5.0 * len(keys) + 0.2, 4.3)
        for axes, (model, parameters) in zip(figure.subplots(1, len(keys), squeeze=False).ravel(), keys, strict=True):
            own = results[(results["model"] == model) & (results["parameters"] == parameters)].copy()
            d90 = [f for f in found if f.name == "d90" and f.where["model"] == model and f.where["parameters"] == parameters]
            axes.set_title(f"{TITLES[model]}, {int(parameters):,} parameters, {own['data'].iloc[0]}", fontsize=9)
            (_accuracy if "accuracy" in set(own["metric"]) else _loss)(axes, own, d90)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            axes.tick_params(axis="x", rotation=45)
            axes.set_xlabel("dimension d of the random subspace")
        return figure


def quality_caption(results: pd.DataFrame) -> str:
    """Returns what the figure shows, n, and what its intervals leave out."""
    tested = results.query("phase == 'result'")
    draws = "; ".join(f"{TITLES[model]}: {rows['seed'].nunique()}" for model, rows in tested.groupby("model", sort=False))
    counts = _pretrained(tested)
    bases = "; ".join(f"{init} weights are of {'one base, which is left out' if n == 1 else f'{n} bases'}" for init, n in counts.items())
    averaged = ", and draws that share one are averaged first" if any(n > 1 for n in counts.values()) else ""
    of_whom = "".join(f" {sentence}." for sentence in base_sentence([*described.base(results)]))
    scales = " A learned scale for each layer counts among the dimensions (SAID)." if results.query(SCALED)["value"].any() else ""
    return (
        "What training within a random subspace of d dimensions reaches on the test part after the last step, learning rate chosen by "
        f"the validation part's loss. Mean over draws ({draws}) with 95 % t intervals; a draw redraws the projection, the order of the "
        "data, and random or shuffled weights, not the test part"
        + (f"; {bases}{averaged}" if bases else "")
        + ". Solid lines without markers: full-space training. Diamonds: d90 with its interval, at the share of full training (dashed) or "
        "the accuracy (dotted) "
        "that it is read at. "
        "Left: untouched, where it is on the axis. Light gray: chance. Of several projections of a language model the first is drawn."
        + scales
        + of_whom
    )


def _pretrained(tested: pd.DataFrame) -> dict[str, int]:
    """How many bases stand behind the draws from each pretrained initialization."""
    rows = tested[tested["init"].str.startswith("pretrained")]
    return {init: int(bases_of(some).nunique()) for init, some in rows.groupby("init", sort=False)}


def _accuracy(axes: Axes, own: pd.DataFrame, d90: Sequence[Finding]) -> None:
    tested, last = own.query("phase == 'result' and metric == 'accuracy'"), own["step"].max()
    tested = tested[tested["step"] == last].astype({"value": float})
    full = float(tested[tested["trains"] == "full"]["value"].mean())
    facts = own.query("phase == 'reference'").set_index("metric")["value"]
    levels = {"absolute": float(facts["absolute_level"]), "relative": 0.9 * full}
    for threshold, level in levels.items():
        axes.axhline(level, color=style.GRAY, linestyle=THRESHOLDS[threshold], linewidth=1.0)
    axes.axhline(full, color=style.FULL.color, linewidth=1.0)
    axes.axhline(float(facts["chance"]), color="#bbbbbb", linewidth=0.8)
    untouched = own.query("phase == 'reference' and metric == 'accuracy'")["value"].astype(float).mean()
    for projection, rows in tested[tested["trains"] == "subspace"].groupby("projection", sort=False):
        look = PROJECTION_LOOKS[projection]
        _curve(axes, rows, look, untouched)
        _marks(axes, [f for f in d90 if f.where["projection"] == projection], levels, look.color)
    handles = [style.handle(PROJECTION_LOOKS[name], name.replace("_", "-")) for name in tested["projection"].dropna().unique()]
    handles.append(style.handle(style.FULL, "full space", marker="none", linestyle="-"))
    words = {"relative": "0.9 of it", "absolute": f"{levels['absolute']:g}"}
    handles += [Line2D([], [], color=style.GRAY, linestyle=THRESHOLDS[name], label=label) for name, label in words.items()]
    axes.legend(handles=[*handles, *_published(axes, int(own["parameters"].iloc[0]), own["data"].iloc[0])], loc="lower right", fontsize=8)
    axes.set_ylabel("test accuracy")


def _loss(axes: Axes, own: pd.DataFrame, d90: Sequence[Finding]) -> None:
    tested, last = own.query("phase == 'result' and metric == 'target_loss'"), own["step"].max()
    tested = tested[tested["step"] == last].astype({"value": float})
    unigram = float(own[own["metric"] == "unigram_loss"]["value"].iloc[0])
    words = style.looks(tested["init"])
    start = own.query("phase == 'reference' and metric == 'target_loss'").astype({"value": float}).groupby("init")["value"].mean()
    full = tested[tested["trains"] == "full"].groupby("init")["value"].mean().dropna()
    projection = next(iter(tested["projection"].dropna()), "")
    for init, look in words.items():
        _curve(axes, tested[(tested["init"] == init) & (tested["projection"] == projection)], look, start[init])
        if init not in full.index:  # not yet measured, or diverged
            continue
        axes.axhline(full[init], color=look.color, linewidth=0.8, alpha=0.7)
        own_d90 = [f for f in d90 if f.where["init"] == init and f.where["projection"] == projection]
        first = min(start[init], unigram)
        _marks(axes, own_d90, {"relative": first - 0.9 * (first - full[init])}, look.color)
    axes.axhline(unigram, color=style.GRAY, linewidth=0.9)
    axes.annotate("unigram", (0.99, unigram), xycoords=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=8, color=style.GRAY)
    axes.set_ylim(np.nanmin([*tested["value"], unigram]) - 0.1, unigram + ABOVE_UNIGRAM)
    axes.legend(handles=[style.handle(look, init) for init, look in words.items()], loc="upper right", fontsize=8)
    axes.set_ylabel(f"target loss ({style.BITS})")


def _curve(axes: Axes, rows: pd.DataFrame, look: style.Look, untouched: float) -> None:
    """Means with intervals over bases by dimension; the untouched model is a hollow mark left of the smallest one."""
    rows = rows[rows["dimension"] > 0]
    by_base = rows.assign(base=rows["seed"].map(units_of(rows))).groupby(["dimension", "base"], as_index=False)["value"].mean()
    table = over_seeds(by_base, ["dimension"])
    style_: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": look.line, "elinewidth": 1, "zorder": 3}
    axes.errorbar(table["dimension"], table["mean"], yerr=spread(table), **style_)
    left = float(table["dimension"].min()) / 2 if len(table) else 1.0
    axes.plot([left], [untouched], color=look.color, marker=look.marker, markerfacecolor="white", linestyle="none")


def _marks(axes: Axes, d90: Sequence[Finding], levels: Mapping[str, float], color: str) -> None:
    """Draws each d90 at its level; an interval that is open to a side ends in nothing there, and 0 has no place on the axis."""
    read = [f for f in d90 if f.value and f.where["threshold"] in levels]
    if read:
        y, x, spread = around(read, [levels[f.where["threshold"]] for f in read])
        axes.errorbar(x, y, xerr=spread, color=color, marker="D", markersize=5, capsize=3, linestyle="none", zorder=5)


def _published(axes: Axes, parameters: int, data: str) -> list[Line2D]:
    """Draws what is published of this very network on these data, and returns its legend."""
    handles: list[Line2D] = []
    if not data.startswith("tfds:mnist/"):
        return handles
    if parameters in PUBLISHED_CURVES:
        x, y = PUBLISHED_CURVES[parameters]
        handles = axes.plot(x, y, color="#999999", marker="x", linestyle=":", label="Li et al. 2018, mean of 3 released runs")
    if parameters in PUBLISHED:
        axes.axvline(PUBLISHED[parameters], color="#999999", linewidth=0.9)
        axes.annotate(
            f"published {PUBLISHED[parameters]}",
            (PUBLISHED[parameters], 0.5),
            xycoords=axes.get_xaxis_transform(),
            rotation=90,
            fontsize=8,
            color="#777777",
            ha="right",
            va="bottom",
        )
    return handles
