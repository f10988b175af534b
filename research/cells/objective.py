"""The loss of a task as a function of what moves, on rows of data, a part at a time: what curvature is taken of."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax import Array

from research import tree
from research.analysis.parts import in_parts
from research.training.population import Task

PART = 16  # windows at a time on a CPU


def objective(task: Task, sequences: int) -> Callable[[Any, tuple[Any, Any]], Array]:
    """Returns loss(moves, (stays, rows)) of a task, nats a token, of so many rows (sequences, time + 1); see `parts.in_parts`."""
    return in_parts(functools.partial(_sums, task), PART if jax.default_backend() == "cpu" else sequences)


def _sums(task: Task, moves: Any, batch: tuple[Any, Any]) -> tuple[Array, Array]:
    stays, rows = batch
    loss, metrics = task.loss(task.adapted, tree.combine(moves, stays), task.to_batch(rows))
    weight = metrics["weight"].sum()
    return loss * weight, weight
