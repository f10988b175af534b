"""What is probed: a decoder's stream behind its embedding and behind each layer, and what no network has seen."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.probing.axes import PERIOD
from experiments.probing.drawn import Drawn, Examples
from experiments.probing.readings_scores import BAG, CHARACTERS, CONSTANT, LONGER
from research.cells.study import Study
from research.errors import UsageError
from research.models.model import Model, Variables
from research.training.mesh import P, shardings
from research.training.processes import place as placed
from research.training.spread import spread

EMBEDDING, LAYERS = "^embedding$", r"^layers(_\d+)?$"
SIDE, TOGETHER = 32, 16  # windows of one forward pass, and passes of one call at most
CALL = 2**26  # bytes of activations that a call returns, about
SHORTEST = 8  # tokens to which windows are cut, or twice, four times ... as many: one program for each

Space = Callable[[tuple[int, ...]], np.ndarray]  # float32 zeros of a shape


class Encoder(NamedTuple):
    """on_devices: what puts parameters where `encode` needs them, once for all windows. token: bytes of the activations of one token.

    encode(params, windows (n, tokens)) -> activations (depths, n, tokens, d_model), float32 and on the host.
    """

    on_devices: Callable[[Variables], Variables]
    encode: Callable[[Variables, np.ndarray], np.ndarray]
    token: int


def encoder(study: Study, model: Model, depths: Sequence[int]) -> Encoder:
    """Returns what reads windows; call by call, since the activations of all of them need not fit.

    UsageError, at the first call, for a model that has not these depths.
    """

    def at_depths(rows: Any, params: Variables) -> jax.Array:
        inputs = study.to_batch(jnp.concatenate([rows, rows[:, -1:]], axis=1))["inputs"]
        captured = _hidden(model)({"params": params}, {"inputs": inputs}, capture=(EMBEDDING, LAYERS)).captured
        return _stacked(captured, depths).astype(jnp.float32)

    mesh = study.make_mesh()
    compiled = spread(at_depths, mesh)

    def encode(params: Variables, rows: np.ndarray) -> np.ndarray:
        count, length = rows.shape
        filled = np.zeros((-(-count // SIDE) * SIDE, length), rows.dtype)
        filled[:count] = rows
        found = compiled(filled.reshape(-1, SIDE, length), params)  # (passes, depths, SIDE, tokens, d)
        return np.moveaxis(found, 1, 0).reshape(len(depths), -1, *found.shape[3:])[:, :count]

    return Encoder(lambda params: placed(params, shardings(mesh, P())), encode, 4 * len(depths) * study.model.d_model)


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


def read(own: Encoder, params: Variables, rows: np.ndarray, tasks: Sequence[Examples], space: Space) -> list[np.ndarray]:
    """Returns the activations (depths, n, d_model) of each task's examples, the mean over the tokens of each.

    Windows that none of them needs are not read, nor is of a window what stands behind all examples, which a causal model does not see.
    Tasks on the same examples share one array, made by `space`.
    """
    params = own.on_devices(params)
    first = [next(place for place, other in enumerate(tasks) if task.lies_as(other)) for task in tasks]
    apart = {place: tasks[place] for place in dict.fromkeys(first)}
    found: dict[int, np.ndarray] = {}
    for windows, length, size in _calls(list(apart.values()), rows.shape, own.token):
        filled = np.concatenate([windows, np.repeat(windows[-1:], size - len(windows))])  # one shape for all calls
        streams = own.encode(params, rows[filled, :length])
        for place, task in apart.items():
            here = np.flatnonzero(np.isin(task.window, windows))
            if place not in found:
                found[place] = space((len(streams), len(task.window), streams.shape[-1]))
            found[place][:, here] = _pooled(streams, np.searchsorted(windows, task.window[here]), task.start[here], task.offset[here])
    return [found[place] for place in first]


def _calls(tasks: Sequence[Examples], shape: tuple[int, ...], token: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """The windows of each call, to how many tokens they are cut, and up to how many windows the call is filled."""
    last = np.full(shape[0], -1)
    for task in tasks:
        np.maximum.at(last, task.window, task.offset)
    needed = np.flatnonzero(last >= 0)
    doubled = np.ceil(np.log2(np.maximum(last[needed] + 1, SHORTEST) / SHORTEST)).astype(int)
    lengths = np.minimum(SHORTEST * 2**doubled, shape[1])
    for length in np.unique(lengths).tolist():
        windows = needed[lengths == length]
        size = SIDE * max(1, min(TOGETHER, -(-len(windows) // SIDE), CALL // (token * SIDE * length)))
        yield from ((windows[start : start + size], length, size) for start in range(0, len(windows), size))


def _pooled(streams: np.ndarray, window: np.ndarray, start: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The mean (depths, n, d) of streams (depths, windows, tokens, d) over the tokens from `start` to `offset` (n,) of each."""
    count, total = offset - start + 1, streams[:, window, offset]
    for back in range(1, count.max(initial=1)):
        longer = np.flatnonzero(count > back)
        total[:, longer] += streams[:, window[longer], offset[longer] - back]
    return total / count[:, None].astype(np.float32) if (count > 1).any() else total


def characters(text: np.ndarray, task: Examples, back: int = 2) -> np.ndarray:
    """Returns what a probe without a network sees, (1, n, features): so many last bytes and the position modulo PERIOD, one-hot.

    Bytes that occur nowhere in the text have no feature.
    """
    known = np.unique(text)
    last = [text[task.window, task.byte - place][:, None] == known for place in range(back)]
    return np.concatenate([*last, (task.byte % PERIOD)[:, None] == np.arange(PERIOD)], axis=1, dtype=np.float32)[None]


def bag(text: np.ndarray, task: Examples) -> np.ndarray:
    """Returns the share of each byte in the window up to an example, (1, n, bytes): what is left of a text without its order."""
    known = np.unique(text)
    so_far = np.arange(text.shape[1]) <= task.byte[:, None]
    counts = np.stack([((text[task.window] == byte) & so_far).sum(1) for byte in known], axis=1)
    return (counts / so_far.sum(1, keepdims=True)).astype(np.float32)[None]


def constant(_: np.ndarray, task: Examples) -> np.ndarray:
    """Returns a feature that says nothing, (1, n, 1): what a probe reads of it is how often labels occur."""
    return np.zeros((1, len(task.window), 1), np.float32)


_WITHOUT_NETWORK: dict[str, Callable[[np.ndarray, Examples], np.ndarray]] = {
    CONSTANT: constant,
    CHARACTERS: characters,
    LONGER: functools.partial(characters, back=8),
    BAG: bag,
}


def without_network(word: str, drawn: Drawn, task: Examples) -> np.ndarray:
    """Returns the features (1, n, d) of one of PLAIN."""
    return _WITHOUT_NETWORK[word](drawn.text, task)
