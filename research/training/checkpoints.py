"""Checkpoints that are verified when they are read: Orbax, with a SHA-256 digest of every leaf beside it.

Orbax loads a file with a flipped bit without a word, and does not fall back when the newest step is damaged; so digests are kept in its
custom metadata, and `restore` walks back to the newest step that is whole.

Process 0 alone reads and writes, as if it were the only one, so that nobody needs to see its disk. Orbax's interface v1 has no such mode:
there all processes meet within every save.
"""

import hashlib
import logging
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from research.errors import UsageError
from research.files import explained
from research.training import processes

KEPT = 2
SAVE_SECONDS = 30.0
SAVE_SHARE = 1 / 20
SAVED_BYTES = 1e8  # a second, digests included, before a first save has shown how long it takes
_log = logging.getLogger(__name__)


class AnotherTree(UsageError):
    """A checkpoint is whole and of other names, shapes or types than the program that wants it."""


def _leaves(tree: Any) -> dict[str, Any]:
    return {f"leaf_{index:05d}": leaf for index, leaf in enumerate(jax.tree.leaves(tree))}


def _described(tree: Any) -> list[str]:
    """Names, shapes and types of the leaves, as a checkpoint's metadata keeps them."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [f"{jax.tree_util.keystr(path)} {np.shape(leaf)} {jax.numpy.result_type(leaf)}" for path, leaf in leaves]


def _digests(leaves: dict[str, np.ndarray]) -> dict[str, str]:
    return {name: hashlib.sha256(np.ascontiguousarray(leaf).tobytes()).hexdigest() for name, leaf in leaves.items()}


def _open(directory: Path, cleans: bool) -> ocp.CheckpointManager:
    alone = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0}, barrier_sync_key_prefix="leader")
    options = ocp.CheckpointManagerOptions(
        max_to_keep=KEPT,
        create=False,
        cleanup_tmp_directories=cleans,
        enable_async_checkpointing=False,
        multiprocessing_options=alone,
    )
    handlers = {"state": ocp.StandardCheckpointHandler(multiprocessing_options=alone)}
    return ocp.CheckpointManager(directory.absolute(), item_handlers=handlers, options=options)


def save(directory: Path, step: int, tree: Any) -> None:
    """Returns once `tree` (any pytree of arrays) stands on the disk as checkpoint `step`; the last two steps are kept.

    Every process must call. UsageError when the disk is full or the folder unwritable; older checkpoints stay as they were.
    """
    # On the host: Orbax would otherwise compile a slice for each replica of each leaf.
    leaves = {name: np.asarray(leaf) for name, leaf in processes.fetch(_leaves(tree)).items()}
    described = _described(tree)
    processes.by_leader(lambda: _write(directory, step, leaves, described))


def _write(directory: Path, step: int, leaves: dict[str, np.ndarray], described: list[str]) -> None:
    with explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            _replace(directory, step, leaves, {"digests": _digests(leaves), "tree": described})
        except ValueError as error:
            # TensorStore reports a full disk as a ValueError that carries the system's words.
            raise UsageError(f"cannot save the checkpoint {directory}/{step}: {str(error).splitlines()[0]}") from error


def _replace(directory: Path, step: int, leaves: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
    with _open(directory, cleans=True) as manager:
        if step in manager.all_steps():
            manager.delete(step)
        manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(leaves)), custom_metadata=metadata, force=True)


class Autosave:
    """Saves a run now and then: SAVE_SECONDS after the last time, or later where saving would take more than SAVE_SHARE of the run.

    nbytes: of what will be saved, by which the first time is chosen.
    """

    def __init__(self, directory: Path, nbytes: int = 0) -> None:
        self.directory = directory
        self._next = time.monotonic() + max(SAVE_SECONDS, nbytes / SAVED_BYTES / SAVE_SHARE)

    @property
    def due(self) -> bool:
        """Returns whether it is time to save again, in any process; every process must ask."""
        return processes.anywhere(time.monotonic() > self._next)

    def save(self, step: int, tree: Any) -> None:
        """Returns once `tree` stands on the disk, as `save` says."""
        start = time.monotonic()
        save(self.directory, step, tree)
        end = time.monotonic()
        self._next = end + max(SAVE_SECONDS, (end - start) / SAVE_SHARE)


def newest(directory: Path) -> int:
    """Returns the last step that was saved, be it whole or damaged, -1 where there is none; every process must ask."""

    def last() -> int:
        with explained(directory):
            steps = [int(path.name) for path in directory.iterdir() if path.name.isdigit()] if directory.exists() else []
        return max(steps, default=-1)

    return processes.by_leader(last)


def restore(directory: Path, like: Any) -> tuple[int, Any] | None:
    """Returns (step, tree) of the newest checkpoint that is whole, laid out as `like` (arrays or shapes with shardings), or None.

    Every process must call. A damaged checkpoint is passed over with a warning that names it; when all are damaged, the answer is None.
    AnotherTree for a checkpoint of other names, shapes or types.
    """
    found = processes.by_leader(lambda: _newest_whole(directory, like))
    if found is None:
        return None
    step, leaves = found
    layouts = [getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(like)]
    placed = [
        leaves[name] if layout is None else processes.place(leaves[name], layout)
        for name, layout in zip(sorted(leaves), layouts, strict=True)
    ]
    return step, jax.tree.unflatten(jax.tree.structure(like), placed)


def _newest_whole(directory: Path, like: Any) -> tuple[int, dict[str, np.ndarray]] | None:
    if not directory.exists():
        return None
    with _open(directory, cleans=False) as manager:
        for step in sorted(manager.all_steps(), reverse=True):
            path = directory / str(step)
            try:
                return step, _whole(manager, step, like)
            except UsageError as error:
                raise AnotherTree(f"the checkpoint {path} {error}; delete {directory}") from None
            except Exception as error:
                _log.warning("checkpoint %s is damaged (%s); falling back to the one before", path, _first_line(error))
    return None


def _whole(manager: ocp.CheckpointManager, step: int, like: Any) -> dict[str, np.ndarray]:
    """The leaves of a checkpoint that is of `like`'s tree and has its digests."""
    metadata: Any = manager.metadata(step).custom_metadata
    if metadata["tree"] != _described(like):
        raise UsageError("holds other parameters than this program")
    hosts = {name: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape) for name, leaf in _leaves(like).items()}
    leaves = manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(hosts)))["state"]
    found = {name: np.asarray(leaf) for name, leaf in leaves.items()}
    _verify(found, metadata["digests"])
    return found


def _verify(leaves: dict[str, np.ndarray], digests: dict[str, str]) -> None:
    for name, digest in _digests(leaves).items():
        if digests[name] != digest:
            raise ValueError(f"{name} does not have the digest it was saved with")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:160]
