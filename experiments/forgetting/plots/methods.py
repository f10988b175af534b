"""How methods and their strengths are named and drawn, the same in every figure."""

from collections.abc import Iterable

import pandas as pd
from matplotlib.lines import Line2D

from research.figures import style
from research.figures.intervals import ordered

NAMES = {
    "full": "everything trained",
    "lora": "LoRA",
    "top": "top layers",
    "l2sp": "L2-SP",
    "ewc": "EWC",
    "empirical": "EWC, empirical Fisher",
    "replay": "replay",
    "slow": "low rate",
    "slowlora": "LoRA, low rate",
    "wise": "WiSE-FT",
    "joint": "all mixed",
}
STRENGTHS = {
    "lora": "LoRA, rank {}",
    "top": "top {} layers",
    "l2sp": "L2-SP, λ = {}",
    "ewc": "EWC, λ = {}",
    "empirical": "EWC, empirical Fisher, λ = {}",
    "replay": "replay, {} %",
    "slow": "low rate, × {}",
    "slowlora": "LoRA, rank 16, low rate, × {}",
    "wise": "WiSE-FT, α = {}",
}
ORDER = tuple(NAMES)
# Eight methods need eight colors: all of the palette, not only those that looks without a name take turns in.
_COLORS = [*(look.color for look in style.INIT_LOOKS.values()), *style.NEXT_COLORS]
_MARKERS = [*(look.marker for look in style.INIT_LOOKS.values()), *style.NEXT_MARKERS]
_OWN = [name for name in ORDER[1:] if name not in ("empirical", "slowlora", "joint")]
_LOOKS = {
    "full": style.FULL,
    **{name: style.Look(color, marker, "-") for name, color, marker in zip(_OWN, _COLORS, _MARKERS, strict=False)},
}
_LOOKS["joint"] = style.MATCHED  # no method of a sequence, but its bound
_LOOKS["empirical"] = _LOOKS["ewc"]._replace(marker="h", line=(0, (1.2, 1.2)))  # the color of EWC
_LOOKS["slowlora"] = _LOOKS["lora"]._replace(marker="<", line=(0, (4, 1.5)))  # the color of LoRA


def methods_of(frame: pd.DataFrame) -> list[str]:
    """Returns the methods in rows, in the order of every figure."""
    return ordered(frame["method"].dropna().astype(str), ORDER)


def looks(methods: Iterable[str]) -> dict[str, style.Look]:
    """Returns the look of each method: its own, for one unknown here the next free one."""
    methods = list(methods)
    others = style.looks(method for method in methods if method not in _LOOKS)
    return {method: _LOOKS.get(method) or others[method] for method in methods}


def size(method: str, points: float) -> float:
    """Returns the size of a method's marker: a star looks smaller than it is."""
    return points * (1.5 if looks([method])[method].marker == "*" else 1.0)


def words(method: str, strength: float | None) -> str:
    """Returns a method at a strength (None or NaN for a method that has none) for a reader: 'LoRA, rank 8'."""
    if strength is None or pd.isna(strength):
        return NAMES.get(method, method)
    said = STRENGTHS.get(method, f"{NAMES.get(method, method)}, {{}}").format(f"{strength:g}")
    return "top layer" if (method, strength) == ("top", 1) else said


def handles(methods: Iterable[str], line: bool = False) -> list[Line2D]:
    """Returns a legend entry per method."""
    return [
        style.handle(look, NAMES.get(method, method), linestyle="-" if line else "none", markersize=size(method, 5))
        for method, look in looks(methods).items()
    ]
