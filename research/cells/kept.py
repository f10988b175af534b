"""The plain weights that a cell had at a step: its base, its artifact, its adapter merged."""

from typing import Any

import jax

from research import tree
from research.adapters.merging import merge
from research.cells.runner import Runner
from research.cells.setting import Cell, kept_as


def weights(runner: Runner, cell: Cell, step: int) -> Any:
    """Returns the plain parameters that a cell had at a step, one of those at which they are kept, on the host."""
    base = runner.setting.bases.params(cell.base)
    kept = runner.workdir.load_artifact(kept_as(cell, step, runner.setting.budgets[-1]))
    variables = tree.unflatten({**tree.flatten({"params": base}), **kept})
    return jax.device_get(merge(variables))["params"] if "adapter" in variables else variables["params"]
