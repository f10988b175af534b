"""All figures of the experiment by name."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from experiments.style_vs_facts.plots import capacity, learning, old, retrieval
from experiments.style_vs_facts.ways import Read
from research.figures.style import Captioned
from research.findings import Finding


def figures(results: pd.DataFrame, found: Sequence[Finding] = ()) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records or findings there are none is left out.

    found: findings, which give values with their intervals, and prices.
    """
    read = Read(results)
    drawn: dict[str, tuple[Callable[[], Figure], Callable[[], str]]] = {
        "learning": (partial(learning.learning, read), partial(learning.caption, read)),
        "capacity": (partial(capacity.capacity, read, found), partial(capacity.caption, read, found)),
        "old": (partial(old.old, read, found), partial(old.caption, read, found)),
        "retrieval": (partial(retrieval.retrieval, read, found), partial(retrieval.caption, read, found)),
    }
    made = {name: (draw(), caption) for name, (draw, caption) in drawn.items()}
    return {name: Captioned(figure, caption()) for name, (figure, caption) in made.items() if figure.axes}
