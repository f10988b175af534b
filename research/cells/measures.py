"""What is read of a member: means over held-out text, whole and by groups of its documents."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

BITS = 1.0 / np.log(2.0)
BY_DOCUMENT = "document_loss"
EARLY_BY_DOCUMENT = "budget_document"


class Measure(NamedTuple):
    """A mean over held-out batches (chunk, k, batch, time + 1), at every budget or at the last one only.

    early: where it is read at the last budget only, the name under which its first chunk is read at every budget ("" for not at all).
    quantity: which of the loss's metrics is divided by its weight; nats become bits where the unit says so.
    groups: of each token that is predicted, (chunk, k, batch, time), the group of documents that it lies in, -1 for none; where they are
    given, `document_loss` is the mean over each.
    first_groups: the groups of the first chunk (1, k, batch, time); where they are given, `budget_document` is the mean over each, read
    wherever `early` is.
    bytes: of each token that is predicted, likewise, how many bytes of text it stands for, 0 where nothing is scored; where they are
    given, what is read is over these and not over the weight. Where a token is a byte, the two are one.
    """

    metric: str
    batches: np.ndarray
    last_only: bool
    quantity: str = "nll"
    unit: str = "bits/byte"
    early: str = ""
    groups: np.ndarray | None = None
    first_groups: np.ndarray | None = None
    bytes: np.ndarray | None = None

    def names(self) -> tuple[str, ...]:
        """Returns the metrics that are read once a member, without those of documents."""
        return (self.metric, *((self.early,) if self.early else ()))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns all metrics that are read, those of documents too, with the shape that each has of a member."""
        found: dict[str, tuple[int, ...]] = dict.fromkeys(self.names(), ())
        found |= {} if self.groups is None else {BY_DOCUMENT: self.weights().shape}
        return found | ({} if self.first_groups is None else {EARLY_BY_DOCUMENT: self.first_weights().shape})

    def due(self, metric: str, last: bool) -> bool:
        """Returns whether one of `shapes` is read at the last budget, or at one before."""
        return last or metric in (self.early, EARLY_BY_DOCUMENT) or not (self.last_only or metric == BY_DOCUMENT)

    def chunks(self, last: bool) -> slice:
        """Returns which chunks are read at the last budget, or at one before."""
        if last or not self.last_only:
            return slice(None)
        return slice(1 if self.early else 0)

    def needed(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what of a loss's metrics `read` takes: the rest needs not leave the device."""
        return {name: metrics[name] for name in (self.quantity, "weight") if name != "weight" or self.bytes is None}

    def read(self, chunks: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """Returns, from the metrics (member, k, batch, time) of chunks in order, each name's mean (member,).

        `budget_document`, and where all chunks are there `document_loss`, are (member, group). Sums are float64.
        """
        sums = [(_summed(chunk[self.quantity]), self._divisor(place, chunk)) for place, chunk in enumerate(chunks)]
        found = {self.early: self._mean(sums[:1])} if self.early else {}
        if len(sums) == len(self.batches):
            found[self.metric] = self._mean(sums)
        if self.groups is not None and len(sums) == len(self.batches):
            found[BY_DOCUMENT] = self._by_document(chunks, self.groups, self.weights())
        if self.first_groups is not None:
            found[EARLY_BY_DOCUMENT] = self._by_document(chunks[:1], self.first_groups, self.first_weights())
        return found

    def weights(self) -> np.ndarray:
        """Returns how many bytes (tokens, where no bytes are given) each group of documents has, (group,)."""
        return _sizes(np.asarray(self.groups), self.bytes)

    def first_weights(self) -> np.ndarray:
        """Returns how many of these lie in the first chunk, by its groups, (group,)."""
        return _sizes(np.asarray(self.first_groups), None if self.bytes is None else self.bytes[:1])

    def _divisor(self, place: int, chunk: Mapping[str, Any]) -> np.ndarray:
        return _summed(chunk["weight"]) if self.bytes is None else self.bytes[place].sum()

    def _mean(self, sums: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        total, weight = (np.sum(side, axis=0) for side in zip(*sums, strict=True))
        return total / weight * self._scale

    def _by_document(self, chunks: Sequence[Mapping[str, Any]], groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
        count = len(weights)
        total = np.zeros((len(chunks[0][self.quantity]), count + 1))
        for group, chunk in zip(groups.reshape(len(chunks), -1), chunks, strict=True):
            for member, values in enumerate(np.asarray(chunk[self.quantity], np.float64).reshape(len(total), -1)):
                total[member] += np.bincount(group + 1, values, count + 1)  # what lies in no group has no weight
        return total[:, 1:] / weights * self._scale

    @property
    def _scale(self) -> float:
        return BITS if self.unit.startswith("bits") else 1.0


def _sizes(groups: np.ndarray, size: np.ndarray | None) -> np.ndarray:
    return np.bincount(groups[groups >= 0], None if size is None else size[groups >= 0])


def _summed(values: Any) -> np.ndarray:
    return np.asarray(values, np.float64).reshape(len(values), -1).sum(axis=1)
