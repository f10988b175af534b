"""The folder of one run: locked, bound to one config, extendable where the config says so."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from research.errors import UsageError
from research.files import atomic_write, explained
from research.records import Journal, Records
from research.runtime import artifacts, locks
from research.runtime.assignments import Assignments, Population
from research.sweeps import canonical, fingerprint

T = TypeVar("T")
EXTENDABLE = ("ranks", "seeds")
LAYOUT = ("members", "mesh")  # how cells lie on devices, not what is measured: free to change
BASE, OWN = "base", "own"
_ABSENT = "(absent)"
_SMALL = ("config.json", "fingerprints.json", "sessions.jsonl", "timings.jsonl", "populations.jsonl", "lock")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns, by dotted key, the (old, new) values of two canonical configs where they differ; an absent one reads "(absent)"."""
    flat_old, flat_new = _flat(old), _flat(new)
    keys = sorted(flat_old.keys() | flat_new.keys())
    pairs = {key: (flat_old.get(key, _ABSENT), flat_new.get(key, _ABSENT)) for key in keys}
    return {key: (before, after) for key, (before, after) in pairs.items() if json.dumps(before) != json.dumps(after)}


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _moved(key: str, pair: tuple[Any, Any]) -> bool:
    """Whether a base from elsewhere is named otherwise: whether it is the same one is told by what it is pinned as."""
    return key == BASE and OWN not in pair


def _extends(old: Any, new: Any) -> bool:
    if isinstance(old, list) and isinstance(new, list):
        return all(item in new for item in old)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new))
    return numbers and new > old


class Workdir:
    """The folder of one run, a context manager.

    `config` holds plain values; `extendable` names the keys that may grow (a longer tuple, a larger number); those of LAYOUT are free.
    Entering takes the kernel lock, creates or compares config.json and opens the files; UsageError when another process has the folder,
    when it cannot be written, when it belongs to another config, or when records.jsonl is corrupt. `writes=False` is for the processes
    other than 0 of a distributed run: they read the same folder and write nothing. A UsageError before the first record takes a new
    folder away again.
    """

    records: Records
    timings: Journal
    sessions: Journal

    def __init__(self, path: Path | str, config: Mapping[str, Any], extendable: Sequence[str] = EXTENDABLE, *, writes: bool = True) -> None:
        self.path = Path(path)
        self._config = canonical(config)
        self._extendable = tuple(extendable)
        self._writes = writes
        self._lock: int | None = None
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        try:
            if self._writes:
                self._made = _make(self.path)
                self._lock = locks.lock(self.path / "lock")
                if self._lock is None:
                    words = f"{self.path} is in use by {locks.holder(self.path / 'lock')}"
                    raise UsageError(f"{words}; wait for it, or choose another --workdir")
            self._bind()
            self.records = Records(self.path / "records.jsonl", self._writes)
            self.timings = Journal(self.path / "timings.jsonl", self._writes)
            self.sessions = Journal(self.path / "sessions.jsonl", self._writes)
            self._assignments = Assignments(self.path / "populations.jsonl", self._writes)
        except BaseException:
            self._leave(discard=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave(discard=kind is not None and issubclass(kind, UsageError))

    def _bind(self) -> None:
        path = self.path / "config.json"
        old = read_json(path)
        if old is None:
            self._write(path, self._config)
            return
        changed = differences(old, self._config)
        measured = {key: pair for key, pair in changed.items() if key.split(".")[0] not in LAYOUT and not _moved(key, pair)}
        if foreign := {key: pair for key, pair in measured.items() if key not in self._extendable or not _extends(*pair)}:
            words = ", ".join(f"{key}: {json.dumps(before)} -> {json.dumps(after)}" for key, (before, after) in foreign.items())
            raise UsageError(f"{self.path} was made with another config ({words}); set it back, or choose a new --workdir")
        if changed:
            self._write(path, self._config)

    def _write(self, path: Path, value: Mapping[str, Any]) -> None:
        if self._writes:
            atomic_write(path, (json.dumps(value, indent=2) + "\n").encode())

    def _leave(self, discard: bool) -> None:
        if discard and self._made and not any((self.path / name).exists() for name in ("records.jsonl", "artifacts", "state")):
            _discard(self.path, self._made)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def assign(
        self, cells: Sequence[tuple[str, Any]], size_of: Callable[[Any], int], finished: Collection[str] | None = None
    ) -> list[Population]:
        """Returns the populations that hold `cells` (fingerprint, shape key), as `Assignments.assign` says; new ones written down first."""
        return self._assignments.assign(cells, size_of, finished)

    def pin(self, name: str, fingerprint: str) -> None:
        """Returns after `name` (a data set, a base) is bound to `fingerprint` for the provenance; UsageError when it was another one.

        Every process of a run must call, and all must have the same.
        """
        path = self.path / "fingerprints.json"
        first = _by_leader(lambda: fingerprint)
        if first != fingerprint:
            raise UsageError(f"{name} is another one here ({fingerprint}) than for process 0 ({first}); give every process the same files")
        pinned = read_json(path) or {}
        if pinned.get(name, fingerprint) != fingerprint:
            words = f"{name} changed since {self.path} was made: {pinned[name]} -> {fingerprint}"
            raise UsageError(f"{words}; bring it (or the Python it came with) back, or choose a new --workdir")
        if name not in pinned:
            self._write(path, pinned | {name: fingerprint})

    def finish(self, stage: int) -> None:
        """Returns after the folder says that this config, at this stage of its experiment, is measured to the end."""
        self._write(self.path / "finished.json", self._end(stage))

    def is_finished(self, stage: int) -> bool:
        """Returns whether `finish(stage)` was said for this very config and these very records."""
        return read_json(self.path / "finished.json") == self._end(stage)

    def _end(self, stage: int) -> dict[str, Any]:
        records = self.path / "records.jsonl"
        digest = hashlib.sha256(records.read_bytes()).hexdigest() if records.exists() else ""
        return {"config": fingerprint(self._config), "stage": stage, "records": digest}

    def state_dir(self, population: str) -> Path:
        """Returns the folder for a population's checkpoints in flight; it may not exist yet."""
        return self.path / "state" / population

    def artifact(self, cell: str) -> Path:
        """Returns where the artifact of `cell` stands, if it does."""
        return self.path / "artifacts" / f"{cell}.npz"

    def save_artifact(self, cell: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Returns once the arrays of `cell` are on disk, whole, with their digest. UsageError when the disk is full.

        Every process of a run must call.
        """
        _by_leader(lambda: artifacts.save(self.artifact(cell), arrays) if self._writes else None)

    def load_artifact(self, cell: str) -> dict[str, np.ndarray]:
        """Returns the arrays of `cell`; every process of a run must call. UsageError when they are missing or damaged."""
        return _by_leader(lambda: artifacts.load(self.artifact(cell)))


@contextlib.contextmanager
def opened(path: Path, config: Mapping[str, Any], extendable: Sequence[str]) -> Iterator[Workdir]:
    """Returns the workdir of a run; process 0 opens it first and alone writes, and does not before all have read it."""
    from research.training.processes import anywhere, by_leader, leads

    workdir = Workdir(path, config, extendable, writes=leads())
    with contextlib.ExitStack() as stack:
        by_leader(lambda: stack.enter_context(workdir) and None)
        if not leads():
            stack.enter_context(workdir)
        known = by_leader(lambda: len(workdir.records.rows))
        if anywhere(len(workdir.records.rows) != known or not (path / "config.json").exists()):
            raise UsageError(f"{path} is not the same folder for all processes; give a --workdir on a disk that they share")
        yield workdir


def read_json(path: Path) -> dict[str, Any] | None:
    """Returns the object in a JSON file, None when there is no file. UsageError when it cannot be read."""
    if not path.exists():
        return None
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} cannot be read ({error}); restore it, or choose another --workdir") from error
    return value


def _by_leader(work: Callable[[], T]) -> T:
    from research.training.processes import by_leader  # here, so that --help and --list need no JAX

    return by_leader(work)


def _make(path: Path) -> list[Path]:
    """Returns the folders that had to be made for `path`, innermost first."""
    with explained(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
    return missing


def _discard(path: Path, made: Sequence[Path]) -> None:
    with contextlib.suppress(OSError):
        for name in _SMALL:
            (path / name).unlink(missing_ok=True)
        for folder in made:
            folder.rmdir()
