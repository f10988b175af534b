"""Figure (g): what a fine-tune costs as a share of pretraining; on log scales, factors that multiply add up."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.lora_rank_sweep.ledger import ELSEWHERE, FULL, PRETRAINING, Line, fraction, lines
from research.figures import style

TOKENS, STEP, PRODUCT = "#0072B2", "#E69F00", "#222222"
ROOM = {  # what is kept, and how it is drawn
    "trainable_parameters": style.Look("#009E73", "o", "none"),
    "optimizer_bytes": style.Look("#CC79A7", "s", "none"),
    "checkpoint_bytes": style.Look("#D55E00", "D", "none"),
}
NAMES = {"trainable_parameters": "trained parameters", "optimizer_bytes": "optimizer's bytes", "checkpoint_bytes": "bytes to store"}


def ledger(results: pd.DataFrame) -> Figure:
    """Returns each line's share of pretraining (log): tokens times FLOPs a token, end to end; beside them what must be held and stored.

    Shares are of full fine-tuning where the base was pretrained elsewhere, which nobody counted here.
    Of the arms, the first alone: `cost_per_arm` has them all.
    """
    every = lines(results)
    whole, of = _whole(every), _over(every)
    if whole is None:
        return style.sentence("No ledger yet: this figure needs the costs of pretraining, records of the phase 'cost'.")
    first = next((line.arm for line in every if line.arm), None)
    shown = [line for line in every if "flops" in line.counts and line.arm in (None, first)]
    with style.context():
        figure = style.blank(7.6, 0.36 * len(shown) + 1.75)
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.7, 1])
        for place, line in enumerate(shown):
            _computed(left, place, line, whole)
            _held(right, place, line, whole)
        left.set_yticks(range(len(shown)), _names(shown))
        left.set_ylim(len(shown) - 0.4, -0.6)
        left.set_xlabel(f"FLOPs = tokens × FLOPs a token,\nas a share of {of} (log scale)")
        right.set_xlabel(f"room, as a share of\n{of} (log scale)")
        for axes in (left, right):
            _scaled(axes)
        handles = [
            Patch(color=TOKENS, label="tokens"),
            Patch(color=STEP, label="FLOPs a token"),
            style.handle(style.Look(PRODUCT, "|", "none"), "their product", markersize=11, markeredgewidth=2),
            *(style.handle(look, NAMES[name]) for name, look in ROOM.items()),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        return figure


def caption(results: pd.DataFrame) -> str:
    """Returns what the figure shows, what multiplies and what does not; counts have no interval."""
    every = lines(results)
    shares = [full.over(whole, "tokens") for whole in every for full in every if (whole.of, full.of) == (PRETRAINING, FULL)]
    tokens = f" ({fraction(shares[0])})" if shares and shares[0] else ""
    of = "pretraining one base" if _over(every) == PRETRAINING else f"{FULL} (pretraining was {ELSEWHERE})"
    return (
        f"What a fine-tune costs as a share of {of}, on log scales, where lengths that are put end to end multiply. Left: "
        f"tokens{tokens}, times FLOPs a token, make the FLOPs. Tokens are set by the config, equally many for LoRA and full fine-tuning: "
        "a choice, not a finding. FLOPs are counted by formula, attention as it is executed, without the choice of learning rates. Right: "
        "trained parameters, the optimizer's bytes, and the bytes to store for each fine-tune; they save room and are no factors of the "
        "FLOPs, nor of each other. Counts, not measurements: no seeds, no interval; they say nothing of time."
    )


def _over(every: Sequence[Line]) -> str:
    """Returns of what shares are: of pretraining, or, where that was done elsewhere, of full fine-tuning."""
    return FULL if any(line.is_elsewhere for line in every) else PRETRAINING


def _whole(every: Sequence[Line]) -> Line | None:
    return next((line for line in every if line.of == _over(every) and "flops" in line.counts), None)


def _computed(axes: Axes, place: int, line: Line, whole: Line) -> None:
    """Draws tokens from 1, FLOPs a token from where they end, and writes the product beside its mark."""
    tokens, step, product = (line.over(whole, name) for name in ("tokens", "flops_per_token", "flops"))
    if not tokens or not step or not product:
        return
    for start, end, lane, color in ((1.0, tokens, -0.18, TOKENS), (tokens, product, 0.18, STEP)):
        axes.barh(place + lane, abs(end - start), left=min(start, end), height=0.34, color=color)
    axes.plot([product, product], [place - 0.36, place + 0.36], color=PRODUCT, linewidth=2, solid_capstyle="butt")
    words = "1" if line.of == whole.of else fraction(product)
    spot = (min(product, tokens), place)
    axes.annotate(words, spot, xytext=(-5, 0), textcoords="offset points", ha="right", va="center", fontsize=8)


def _held(axes: Axes, place: int, line: Line, whole: Line) -> None:
    """Draws what has to be held and stored; what is nothing has no place on a log scale."""
    for lane, (name, look) in zip((-0.22, 0.0, 0.22), ROOM.items(), strict=True):
        share = line.over(whole, name)
        if share:
            axes.plot(share, place + lane, color=look.color, marker=look.marker, markersize=4.5, linestyle="none")


def _names(shown: Sequence[Line]) -> list[str]:
    several = len({line.arm for line in shown} - {None}) > 1
    return [f"{line.arm} · {line.of}" if several and line.arm else line.of for line in shown]


def _scaled(axes: Axes) -> None:
    """Makes the axis logarithmic with room for the words left of the smallest share, and powers of ten as fractions."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low / (high / low) ** 0.25 / 1.3, max(high, 1.5))
    style.plain_ticks(axes.xaxis)
    axes.axvline(1, color=style.GRAY, linewidth=0.8, zorder=0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
