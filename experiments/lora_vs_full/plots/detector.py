"""How often the detector of intruders is wrong: on noise, and on directions that were planted, against the size of what is added."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.lora_vs_full.headlines import arms
from experiments.lora_vs_full.plots import looks
from experiments.lora_vs_full.tables import NONE
from research.figures import style
from research.findings import Finding

GROUNDS = {"flat": "start: flat spectrum", "power": "start: power law", "base": "start: the base's spectrum"}
NAMES = ("detector_fpr", "detected_share")
_LOOKS = {
    "full": style.Look("#555555", "o", "-"),
    "rank 1": style.Look("#66c2a5", "s", (0, (6, 2))),
    "rank 8": style.Look("#00684a", "D", (0, (1.2, 1.2))),
}


def detector(found: Sequence[Finding]) -> Figure:
    """Returns the share of leading directions called intruders against the Frobenius norm of what is added, a panel per spectrum.

    Triangles at the top stand where the arms' updates lie at equal loss.
    """
    grounds = [ground for ground in GROUNDS if _of(found, ground)]
    if not grounds:
        return style.sentence("No detector: this figure needs values of the findings 'detector_fpr' and 'detected_share'.")
    with style.context():
        figure = style.blank(max(2.4 * len(grounds), 4.6), 3.7)
        panels = figure.subplots(1, len(grounds), squeeze=False, sharey=True, sharex=True).ravel()
        norms = _norms(found)
        for ground, axes in zip(grounds, panels, strict=True):
            _panel(axes, _of(found, ground), norms, arms(found))
            axes.set_title(GROUNDS[ground], fontsize=9.5)
            axes.set_xlabel("norm of what is added\n/ norm of the start (log scale)")
        panels[0].set_ylim(-0.03, 1.09)
        panels[0].set_ylabel("share called intruders")
        known = {f.where["added"] for ground in grounds for f in _of(found, ground)}
        named = [style.handle(look, _name(added)) for added, look in _LOOKS.items() if added in known]
        marks = [style.handle(look, looks.name(arm), linestyle="none", marker="v") for arm, look in looks.looks(norms, arms(found)).items()]
        style.legend_below(figure, [*named, *marks])
        return figure


def caption(found: Sequence[Finding]) -> str:
    """Returns what is added to what, what is a false positive, what intervals are, n, and what the triangles are."""
    own = [f for ground in GROUNDS for f in _of(found, ground)]
    marks = f" Triangles: where the arms' updates lie at equal loss. {looks.level(found, _place(found))}" if _norms(found) else ""
    return (
        "Share of the leading singular vectors that the detector calls intruders when a random update of this size is added to a matrix. "
        "Full-rank noise has no direction of its own, so whatever is called an intruder there is a false positive; of directions that "
        "were planted (rank 1, rank 8) some are to be found, at most so many of the leading ones. Starts have the shapes of the base's "
        f"matrices. {looks.intervals(own, ' draws')}{marks}"
    )


def _name(added: str) -> str:
    return "full-rank noise (false positives)" if added == "full" else f"{added}, planted"


def _of(found: Sequence[Finding], ground: str) -> list[Finding]:
    own = [f for f in found if f.name in NAMES and f.where["ground"] == ground and f.value is not None]
    return sorted(own, key=lambda f: (f.where["added"], f.where["strength"]))


def _place(found: Sequence[Finding]) -> str:
    return looks.last(f.where["at"] for f in found if f.name == "relative_norm")


def _norms(found: Sequence[Finding]) -> dict[str, float]:
    own = [f for f in found if f.name == "relative_norm" and f.where["null"] == NONE and f.where["at"] == _place(found)]
    return {f.where["arm"]: f.value for f in own if f.value is not None and f.value > 0}


def _panel(axes: Axes, own: Sequence[Finding], norms: dict[str, float], known: Sequence[str]) -> None:
    for added, look in _LOOKS.items():
        some = pd.DataFrame([{"at": f.where["strength"], **looks.ends(f)} for f in own if f.where["added"] == added])
        if some.empty:
            continue
        spread = [some["value"] - some["low"], some["high"] - some["value"]]
        axes.errorbar(some["at"], some["value"], spread, color=look.color, marker=look.marker, linestyle=look.line, markersize=4)
    for arm, look in looks.looks(norms, known).items():
        axes.plot(norms[arm], 1.05, color=look.color, marker="v", markersize=6, linestyle="none", clip_on=False, markeredgecolor="white")
    axes.set_xscale("log")
    places = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
    every = [*(f.where["strength"] for f in own), *norms.values()]
    axes.set_xticks([place for place in places if 0.8 * min(every) <= place <= 1.25 * max(every)])
    style.plain_ticks(axes.xaxis)
