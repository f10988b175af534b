"""launch.py, started in a folder of its own on the experiment `fake`."""

import contextlib
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import launch

FAKE = "--config=configs/fake.py"
HERE = (FAKE, "--workdir=out")
SETTLED = {
    "JAX_PLATFORMS": "cpu",
    "JAX_NUM_CPU_DEVICES": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # a terminal that was started from a notebook,
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "cpp",  # and made for another TensorFlow
}


@contextlib.contextmanager
def settled(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Gives `place` with the experiment, as the working directory; JAX's and logging's global state stay as they are."""
    for name in ("configs", "experiments"):
        (place / name).mkdir()
        shutil.copy(Path(__file__).parent / name / "fake.py", place / name)
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for key, value in SETTLED.items():
        monkeypatch.setenv(key, value)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield place
    root.handlers[:] = handlers
    root.setLevel(level)


def start(*words: str) -> int:
    """Returns the exit code of launch.py with `words`, run in this process."""
    return launch.main(["launch.py", *words])


def whole(place: Path) -> bytes:
    """Returns the records of a run that nothing stopped."""
    assert start(FAKE, "--workdir=whole") == 0
    return (place / "whole" / "records.jsonl").read_bytes()


def files(folder: Path) -> set[str]:
    """Returns the paths of all files in `folder`."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@contextlib.contextmanager
def process(place: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """Gives launch.py with `words` in a process of its own, killed at the latest when the context ends."""
    command = [sys.executable, str(launch.ROOT / "launch.py"), *words]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()
