"""All figures of the experiment by name."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from experiments.forgetting.plots import equal_target, kl, pareto, sequence, steps
from experiments.forgetting.readings_of_sequences import is_sequence
from research.figures.style import Captioned
from research.findings import Finding


def figures(results: pd.DataFrame, found: Sequence[Finding] = ()) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records or findings there are none is left out.

    found: findings, which give what is compared at equal target loss, intervals and R².
    """
    if is_sequence(results):
        made = sequence.sequence(results)
        return {"sequence": Captioned(made, sequence.caption(results))} if made.axes else {}
    drawn: dict[str, tuple[Callable[[], Figure], Callable[[], str]]] = {
        "pareto": (partial(pareto.pareto, results, found), partial(pareto.caption, results, found)),
        "equal_target": (partial(equal_target.equal_target, found), partial(equal_target.caption, found)),
        "kl": (partial(kl.kl, results, found), partial(kl.caption, results, found)),
        "steps": (partial(steps.steps, results), partial(steps.caption, results)),
    }
    done = {name: (draw(), caption) for name, (draw, caption) in drawn.items()}
    return {name: Captioned(figure, caption()) for name, (figure, caption) in done.items() if figure.axes}
