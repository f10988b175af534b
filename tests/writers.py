"""Models whose knowledge is known: each writes given texts with given probabilities, exactly, and babbles elsewhere."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from research.data.vocabulary import BYTES
from research.models.model import Batch, Model, Output, Variables

_LONGEST = 64
_ROOM = 4096  # prefixes, so that one compiled program serves all writers
_WEIGHTS = np.random.default_rng(0).integers(1, 2**32, _LONGEST, dtype=np.uint32)  # prefixes with equal sums are too rare to be met
_NEVER = 1e-12


def writer(texts: Mapping[bytes, float]) -> tuple[Model, Variables]:
    """Returns a model that writes these texts, each behind a mark, with probabilities in proportion to their weights; and its parameters.

    After what is no beginning of any text, all bytes are equally likely.
    """
    table: dict[bytes, np.ndarray] = {}
    for text, weight in ((text, weight) for text, weight in texts.items() if weight):
        marked = bytes([BYTES.mark]) + text + bytes([BYTES.mark])
        for end in range(1, len(marked)):
            table.setdefault(marked[:end], np.zeros(BYTES.size))[marked[end]] += weight
    found = np.array([counts / counts.sum() for counts in table.values()])
    logs = np.log(np.maximum(found, _NEVER)).astype(np.float32)
    keys = np.array([_code(np.frombuffer(prefix, np.uint8))[-1] for prefix in table])
    assert len(set(keys.tolist())) == len(keys) <= _ROOM
    filled = np.arange(_ROOM) % len(keys)  # copies stand behind what they are copies of, and are never found
    return WRITER, {"keys": jnp.asarray(keys[filled]), "logs": jnp.asarray(logs[filled])}


def _code(tokens: np.ndarray) -> np.ndarray:
    return np.cumsum((tokens.astype(np.uint32) + 1) * _WEIGHTS[: len(tokens)], dtype=np.uint32)


def _apply(variables: Variables, batch: Batch, **_: object) -> Output:
    """Looks every prefix of (batch, time) up."""
    inputs, params = batch["inputs"], variables["params"]
    codes = jnp.cumsum((inputs.astype(jnp.uint32) + 1) * _WEIGHTS[None, : inputs.shape[1]], axis=1, dtype=jnp.uint32)
    same = codes[..., None] == params["keys"][None, None]
    known = params["logs"][same.argmax(-1)]
    return Output(jnp.where(same.any(-1)[..., None], known, -np.log(BYTES.size)), {})


WRITER = Model(lambda key, batch: {}, _apply)
