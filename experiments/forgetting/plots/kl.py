"""What the source lost against the KL from the base, on the target's contexts and on the source's: is it one curve for all methods?"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.forgetting.plots import methods, rows
from research.figures import style
from research.findings import Finding, find, shown

SIDES = {"target": "on the target's contexts", "source": "on the source's contexts"}


def kl(results: pd.DataFrame, found: Sequence[Finding] = ()) -> Figure:
    """Returns the rise of the source's loss against KL(base || tuned), both in bits/byte, a mark per model: target's and source's contexts.

    found: findings, of which `kl_r2` are written into the titles.
    """
    read = {side: _readings(results, side) for side in SIDES}
    read = {side: own for side, own in read.items() if len(own)}
    if not read:
        return style.sentence("No KL: this figure needs 'budget_source' and 'kl_source' or 'kl_target' of the phase 'kept', above zero.")
    with style.context():
        figure = style.blank(max(3.5 * len(read), 5.0), 3.9)
        panels = figure.subplots(1, len(read), squeeze=False, sharey=True).ravel()
        for (side, own), axes in zip(read.items(), panels, strict=True):
            _panel(axes, own)
            r2 = find(found, "kl_r2", on=side, curve="one")
            axes.set_title(SIDES[side] + (f"\nR² = {shown(r2, '.2f')}" if r2 and r2.value is not None else ""), fontsize=9.5)
        every = pd.concat(read.values())
        scale = rows.vertical(panels[0], every["rise"], logarithmic=True)
        if (every["rise"] <= 0).any():
            panels[0].axhline(0.0, color=style.GRAY, linewidth=0.9, zorder=0.9)
            panels[-1].axhline(0.0, color=style.GRAY, linewidth=0.9, zorder=0.9)
        panels[0].set_ylabel(f"rise of the source's loss\n({style.BITS}{scale})")
        style.legend_below(figure, [*methods.handles(methods.methods_of(every)), *_faces(every)])
        return figure


def caption(results: pd.DataFrame, found: Sequence[Finding] = ()) -> str:
    """Returns what a mark is, what R² and its interval are, and what has no place on the axes."""
    readings = rows.kept(results)
    r2 = [f for f in found if f.name == "kl_r2" and f.where["curve"] == "one"]
    how = sorted({f.method for f in r2 if f.value is not None and f.method})
    drawn = " WiSE-FT, the line that nothing trains, is drawn, but has no part in it." if "wise" in set(readings["method"]) else ""
    said = f" R² and its interval: {'; '.join(how)}.{drawn}" if how else ""
    none = sorted({f.note.split(";")[0] for f in r2 if f.value is None and f.note})
    said += f" No R²: {'; '.join(none)}." if none else ""
    lost = {side: int((readings["rise"].isna() | ~(readings[f"kl_{side}"] > 0)).sum()) for side in SIDES}
    gone = ", ".join(f"{n} of {len(readings)} {SIDES[side]}" for side, n in lost.items() if n)
    return (
        "Rise of the source's loss above the same base's against the forward KL from the base to what became of it, exact over the "
        f"vocabulary; a mark for each model (n = {rows.seeds(readings)} seeds of each strength), hollow at earlier steps than its last. "
        f"Marks of one seed share a base, so there are fewer independent ones.{said}"
        f"{f' Not finite or not above 0, and left out: {gone}.' if gone else ''}"
    )


def _readings(results: pd.DataFrame, side: str) -> pd.DataFrame:
    """Readings that have a place on a log axis, and whether each is the `last` of its run."""
    own = rows.kept(results)
    last = own.groupby(["method", "strength", "base", "seed"], dropna=False)["step"].transform("max")
    own = own.assign(kl=own[f"kl_{side}"], last=own["step"] == last)
    return own[own["rise"].notna() & (own["kl"] > 0)]


def _panel(axes: Axes, own: pd.DataFrame) -> None:
    for method, look in methods.looks(methods.methods_of(own)).items():
        for last, some in own[own["method"] == method].groupby("last"):
            mark: dict[str, Any] = {
                "markersize": methods.size(method, 4.5),
                "markerfacecolor": look.color if last else "white",
                "markeredgewidth": 0.8,
            }
            axes.plot(some["kl"], some["rise"], color=look.color, marker=look.marker, linestyle="none", alpha=0.8, **mark)
    axes.set_xscale("log")
    rows.ticks(axes.xaxis, own["kl"])
    axes.set_xlabel(f"KL(base || tuned) ({style.BITS}, log scale)")


def _faces(every: pd.DataFrame) -> list[Line2D]:
    if every["last"].all():
        return []
    return [Line2D([], [], color="#444444", marker="o", markerfacecolor="white", linestyle="none", label="before its last step")]
