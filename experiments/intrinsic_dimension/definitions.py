"""What d90 is the dimension for: every definition as a reading of an arm's curves."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from experiments.intrinsic_dimension.arms import Curves, fact
from experiments.intrinsic_dimension.curves import SHARE, Reader, absolute, band, gained, relative, shared
from research.analysis.recovery import shared_targets, start_loss
from research.findings import Estimate

STARTS = ("min", "untouched", "unigram")  # what a gain is counted from; min is the lower of both others


class Reading(Protocol):
    """Reads d90 off an arm's curves, with an interval as `read` makes it."""

    def __call__(self, c: Curves, *, read: Reader = band) -> Estimate: ...


class Definition(NamedTuple):
    """Coordinates of a definition, and its reading."""

    where: Mapping[str, Any]
    reading: Reading


def of_accuracy(level: float, chance: float) -> list[Definition]:
    """Returns the definitions for classifiers: an accuracy, a share of full training's accuracy, the same above chance."""
    return [
        Definition({"threshold": "absolute"}, partial(_absolute, level=level)),
        Definition({"threshold": "relative"}, partial(_relative, chance=0.0)),
        Definition({"threshold": "chance_corrected"}, partial(_relative, chance=chance)),
    ]


def of_gain(unigram: float) -> list[Definition]:
    """Returns the definitions by an arm's own full fine-tuning gain, from each start; `unigram` in bits/byte."""
    return [Definition({"threshold": "relative", "start": start}, partial(_gained, start=start, unigram=unigram)) for start in STARTS]


def of_shared_loss(goals: Mapping[str, float]) -> list[Definition]:
    """Returns the definitions by losses that all initializations share, bits/byte by name."""
    return [
        Definition({"threshold": "shared_loss", "target": name, "target_bits": round(bits, 4)}, partial(_shared, target=bits))
        for name, bits in goals.items()
    ]


def of_records(own: pd.DataFrame) -> list[Definition]:
    """Returns the definitions for a language model, from its records."""
    unigram = fact(own, "unigram_loss")
    return [*of_gain(unigram), *of_shared_loss(targets(own, unigram))]


def targets(own: pd.DataFrame, unigram: float) -> dict[str, float]:
    """Returns the losses (bits/byte) at which all initializations are compared, from what models reach on the validation part alone.

    `unigram`, the entropy from which some of them are counted, is that of the text that results are read on.
    Two that every initialization reaches there, if only in the full space (`shared_targets`), and the loss at which the best of them has
    recovered 0.9 of its own gain. Where results have no validation losses: none.
    """
    losses = own[own["metric"] == "validation_loss"].astype({"value": float})
    tested, untouched = losses[losses["phase"] == "result"], losses[losses["phase"] == "reference"]
    last = tested[tested["step"] == tested["step"].max()]
    means = {
        init: last[last["init"] == init].groupby(["trains", "projection", "dimension"], dropna=False)["value"].mean()
        for init in last["init"].unique()
    }
    full = last[last["trains"] == "full"].groupby("init")["value"].mean().dropna()
    if full.empty:
        return {}
    found = shared_targets({init: series.to_numpy() for init, series in means.items()}, unigram)
    best = full.idxmin()
    start = float(np.mean(start_loss(untouched[untouched["init"] == best]["value"].to_numpy(), unigram)))
    return {**found, "best_90": float(start - SHARE * (start - full[best]))}


def _absolute(c: Curves, *, level: float, read: Reader = band) -> Estimate:
    return absolute(c.dimensions, c.values, c.full, level, read)


def _relative(c: Curves, *, chance: float, read: Reader = band) -> Estimate:
    return relative(c.dimensions, c.values, c.full, chance, read)


def _gained(c: Curves, *, start: str, unigram: float, read: Reader = band) -> Estimate:
    starts = {"min": start_loss(c.start, unigram), "untouched": c.start, "unigram": np.full_like(c.start, unigram)}
    return gained(c.dimensions, c.values, starts[start], c.full, read)


def _shared(c: Curves, *, target: float, read: Reader = band) -> Estimate:
    return shared(c.dimensions, c.values, c.full, target, read)
