"""Kernel locks on files: they end with the process, however that ends."""

import contextlib
import errno
import importlib.util
import logging
import os
from pathlib import Path

from research.errors import UsageError
from research.files import explained

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_log = logging.getLogger(__name__)
_told: set[int] = set()  # file systems of which it was said


def require() -> None:
    """Raises UsageError where the operating system has no such locks: on Windows, outside of its Linux."""
    if importlib.util.find_spec("fcntl") is None:
        raise UsageError("Lowlands runs on Linux and macOS; on Windows run it within WSL, the Linux in Windows (wsl --install)")


def lock(path: Path) -> int | None:
    """Returns a descriptor that holds the lock on the file `path`, made if need be, until it is closed; None while another process has it.

    On a file system without locks (some NFS and Lustre mounts) the descriptor holds nothing, and one line says so. UsageError when the
    file cannot be made.
    """
    while True:
        with explained(path):
            descriptor = _opened(path)
            if not _taken(descriptor, path.parent):
                os.close(descriptor)
                return None
        # Whoever held the lock before may have taken the file away: then this lock is on a file nobody else will find.
        if path.exists() and os.stat(path).st_ino == os.fstat(descriptor).st_ino:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"pid {os.getpid()}".encode(), 0)
            return descriptor
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # less what the user's umask takes: a group may share it
    except PermissionError:
        return os.open(path, os.O_RDONLY)  # somebody else's: enough to wait for it


def _taken(descriptor: int, folder: Path) -> bool:
    """Whether the kernel gives the lock, or has none to give."""
    import fcntl  # here, because Windows has none

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise
        _tell(descriptor, folder, error)
    return True


def _tell(descriptor: int, folder: Path, error: OSError) -> None:
    if (system := os.fstat(descriptor).st_dev) not in _told:
        _log.warning("%s: this file system has no locks (%s); start one command at a time there", folder, error.strerror)
    _told.add(system)


def holder(path: Path) -> str:
    """Returns who holds the lock on `path`, as far as it is known."""
    try:
        words = path.read_text(errors="replace")[:100].strip()
    except OSError:
        words = ""
    return f"another process ({words})" if words else "another process"
