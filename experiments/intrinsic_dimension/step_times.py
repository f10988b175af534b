"""What a step of each shape costs on this device: seconds and the bytes that a member carries."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from research.cells.layout import Layout
from research.cells.runner import Runner
from research.cells.subject import Rows
from research.data.batches import orders
from research.training.population import Members


def step_costs(runner: Runner, described: Mapping[str, Any], layout: Layout, dimension: int) -> Iterator[Rows]:
    """Yields, for each shape, 'step_time' (s per step of a member, all devices busy) and 'member_memory' (bytes: v, its moments, P).

    Times are the fastest of three calls of the program that the results came from, with every member of `dimension`; a time is never the
    same twice, so one that stands is not measured again.
    """
    for shape in layout.tasks:
        where = {**described, "phase": "cost", "projection": None if shape == "full" else shape}
        if not runner.workdir.records.has(**where, metric="step_time"):
            start = {"experiment": runner.setting.experiment, "cell": "", **where}
            seconds = float(f"{_seconds(runner, shape, dimension):.3g}")
            yield [
                {**start, "metric": "step_time", "value": seconds, "unit": "s"},
                {**start, "metric": "member_memory", "value": layout.footprints[shape].member, "unit": "bytes"},
            ]


def _seconds(runner: Runner, shape: str, dimension: int) -> float:
    setting, functions, width = runner.setting, runner.programs[shape], runner.setting.widths[shape]
    seeds = list(range(width))
    members = Members(
        np.zeros(width, np.int32), np.full(width, dimension, np.int32), np.full(width, 1e-3, np.float32), np.array(seeds, np.uint32)
    )
    rows = setting.windows[orders(seeds, 0, setting.chunk, setting.batch_size, len(setting.windows))]
    bases = runner.placed(0)
    states, taken = functions.init(members, bases), []
    for _ in range(3):
        start = time.perf_counter()
        states, _ = jax.block_until_ready(functions.train(states, members, rows, bases))
        taken.append(time.perf_counter() - start)
    return min(taken) / (width * setting.chunk)
