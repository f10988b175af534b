"""How much of a probe's accuracy a random task would reach: control tasks and selectivity (Hewitt & Liang 2019, arXiv 1909.03368)."""

from typing import NamedTuple

import numpy as np


class Selectivity(NamedTuple):
    """Accuracy less that on the control task, both (...), and what they rest on.

    unseen: the share of scored examples whose type was not trained on, on which a control task can be right by chance alone; seen: the
    control task's accuracy on the others.
    """

    selectivity: np.ndarray
    accuracy: np.ndarray
    control: np.ndarray
    seen: np.ndarray
    unseen: float


def control_labels(types: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Returns a label for each example (n,) that its type decides, and nothing else: drawn once a type from how often labels occur.

    types: (n,) of anything that sorts, as words are. Labels of -1 are none, and stay so. The types, sorted, take Philox's raw words in
    turn, so the same text and seed give the same task in every version of NumPy.
    """
    labels, (names, index) = np.asarray(labels), np.unique(types, return_inverse=True)
    counts = np.cumsum(np.bincount(labels[labels >= 0]))
    words = np.random.Philox(key=np.array([seed, 6], np.uint64)).random_raw(len(names))
    drawn = np.searchsorted(counts, words % np.uint64(counts[-1]), side="right")
    return np.where(labels >= 0, drawn[index], -1)


def seen_types(types: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Returns whether each example's type occurs in the training part, (n,) bool; train: (n,) of 0 or 1."""
    types = np.asarray(types)
    return np.isin(types, types[np.asarray(train) > 0])


def selectivity(correct: np.ndarray, control: np.ndarray, scored: np.ndarray, seen: np.ndarray) -> Selectivity:
    """Returns the selectivity of probes from what is right on each example, (..., n) both, over the `scored` ones (n,).

    Raises ValueError where nothing is scored.
    """
    weights = (np.asarray(scored) > 0).astype(float)
    if not weights.any():
        raise ValueError("no example is scored")
    accuracy, chance = (np.asarray(right, float) @ weights / weights.sum() for right in (correct, control))
    known = weights * seen
    on_seen = np.asarray(control, float) @ known / known.sum() if known.any() else np.full(chance.shape, np.nan)
    return Selectivity(accuracy - chance, accuracy, chance, on_seen, float(1 - known.sum() / weights.sum()))
