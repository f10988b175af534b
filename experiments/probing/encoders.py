"""What is probed: a decoder's stream behind its embedding and behind each layer, and characters that no network has seen."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.probing.axes import PERIOD
from experiments.probing.drawn import Examples
from experiments.probing.readings_scores import BAG, CHARACTERS, LONGER
from research.cells.study import Study
from research.errors import UsageError
from research.models.model import Model, Variables
from research.training.spread import spread

EMBEDDING, LAYERS = "^embedding$", r"^layers(_\d+)?$"
SIDE, TOGETHER = 32, 16  # windows of one forward pass, and passes of one call

Encoder = Callable[[Variables, np.ndarray], np.ndarray]


def encoder(study: Study, model: Model, depths: Sequence[int]) -> Encoder:
    """Returns encode(params, windows (n, tokens)) -> activations (depths, n, tokens, d_model): float32 and on the host.

    Call by call for windows that are read anyhow, since all of them need not fit. UsageError for a model that has not these depths.
    """

    def at_depths(rows: Any, params: Variables) -> jax.Array:
        inputs = study.to_batch(jnp.concatenate([rows, rows[:, -1:]], axis=1))["inputs"]
        captured = _hidden(model)({"params": params}, {"inputs": inputs}, capture=(EMBEDDING, LAYERS)).captured
        return _stacked(captured, depths).astype(jnp.float32)

    compiled = spread(at_depths)

    def encode(params: Variables, rows: np.ndarray) -> np.ndarray:
        count, length = rows.shape
        filled = np.zeros((-(-count // SIDE) * SIDE, length), rows.dtype)
        filled[:count] = rows
        found = compiled(filled.reshape(-1, SIDE, length), params)  # (passes, depths, SIDE, tokens, d)
        return np.moveaxis(found, 1, 0).reshape(len(depths), -1, *found.shape[3:])[:, :count]

    return encode


def _hidden(model: Model) -> Callable[..., Any]:
    if model.hidden is None:
        raise UsageError("this model has no stream before its head; choose a decoder")
    return model.hidden


def _stacked(captured: dict[str, Any], depths: Sequence[int]) -> jax.Array:
    """The stream (depths, b, t, d) of what was captured by path: a layer's first output, or those of all layers as one stack."""
    names = ["layers"] if "layers" in captured else [f"layers_{i}" for i in range(len(captured) - 1)]
    if "embedding" not in captured or not names:
        raise UsageError(f"this model has no activations at {EMBEDDING} and {LAYERS}; its paths are {', '.join(captured) or 'none'}")
    layers = [captured[name][0] for name in names]
    every = jnp.concatenate([captured["embedding"][None], *(layers if names == ["layers"] else [layer[None] for layer in layers])])
    return every[np.array(depths)]


def read(encode: Encoder, params: Variables, rows: np.ndarray, tasks: Sequence[Examples]) -> list[np.ndarray]:
    """Returns the activations (depths, n, d_model) of each task's examples; windows that none of them needs are not read."""
    needed = np.unique(np.concatenate([task.window for task in tasks]))
    found: list[Any] = [None] * len(tasks)
    size = SIDE * TOGETHER
    for first in range(0, len(needed), size):
        some = needed[first : first + size]
        filled = np.concatenate([some, np.repeat(some[-1:], size - len(some))])  # one shape for all calls
        streams = encode(params, rows[filled])
        for place, task in enumerate(tasks):
            here = np.flatnonzero(np.isin(task.window, some))
            if found[place] is None:
                found[place] = np.zeros((len(streams), len(task.window), streams.shape[-1]), np.float32)
            found[place][:, here] = streams[:, np.searchsorted(some, task.window[here]), task.offset[here]]
    return found


def characters(rows: np.ndarray, task: Examples, back: int = 2) -> np.ndarray:
    """Returns what a probe without a network sees, (1, n, features): so many last bytes and the position modulo PERIOD, one-hot.

    Bytes that occur nowhere in the text have no feature.
    """
    known = np.unique(rows)
    last = [rows[task.window, task.offset - place][:, None] == known for place in range(back)]
    return np.concatenate([*last, (task.offset % PERIOD)[:, None] == np.arange(PERIOD)], axis=1, dtype=np.float32)[None]


def bag(rows: np.ndarray, task: Examples) -> np.ndarray:
    """Returns the share of each byte in the window up to an example, (1, n, bytes): what is left of a text without its order."""
    known = np.unique(rows)
    so_far = np.arange(rows.shape[1]) <= task.offset[:, None]
    counts = np.stack([((rows[task.window] == byte) & so_far).sum(1) for byte in known], axis=1)
    return (counts / so_far.sum(1, keepdims=True)).astype(np.float32)[None]


WITHOUT_NETWORK: dict[str, Callable[[np.ndarray, Examples], np.ndarray]] = {
    CHARACTERS: characters,
    LONGER: functools.partial(characters, back=8),
    BAG: bag,
}
