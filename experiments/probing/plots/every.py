"""All figures of the experiment by name."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure

from experiments.probing.plots import curves, depths, nulls
from research.figures.style import Captioned
from research.findings import Finding

Drawn = tuple[Callable[[Sequence[Finding]], Figure], Callable[[Sequence[Finding]], str]]


def figures(found: Sequence[Finding]) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose findings there are none is left out."""
    drawn: dict[str, Drawn] = {
        "readable": (curves.readable, curves.caption),
        "less_than": (nulls.less_than, nulls.caption),
        "selectivity": (curves.selective, curves.selectivity_caption),
        "expected_layers": (depths.expected, depths.caption),
    }
    made = {name: (draw(found), caption) for name, (draw, caption) in drawn.items()}
    return {name: Captioned(figure, caption(found)) for name, (figure, caption) in made.items() if figure.axes}
