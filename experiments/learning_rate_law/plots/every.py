"""All figures of the experiment by name."""

from collections.abc import Mapping, Sequence

import pandas as pd

from experiments.learning_rate_law.compared import at_end
from experiments.learning_rate_law.plots import laws, losses, rates
from research.figures.style import Captioned
from research.findings import Finding


def figures(results: pd.DataFrame, found: Sequence[Finding]) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records or findings there are none is left out."""
    found = at_end(found)
    drawn = {
        "best_rates": Captioned(rates.against_rank(found), rates.rank_caption(found)),
        "powers": Captioned(laws.powers(found), laws.powers_caption()),
        "laws": Captioned(laws.missed(found), laws.missed_caption(found)),
        "curvature": Captioned(rates.against_curvature(found), rates.curvature_caption()),
        "losses": Captioned(losses.losses(results, found), losses.caption(found)),
    }
    return {name: captioned for name, captioned in drawn.items() if captioned.figure.axes}
