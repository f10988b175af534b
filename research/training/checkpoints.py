"""Checkpoints that are verified when they are read: Orbax v1, with a SHA-256 digest of every leaf beside it.

Orbax loads a file with a flipped bit without a word, and does not fall back when the newest step is damaged; so digests are kept in its
custom metadata, and `restore` walks back to the newest step that is whole.
"""

import hashlib
import logging
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from research.errors import UsageError
from research.files import explained

KEPT = 2
SAVE_SECONDS = 30.0
SAVE_SHARE = 1 / 20
_log = logging.getLogger(__name__)


class AnotherTree(UsageError):
    """A checkpoint is whole and of other names, shapes or types than the program that wants it."""


def _leaves(tree: Any) -> dict[str, Any]:
    return {f"leaf_{index:05d}": leaf for index, leaf in enumerate(jax.tree.leaves(tree))}


def _described(tree: Any) -> list[str]:
    """Names, shapes and types of the leaves, as a checkpoint's metadata keeps them."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [f"{jax.tree_util.keystr(path)} {np.shape(leaf)} {jax.numpy.result_type(leaf)}" for path, leaf in leaves]


def _is_whole(leaf: Any) -> bool:
    return getattr(leaf, "is_fully_addressable", True)


def _digests(leaves: dict[str, Any]) -> dict[str, str]:
    """Digests of the leaves that this process holds whole; an array spread over hosts is left to Orbax."""
    whole = {name: leaf for name, leaf in leaves.items() if _is_whole(leaf)}
    return {name: hashlib.sha256(np.ascontiguousarray(np.asarray(leaf)).tobytes()).hexdigest() for name, leaf in whole.items()}


def _open(directory: Path) -> ocp.training.Checkpointer:
    return ocp.training.Checkpointer(
        directory.absolute(),
        save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
        preservation_policy=ocp.training.preservation_policies.LatestN(KEPT),
        cleanup_tmp_directories=True,
    )


def save(directory: Path, step: int, tree: Any) -> None:
    """Returns once `tree` (any pytree of arrays) stands on the disk as checkpoint `step`; the last two steps are kept.

    Raises UsageError when the disk is full or the folder unwritable; older checkpoints stay as they were.
    """
    # On the host where this process holds them whole: Orbax would otherwise compile a slice for each replica of each leaf.
    leaves = {name: np.asarray(leaf) if _is_whole(leaf) else leaf for name, leaf in _leaves(tree).items()}
    with explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            with _open(directory) as checkpointer:
                checkpointer.save(step, leaves, custom_metadata={"digests": _digests(leaves), "tree": _described(tree)}, overwrite=True)
        except ValueError as error:
            # TensorStore reports a full disk as a ValueError that carries the system's words.
            raise UsageError(f"cannot save the checkpoint {directory}/{step}: {str(error).splitlines()[0]}") from error


class Autosave:
    """Saves a run now and then: SAVE_SECONDS after the last time, or later where saving would take more than SAVE_SHARE of the run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._next = time.monotonic() + SAVE_SECONDS

    @property
    def due(self) -> bool:
        """Returns whether it is time to save again."""
        return time.monotonic() > self._next

    def save(self, step: int, tree: Any) -> None:
        """Returns once `tree` stands on the disk, as `save` says."""
        start = time.monotonic()
        save(self.directory, step, tree)
        end = time.monotonic()
        self._next = end + max(SAVE_SECONDS, (end - start) / SAVE_SHARE)


def restore(directory: Path, like: Any) -> tuple[int, Any] | None:
    """Returns (step, tree) of the newest checkpoint that is whole, laid out as `like` (arrays or shapes with shardings), or None.

    A damaged checkpoint is passed over with a warning that names it; when all are damaged, the answer is None. AnotherTree for a
    checkpoint of other names, shapes or types.
    """
    if not directory.exists():
        return None
    with _open(directory) as checkpointer:
        for found in sorted(checkpointer.checkpoints, key=lambda c: c.step, reverse=True):
            path = directory / str(found.step)
            try:
                leaves = _whole(checkpointer, found.step, like)
            except UsageError as error:
                raise AnotherTree(f"the checkpoint {path} {error}; delete {directory}") from None
            except Exception as error:
                _log.warning("checkpoint %s is damaged (%s); falling back to the one before", path, _first_line(error))
                continue
            return found.step, jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in sorted(leaves)])
    return None


def _whole(checkpointer: ocp.training.Checkpointer, step: int, like: Any) -> dict[str, Any]:
    """The leaves of a checkpoint that is of `like`'s tree and has its digests."""
    metadata: Any = checkpointer.metadata(step).custom_metadata
    if metadata["tree"] != _described(like):
        raise UsageError("holds other parameters than this program")
    leaves: dict[str, Any] = checkpointer.load(step, _leaves(like))
    _verify(leaves, metadata["digests"])
    return leaves


def _verify(leaves: dict[str, Any], digests: dict[str, str]) -> None:
    for name, digest in _digests(leaves).items():
        if digests.get(name, digest) != digest:
            raise ValueError(f"{name} does not have the digest it was saved with")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:160]
