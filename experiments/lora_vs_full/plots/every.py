"""All figures of the experiment by name."""

from collections.abc import Mapping, Sequence

import pandas as pd

from research.figures.style import Captioned
from research.findings import Finding


def figures(results: pd.DataFrame, found: Sequence[Finding] = ()) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records or findings there are none is left out."""
    return {}
