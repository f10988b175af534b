"""The probes of one task on one encoder, all in two programs, and what each group of documents says of them."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from experiments.probing.drawn import Examples
from research.analysis.codelength import block_ends, online_bits, ranks, trained_on
from research.analysis.control_tasks import seen_types
from research.analysis.depths import by_document
from research.analysis.probes import Point, Population, at_layer, axes, check, crossed, trained_most, up_to_layer
from research.training.spread import spread

HALVES = 2  # of the groups: each is read by the probe that the other one trained
TASK, CONTROL = 0, 1
AT_ONCE = 2**26  # bytes of activations that a program holds, about

Probes = Callable[..., Any]


class Programs(NamedTuple):
    """Compiled for all tasks: probes of one layer, and cumulative ones; most: the most classes of any task."""

    at_layer: Probes
    up_to_layer: Probes
    most: int

    @classmethod
    def of(cls, most: int) -> "Programs":
        """Returns the programs, spread over all devices."""
        one, mixed = (_of_points(function, most) for function in (at_layer, up_to_layer))
        return cls(one, mixed, most)


def _of_points(function: Callable[..., Any], most: int) -> Probes:
    @functools.cache
    def program(trained: int) -> Probes:
        return spread(lambda point, population: function(point, population, most, trained))

    def call(points: Point, population: Population) -> Any:
        # Dealt in turn, since a device takes points that lie side by side, and halves take longer than the blocks behind them.
        order = np.argsort(np.arange(len(points.depth)) % jax.device_count(), kind="stable")
        dealt = Point(*(index[order] for index in points))
        return jax.tree.map(lambda leaf: leaf[np.argsort(order)], program(trained_most(population.train))(dealt, population))

    return call


class Features(NamedTuple):
    """Activations (depths, n, d); those of them that are `mixed`, by place; axes of each, and of each mix, if any."""

    values: np.ndarray
    mixed: tuple[int, ...]
    axes: np.ndarray
    mixed_axes: np.ndarray | None


def features(values: np.ndarray, mixed: Sequence[int]) -> Features:
    """Returns activations with the axes that all probes of them share, whatever their tasks; `mixed` as in `Features`."""
    with threadpool_limits(1, "blas"):  # so small matrices take longer on several threads
        own, together = axes(values), axes(values[list(mixed)], cumulative=True) if len(values) > 1 else None
    return Features(values, tuple(mixed), own, together)


def _chunks(values: np.ndarray) -> list[np.ndarray]:
    """Places of depths that are read together, as many in each, so that the last may say again what another one said."""
    count = -(-values.nbytes // AT_ONCE)
    size = -(-len(values) // count)
    return [np.arange(size) + min(start, len(values) - size) for start in range(0, len(values), size)]


def _once(values: np.ndarray) -> np.ndarray:
    """Where each depth stands, first, in what chunks say one after another."""
    found: np.ndarray = np.unique(np.concatenate(_chunks(values)), return_index=True)[1]
    return found


class Scores(NamedTuple):
    """What probes say of a task.

    groups: by metric, means over the examples of each group of documents, (depths, groups). mix: weights of the mix of all depths,
    (depths,), empty where there is one. sizes: (groups,) examples. unseen: the share whose type the control's probe was not trained on.
    gradient: the largest derivative of the mean loss where a probe ended.
    """

    groups: dict[str, np.ndarray]
    mix: np.ndarray
    sizes: np.ndarray
    unseen: float
    gradient: float


def halves(groups: np.ndarray, seed: int) -> np.ndarray:
    """Returns the training parts (HALVES, n): each is half of the groups of documents, drawn by the seed; -1 is in none."""
    words = np.random.Philox(key=np.array([seed, 8], np.uint64)).random_raw(groups.max() + 1)
    first = np.argsort(words, kind="stable")[: len(words) // 2]
    is_first = np.isin(groups, first)
    return np.stack([is_first, ~is_first & (groups >= 0)]).astype(np.float32)


def probe(own: Features, task: Examples, seed: int, programs: Programs) -> Scores:
    """Returns what probes of features say of a task: at each depth and of all up to it.

    Accuracies are of the half of the groups that did not train; the code sends all groups. One depth alone has no cumulative probes.
    """
    places = ranks(task.groups >= 0, task.groups, seed)
    # As many blocks for each task, by the most classes of any, so that all tasks are one program.
    ends = block_ends(int((places >= 0).sum()), programs.most)
    train = np.concatenate([halves(task.groups, seed), trained_on(places, ends)])
    choosing = np.tile((task.groups < 0).astype(np.float32), (len(train), 1))
    population = Population(own.values, task.labels, np.full(2, task.classes), train, choosing)
    check(population, (task.name, f"{task.name} (control)"))
    depths, blocks = len(own.values), len(train) - HALVES
    found = _at_layers(own, population, blocks, programs)
    correct = found["correct"][:, : HALVES * 2].reshape(depths, HALVES, 2, -1)
    bits = found["bits"][:, HALVES * 2 :]
    held, is_read = train[1] > 0, task.groups >= 0
    per_example = {
        "accuracy": np.where(held, correct[:, 0, TASK], correct[:, 1, TASK]),
        "control_accuracy": np.where(held, correct[:, 0, CONTROL], correct[:, 1, CONTROL]),
        "codelength": online_bits(bits, places, ends, task.classes),
    }
    mix, gradient = np.empty(0), float(found["gradient"].max())
    if depths > 1:
        some = population._replace(features=np.asarray(own.values[list(own.mixed)]), axes=own.mixed_axes)
        mixed = programs.up_to_layer(crossed(range(len(own.mixed)), range(HALVES), (TASK,)), some)
        right = mixed.correct.reshape(len(own.mixed), HALVES, -1)
        per_example["cumulative_accuracy"] = np.where(held, right[:, 0], right[:, 1])
        mix = mixed.mix[-HALVES:].mean(0)
        gradient = max(gradient, float(mixed.gradient.max()))
    groups = {name: by_document(values, is_read, task.groups)[0] for name, values in per_example.items()}
    sizes = by_document(np.zeros(len(held)), is_read, task.groups)[1]
    seen = np.where(held, seen_types(task.types, train[0]), seen_types(task.types, train[1]))
    return Scores(groups, mix, sizes, float(1 - seen[is_read].mean()), gradient)


def _at_layers(own: Features, population: Population, blocks: int, programs: Programs) -> dict[str, np.ndarray]:
    """What probes of each depth end with, (depths, points, ...): halves by task and control, then the blocks of the task's code."""
    some: dict[str, list[np.ndarray]] = {"correct": [], "bits": [], "gradient": []}
    for place in _chunks(own.values):
        depths = range(len(place))
        points = [crossed(depths, range(HALVES), (TASK, CONTROL)), crossed(depths, range(HALVES, HALVES + blocks), (TASK,))]
        chunk = population._replace(features=np.asarray(own.values[place]), axes=own.axes[place])
        found = programs.at_layer(Point(*map(np.concatenate, zip(*points, strict=True))), chunk)
        first = len(points[0].depth)
        for name, each in some.items():
            halves, sent = getattr(found, name)[:first], getattr(found, name)[first:]
            parts = [part.reshape(len(place), -1, *part.shape[1:]) for part in (halves, sent)]
            each.append(np.concatenate(parts, axis=1))
    return {name: np.concatenate(each)[_once(own.values)] for name, each in some.items()}
