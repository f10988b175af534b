"""The probes of one task on one encoder, all in two programs, and what each group of documents says of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from experiments.probing.drawn import Examples
from research.analysis.codelength import block_ends, online_bits, ranks, trained_on
from research.analysis.control_tasks import seen_types
from research.analysis.depths import by_document
from research.analysis.probes import Point, Population, at_layer, check, crossed, up_to_layer
from research.training.spread import spread

HALVES = 2  # of the groups: each is read by the probe that the other one trained
TASK, CONTROL = 0, 1

Probes = Callable[..., Any]


class Programs(NamedTuple):
    """Compiled once for all tasks: probes of one layer, and cumulative ones; most: the most classes of any task."""

    at_layer: Probes
    up_to_layer: Probes
    most: int

    @classmethod
    def of(cls, most: int) -> "Programs":
        """Returns the programs, spread over all devices."""
        one, mixed = (_of_points(function, most) for function in (at_layer, up_to_layer))
        return cls(one, mixed, most)


def _of_points(function: Callable[..., Any], most: int) -> Probes:
    return spread(lambda point, population: function(point, population, most))


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


def probe(features: np.ndarray, task: Examples, seed: int, programs: Programs) -> Scores:
    """Returns what probes of features (depths, n, d) say of a task: at each depth and of all up to it.

    Accuracies are of the half of the groups that did not train; the code sends all groups. One depth alone has no cumulative probes.
    """
    places = ranks(task.groups >= 0, task.groups, seed)
    # As many blocks for each task, by the most classes of any, so that all tasks are one program.
    ends = block_ends(int((places >= 0).sum()), programs.most)
    train = np.concatenate([halves(task.groups, seed), trained_on(places, ends)])
    choosing = np.tile((task.groups < 0).astype(np.float32), (len(train), 1))
    population = Population(features, task.labels, np.full(2, task.classes), train, choosing)
    check(population, (task.name, f"{task.name} (control)"))
    depths, blocks = range(len(features)), range(HALVES, len(train))
    points = [crossed(depths, range(HALVES), (TASK, CONTROL)), crossed(depths, blocks, (TASK,))]
    found = programs.at_layer(Point(*map(np.concatenate, zip(*points, strict=True))), population)
    first = len(points[0].depth)
    correct, bits = found.correct[:first].reshape(len(features), HALVES, 2, -1), found.bits[first:].reshape(len(features), len(blocks), -1)
    held, is_read = train[1] > 0, task.groups >= 0
    per_example = {
        "accuracy": np.where(held, correct[:, 0, TASK], correct[:, 1, TASK]),
        "control_accuracy": np.where(held, correct[:, 0, CONTROL], correct[:, 1, CONTROL]),
        "codelength": online_bits(bits, places, ends, task.classes),
    }
    mix, gradient = np.empty(0), float(found.gradient.max())
    if len(features) > 1:
        mixed = programs.up_to_layer(crossed(depths, range(HALVES), (TASK,)), population)
        right = mixed.correct.reshape(len(features), HALVES, -1)
        per_example["cumulative_accuracy"] = np.where(held, right[:, 0], right[:, 1])
        mix = mixed.mix[-HALVES:].mean(0)
        gradient = max(gradient, float(mixed.gradient.max()))
    groups = {name: by_document(values, is_read, task.groups)[0] for name, values in per_example.items()}
    sizes = by_document(np.zeros(len(held)), is_read, task.groups)[1]
    seen = np.where(held, seen_types(task.types, train[0]), seen_types(task.types, train[1]))
    return Scores(groups, mix, sizes, float(1 - seen[is_read].mean()), gradient)
