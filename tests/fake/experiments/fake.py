"""A stand-in for an experiment: it measures a formula, slowly if asked, and stops or fails where its source says."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from research.errors import UsageError
from research.figures.style import Captioned
from research.findings import Estimate, Finding, finding
from research.runtime.workdir import Workdir
from research.sweeps import Plan, fingerprint, grid

QUESTION = "Does the harness work?"


def cells(config: ConfigDict) -> dict[str, dict[str, Any]]:
    """Returns every cell by its fingerprint."""
    return {fingerprint(cell): cell for cell in grid(rank=config.ranks, seed=range(config.seeds))}


def check(config: ConfigDict) -> None:
    """Returns when the sweep is not empty."""
    cells(config)


def plan(config: ConfigDict) -> Plan:
    """Returns numbers that a test knows."""
    return Plan(len(cells(config)), [{"members": 2, "steps": config.steps}], 1_500_000_000, 90.0)


def observed(cell: str, where: dict[str, Any], step: int) -> dict[str, Any]:
    """Returns the record of one cell at one step."""
    fixed = {"experiment": "fake", "cell": cell, "phase": "result", "init": "random", "arm": None, "trains": "full", **where}
    value = 1 / (1 + step + where["rank"] / 3 + where["seed"])
    return {**fixed, "learning_rate": 0.1, "step": step, "metric": "target_loss", "value": value, "unit": "bits/byte"}


def run(config: ConfigDict, workdir: Workdir) -> Iterator[list[dict[str, Any]]]:
    """Yields the records of one population at one step, for populations that are not complete."""
    if config.source == "nowhere":
        raise UsageError("unknown data source 'nowhere'")
    workdir.pin("data", config.source)
    known = cells(config)
    for population in workdir.assign([(cell, "any") for cell in known], lambda _: 2):
        if all(workdir.records.has(cell=cell, step=config.steps - 1) for cell in population.cells):
            continue
        for step in range(config.steps):
            time.sleep(config.pause)
            if config.source == "diverges" and step == 1:
                raise UsageError("the loss is not finite at step 1")
            if config.source == "large" and not config.members and step == 1:
                raise MemoryError("Unable to allocate 8.00 PiB")
            if config.source == "stops" and not workdir.records.rows:
                os.kill(os.getpid(), signal.SIGINT)
            yield [observed(cell, known[cell], step) for cell in population.cells]


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns one mean."""
    mean = Estimate(float(results["value"].mean()), None, None, len(results), "mean")
    return [finding("target_loss", {}, mean, "bits/byte")]


def answer(found: list[Finding]) -> str:
    """Returns the mean in words."""
    return f"The mean is {found[0].value:.3f}."


def figures(results: pd.DataFrame) -> dict[str, Captioned]:
    """Returns one figure."""
    figure = Figure()
    figure.subplots().plot(results["step"], results["value"])
    return {"loss": Captioned(figure, "Loss.")}
