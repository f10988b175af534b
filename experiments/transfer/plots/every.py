"""All figures of the experiment by name."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure

from experiments.transfer.plots import curves, data
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
    return _drawn(found, drawn)


def of_data(found: Sequence[Finding]) -> Mapping[str, Captioned]:
    """Returns the figures where data is measured, likewise."""
    return _drawn(
        found,
        {"amounts": (data.amounts, data.amounts_caption), "transferred": (data.transferred, data.transferred_caption)},
    )


def _drawn(found: Sequence[Finding], drawn: Mapping[str, Drawn]) -> Mapping[str, Captioned]:
    made = {name: (draw(found), caption) for name, (draw, caption) in drawn.items()}
    return {name: Captioned(figure, caption(found)) for name, (figure, caption) in made.items() if figure.axes}
