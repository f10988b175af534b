"""Several processes of one run: process 0 leads, it alone reads and writes what is kept, and the others learn from it.

Every function that more than one process must call says so; with one process each of them is what it would be without this file.
"""

import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from research.errors import UsageError

T = TypeVar("T")
_PIECE, _LEAST = 2**26, 2**10  # bytes of one broadcast: of few sizes, since each is a program


def leads() -> bool:
    """Returns whether this is process 0, the one that writes."""
    return jax.process_index() == 0


def anywhere(flag: bool) -> bool:
    """Returns whether `flag` holds in any process of the run; every process must ask."""
    return flag if jax.process_count() == 1 else bool(multihost_utils.process_allgather(np.asarray(flag)).any())


def by_leader(work: Callable[[], T]) -> T:
    """Returns, in every process, what `work` returns in process 0, the only one that does it; its UsageError is raised in every process.

    Every process must ask. What is returned travels as a pickle: plain values and NumPy arrays.
    """
    if jax.process_count() == 1:
        return work()
    value, failure, message = None, None, b""
    if leads():
        try:
            value = work()
        except UsageError as error:
            failure = error
        message = pickle.dumps((value, failure))
    value, failure = pickle.loads(_from_leader(message))
    if failure is not None:
        raise failure
    return value


def _from_leader(message: bytes) -> bytes:
    length = int(np.dot(multihost_utils.broadcast_one_to_all(np.array(divmod(len(message), _PIECE), np.int32)), (_PIECE, 1)))
    pieces = []
    for start in range(0, length, _PIECE):
        size = min(length - start, _PIECE)
        piece = np.zeros(max(_LEAST, 1 << (size - 1).bit_length()), np.uint8)
        own = np.frombuffer(message, np.uint8)[start : start + size]
        piece[: own.size] = own
        pieces.append(multihost_utils.broadcast_one_to_all(piece)[:size].tobytes())
    return b"".join(pieces)


def fetch(tree: Any) -> Any:
    """Returns a tree of arrays as NumPy arrays, whole in every process; every process must ask."""

    def whole(leaf: Any) -> Any:
        spread = isinstance(leaf, jax.Array) and not leaf.is_fully_addressable and not leaf.is_fully_replicated
        return multihost_utils.process_allgather(leaf, tiled=True) if spread else leaf

    return jax.device_get(jax.tree.map(whole, tree))


def place(tree: Any, layout: Any) -> Any:
    """Returns a tree of host arrays, the same in every process, laid out by shardings: a tree of them, or a prefix of one.

    Without a word between processes: jax.device_put would first compare what each of them holds. Of several processes, none moves an
    array that is on devices already: a program takes it as it is.
    """
    if jax.process_count() == 1:
        return jax.device_put(tree, layout)

    def placed(leaf: Any, sharding: jax.sharding.Sharding) -> Any:
        if isinstance(leaf, jax.Array):
            return leaf
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(placed, tree, jax.tree.broadcast(layout, tree))
