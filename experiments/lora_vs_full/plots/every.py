"""All figures of the experiment by name."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from experiments.lora_vs_full.levels import standing
from experiments.lora_vs_full.plots import cuts, detector, intruders, maps, scaled, spectra, subspaces
from research.figures.style import Captioned
from research.findings import Finding


def figures(results: pd.DataFrame, found: Sequence[Finding] = ()) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records or findings there are none is left out.

    found: findings, which give intervals, what is cut, subspaces, the detector, and the level at which arms are compared.
    """
    results = standing(results)
    drawn: dict[str, tuple[Callable[[], Figure], Callable[[], str]]] = {
        "spectra": (partial(spectra.spectra, results), partial(spectra.caption, results, found)),
        "intruders": (partial(intruders.intruders, results), partial(intruders.caption, results, found)),
        "detector": (partial(detector.detector, found), partial(detector.caption, found)),
        "cuts": (partial(cuts.cuts, results, found), partial(cuts.caption, found)),
        "scaled": (partial(scaled.scaled, results), partial(scaled.caption, results, found)),
        "subspaces": (partial(subspaces.subspaces, found), partial(subspaces.caption, found)),
        "maps": (partial(maps.maps, results), partial(maps.caption, results, found)),
    }
    made = {name: (draw(), caption) for name, (draw, caption) in drawn.items()}
    return {name: Captioned(figure, caption()) for name, (figure, caption) in made.items() if figure.axes}
