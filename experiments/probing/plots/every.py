"""All figures of the experiment by name."""

from collections.abc import Mapping, Sequence

from research.figures.style import Captioned
from research.findings import Finding


def figures(found: Sequence[Finding]) -> Mapping[str, Captioned]:
    """Returns the figures."""
    return {}
