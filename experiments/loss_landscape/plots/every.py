"""All figures of the experiment by name."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from experiments.loss_landscape.plots import barriers, curvature, losses, plane, profiles, spectra, surfaces
from research.figures import learning_rates
from research.figures.style import Captioned
from research.findings import Finding


def figures(results: pd.DataFrame, found: Sequence[Finding] = ()) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records there are none is left out.

    found: findings, of which those of barriers give the intervals of their means.
    """
    drawn: dict[str, tuple[Callable[[pd.DataFrame], Figure], Callable[[pd.DataFrame], str]]] = {
        "losses": (losses.losses, losses.caption),
        "curvature": (curvature.along_the_way, curvature.caption),
        "barriers": (partial(barriers.barriers, found=found), partial(barriers.caption, found=found)),
        "profiles": (profiles.profiles, profiles.caption),
        "surfaces": (surfaces.surfaces, surfaces.caption),
        "reliefs": (surfaces.reliefs, surfaces.relief_caption),
        "trajectories": (plane.trajectories, plane.caption),
        "spectra": (spectra.densities, spectra.caption),
        "learning_rates": (learning_rates.loss_against_learning_rate, learning_rates.caption),
    }
    made = {name: (draw(results), caption) for name, (draw, caption) in drawn.items()}
    return {name: Captioned(figure, caption(results)) for name, (figure, caption) in made.items() if figure.axes}
