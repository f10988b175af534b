"""Locks: held by one, released with their holder, and left out where a file system has none."""

import errno
import fcntl
import logging
import os
from pathlib import Path

import pytest

from research.errors import UsageError
from research.runtime import locks


def test_a_lock_is_held_by_one_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = locks.lock(path)
    assert first is not None and locks.lock(path) is None
    assert locks.holder(path) == f"another process (pid {os.getpid()})"
    os.close(first)
    again = locks.lock(path)
    assert again is not None
    os.close(again)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_it_goes_on_and_says_so(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(locks, "_told", set())
    with caplog.at_level(logging.WARNING):
        descriptors = [locks.lock(tmp_path / name) for name in ("lock", "other")]
    for descriptor in descriptors:
        assert descriptor is not None
        os.close(descriptor)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: this file system has no locks ({os.strerror(code)}); start one command at a time there"
    ]


def test_a_lock_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        locks.lock(tmp_path / "nowhere" / "lock")


def test_a_lock_on_a_file_that_was_taken_away_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever held it before has removed the file between our opening and our locking it."""
    path, real, calls = tmp_path / "lock", fcntl.flock, []

    def remove_first(descriptor: int, operation: int) -> None:
        real(descriptor, operation)
        if not calls:
            path.unlink()
        calls.append(descriptor)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    descriptor = locks.lock(path)
    assert descriptor is not None and len(calls) == 2
    assert os.fstat(descriptor).st_ino == path.stat().st_ino
    os.close(descriptor)


def test_an_unexpected_error_of_the_kernel_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(UsageError, match="Input/output error"):
        locks.lock(tmp_path / "lock")
