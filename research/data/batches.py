"""Batches whose content is a pure function of (seed, step): a resumed run needs the step alone."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from research.data.vocabulary import Vocabulary
from research.errors import UsageError

REPLAY = 2**32  # epochs of what is replayed are numbered from here


def windows(stream: np.ndarray, length: int) -> np.ndarray:
    """Returns (n, length + 1) windows of `stream`; neighbors share one token, so each token but the first is a target once.

    What is left at the end, fewer than `length` tokens, is dropped. UsageError if the stream is shorter than one window.
    """
    if length < 1 or len(stream) < length + 1:
        raise UsageError(f"a part of {len(stream)} tokens is shorter than a window of {length} + 1; give more text or a smaller length")
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(stream, length + 1)[::length])


def order(seed: int, step: int, batch_size: int, n: int) -> np.ndarray:
    """Returns (batch_size,) int32: which of `n` windows step `step` sees, a pure function of its arguments."""
    return orders([seed], step, 1, batch_size, n)[0, 0]


def orders(seeds: Sequence[int], first_step: int, steps: int, batch_size: int, n: int) -> np.ndarray:
    """Returns (len(seeds), steps, batch_size) int32: the windows that each seed's steps `first_step`, ... see.

    An epoch is a permutation of the `n` windows; step s takes the positions s * batch_size, ... of the epochs in a row, so that a batch
    may reach into the next epoch.
    """
    first, last = first_step * batch_size, (first_step + steps) * batch_size
    epochs = range(first // n, -(-last // n))
    chosen = slice(first - epochs.start * n, last - epochs.start * n)
    rows = [np.concatenate([_permutation(seed, epoch, n) for epoch in epochs])[chosen] for seed in seeds]
    return np.stack(rows).reshape(len(seeds), steps, batch_size)


def within(spans: Sequence[tuple[int, int]], seeds: Sequence[int], first_step: int, steps: int, batch_size: int) -> np.ndarray:
    """Returns what `orders` does, (len(seeds), steps, batch_size), each seed drawing from windows of its own: [first, last) of `spans`."""
    drawn = [first + orders([seed], first_step, steps, batch_size, last - first) for (first, last), seed in zip(spans, seeds, strict=True)]
    return np.concatenate(drawn)


def replayed(
    order: np.ndarray, seeds: Sequence[int], shares: Sequence[float], first_step: int, spans: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Returns an order (members, steps, batch) in which a share of each member's examples is replayed, as evenly spread as can be.

    spans: [first, last) of the windows that each member replays, of which it sees a permutation of its own, again and again.
    A replayed example stands in the place of a fresh one: all others stay where they were. A pure function of its arguments.
    """
    place = first_step * order.shape[2] + np.arange(order[0].size).reshape(order.shape[1:])
    found = order.copy()
    for row, seed, share, (first, last) in zip(found, seeds, shares, spans, strict=True):
        before, after = np.floor(share * place).astype(int), np.floor(share * (place + 1)).astype(int)
        again = before != after
        if again.any():
            there = last - first
            passes = {epoch: _permutation(seed, REPLAY + epoch, there) for epoch in np.unique(before[again] // there)}
            row[again] = first + np.array([passes[count // there][count % there] for count in before[again]], row.dtype)
    return found


@functools.lru_cache(64)  # each chunk of an epoch asks again
def _permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """Returns a permutation by sorting Philox's raw words: unlike `Generator.permutation`, NumPy keeps those from version to version."""
    words = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(n)
    permutation = np.argsort(words, kind="stable").astype(np.int32)
    permutation.setflags(write=False)
    return permutation


def batch(windows_bt: Any, vocabulary: Vocabulary) -> dict[str, Any]:
    """Returns inputs (b, t) int32, targets (b, t) int32 and weights (b, t) float32 of windows (b, t + 1), NumPy's or JAX's, also under jit.

    Inputs and targets have the separator where the windows have the vocabulary's mark. A weight is 0 where the target is the mark, else 1.
    """
    tokens = windows_bt.astype("int32")
    is_mark = tokens == vocabulary.mark
    shift = vocabulary.separator - vocabulary.mark
    ids = tokens + is_mark.astype("int32") * shift if shift else tokens
    return {"inputs": ids[..., :-1], "targets": ids[..., 1:], "weights": (~is_mark[..., 1:]).astype("float32")}


def scored(windows_bt: np.ndarray, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many tokens each window scores and how many bytes they stand for, each (b,) int64, of windows (b, t + 1).

    Bytes are the table's: those of the text as it was encoded, of which Unicode normalization may have made fewer or more.
    """
    targets = windows_bt[..., 1:]
    return (targets != vocabulary.mark).sum(axis=-1), vocabulary.lengths[targets].sum(axis=-1)


def in_batches(rows: np.ndarray, evaluation: tuple[int, int], padding: int) -> np.ndarray:
    """Returns rows (n, numbers) as chunks of evaluation batches (chunk, k, batch, numbers), filled up with rows of `padding`."""
    size = evaluation[0] * evaluation[1]
    filled = np.full((-(-len(rows) // size) * size, rows.shape[1]), padding, rows.dtype)
    filled[: len(rows)] = rows
    return filled.reshape(-1, *evaluation, rows.shape[1])
