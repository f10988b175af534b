"""Commands as a test gives them: in this process, or in one of its own with caches of its own."""

import os
import sys
from pathlib import Path

import pytest

import launch


def ran(*words: str) -> int:
    """Returns the exit code of launch.py with these words, run in this process."""
    return launch.main(["launch.py", *words])


def assert_refused(config: str, override: str, word: str, folder: Path, capsys: pytest.CaptureFixture) -> None:
    """Asserts that a value is refused in one line that has `word` in it, and that nothing is written."""
    assert ran(config, f"--config.{override}", f"--workdir={folder / 'new'}") == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(error) == 1
    assert word in error[0]
    assert not (folder / "new").exists()


def command(config: str, folder: Path, cache: Path) -> tuple[list[str], dict[str, str]]:
    """Returns the words and the environment of a run as a newcomer starts it, in a process of its own with empty caches."""
    hidden = ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return [sys.executable, "launch.py", config, f"--workdir={folder}"], {**kept, "XDG_CACHE_HOME": str(cache)}
