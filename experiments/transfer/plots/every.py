"""All figures of the experiment by name."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure

from experiments.transfer.plots import curves
from research.figures.style import Captioned
from research.findings import Finding

Drawn = tuple[Callable[[Sequence[Finding]], Figure], Callable[[Sequence[Finding]], str]]


def figures(found: Sequence[Finding]) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose findings there are none is left out."""
    drawn: dict[str, Drawn] = {
        "transfer": (curves.transfer, curves.transfer_caption),
        "differences": (curves.differences, curves.differences_caption),
        "kept": (curves.kept, curves.kept_caption),
        "shares": (curves.shares, curves.shares_caption),
    }
    made = {name: (draw(found), caption) for name, (draw, caption) in drawn.items()}
    return {name: Captioned(figure, caption(found)) for name, (figure, caption) in made.items() if figure.axes}
