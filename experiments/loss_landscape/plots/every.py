"""All figures of the experiment by name."""

from collections.abc import Mapping

import pandas as pd

from experiments.loss_landscape.plots import barriers, curvature, losses, plane, profiles, spectra, surfaces
from research.figures import learning_rates
from research.figures.style import Captioned


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records there are none is left out."""
    drawn = {
        "losses": (losses.losses, losses.caption),
        "curvature": (curvature.along_the_way, curvature.caption),
        "barriers": (barriers.barriers, barriers.caption),
        "profiles": (profiles.profiles, profiles.caption),
        "surfaces": (surfaces.surfaces, surfaces.caption),
        "reliefs": (surfaces.reliefs, surfaces.relief_caption),
        "trajectories": (plane.trajectories, plane.caption),
        "spectra": (spectra.densities, spectra.caption),
        "learning_rates": (learning_rates.loss_against_learning_rate, learning_rates.caption),
    }
    made = {name: (draw(results), caption) for name, (draw, caption) in drawn.items()}
    return {name: Captioned(figure, caption(results)) for name, (figure, caption) in made.items() if figure.axes}
