"""Paths as people type them, and bytes on a disk that survive a kill, a power cut and a full disk."""

import contextlib
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from research.errors import UsageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SAFE = re.compile(r"[A-Za-z0-9_@%+=,-][A-Za-z0-9_@%+=,. -]{0,99}")


def local_path(text: str, what: str) -> Path:
    """Returns the path that a user typed as `text`, its tilde expanded; `what` stands before it in errors, such as '--workdir='.

    UsageError for a URL, which would silently become a folder called `gs:`, and for the home of a user who is not there.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise UsageError(f"{what}{text} is a URL, and only paths of this machine are read and written: mount it here, or copy it")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{what}{text} names a home folder that is not known here; write the path in full, or set HOME") from error


def file_word(text: str) -> str:
    """Returns `text` as one name in a folder: itself where that is safe, else cleaned, with a digest by which no two texts share it."""
    if _SAFE.fullmatch(text):
        return text
    return f"{re.sub('[^A-Za-z0-9_@%+=,-]+', '_', text)[:80]}~{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:12]}"


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Returns a context in which an OSError becomes the UsageError that names `path` and the mend."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UsageError(f"disk full at {path}: free some space and give the same command again; what was saved stays valid") from error
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def write_all(descriptor: int, data: bytes) -> None:
    """Returns once all of `data` is written; the kernel may take it in pieces. OSError when it does not take the rest."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(folder: Path) -> None:
    """Returns once the names in `folder` are on the disk: without it a power cut may lose a file that was itself synced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: Path, data: bytes) -> None:
    """Returns once `path` holds `data`, whole and synced; at every moment it holds the old bytes or the new ones.

    UsageError when the disk is full or the folder unwritable; the old file is then untouched and nothing is left beside it.
    """
    with explained(path):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            try:
                write_all(descriptor, data)
                os.fchmod(descriptor, 0o644)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        sync_folder(path.parent)


def append_durably(path: Path, data: bytes) -> None:
    """Returns once `data` stands synced at the end of `path`; a failed write is taken back, so the file keeps its whole lines.

    UsageError when the disk is full or the file unwritable.
    """
    with explained(path):
        new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _append(descriptor, data)
        finally:
            os.close(descriptor)
        if new:
            sync_folder(path.parent)


def _append(descriptor: int, data: bytes) -> None:
    length = os.fstat(descriptor).st_size
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, length)
            os.fsync(descriptor)
        raise


def cut(path: Path, length: int) -> None:
    """Returns once `path` is cut to its first `length` bytes, synced; UsageError when it cannot be written."""
    with explained(path), path.open("r+b") as file:
        file.truncate(length)
        os.fsync(file.fileno())
