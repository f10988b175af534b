"""Two real processes of one run: the records of one process, one stop for both, one line where one of them dies."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import launch
from research.runtime import catalog
from research.runtime.native_lines import ENDED

PAIRED = "--config=tests/fake/configs/paired.py"
SMOKES = [f"--config=configs/{path.name}:smoke" for path in catalog.configs(launch.ROOT) if "smoke" in catalog.variants(path, launch.ROOT)]
Running = list["subprocess.Popen[str]"]


def launched(words: Sequence[str], cache: Path, **environment: str) -> "subprocess.Popen[str]":
    known = {name: value for name, value in os.environ.items() if name != "JAX_NUM_CPU_DEVICES"}
    known["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"  # what continues a run compiles nothing again
    environment = {**known, "XDG_CACHE_HOME": str(cache), **environment}
    command = [sys.executable, str(launch.ROOT / "launch.py"), *words]
    return subprocess.Popen(command, cwd=launch.ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def two(words: Sequence[str], *caches: Path) -> Iterator[Running]:
    """Gives two processes of one device each, killed at the latest when the context ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"JAX_NUM_CPU_DEVICES": "1", "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2"}
    running = [launched([*words, "--distributed"], caches[i % len(caches)], **common, JAX_PROCESS_ID=str(i)) for i in (0, 1)]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def ended(running: Running, seconds: float = 240.0) -> tuple[list[int], list[str]]:
    """Returns exit codes and what stood on stderr, once all have ended."""
    said = [process.communicate(timeout=seconds)[1] for process in running]
    assert not any("Traceback" in text or "stack trace" in text for text in said), "\n".join(said)
    return [process.returncode for process in running], said


def wait_for(path: Path, running: Running, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < end and all(process.poll() is None for process in running)
        time.sleep(0.02)


def observed(folder: Path) -> dict[str, Any]:
    """Returns the values of a run's records by their coordinates, but for times."""
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]
    keys = [json.dumps({k: v for k, v in row.items() if k != "value"}) for row in rows]
    return {key: row["value"] for key, row in zip(keys, rows, strict=True) if row["metric"] != "step_time"}


def assert_agree(two: Path, one: Path) -> None:
    got, wanted = observed(two), observed(one)
    assert list(got) == list(wanted)
    assert [got[key] is None for key in wanted] == [value is None for value in wanted.values()]
    assert [got[key] or 0 for key in wanted] == pytest.approx([value or 0 for value in wanted.values()], rel=1e-5)
    assert (two / "report.html").exists()


def one_process(words: Sequence[str], cache: Path) -> None:
    """Returns once one process of two devices has run."""
    assert ended([launched(words, cache, JAX_NUM_CPU_DEVICES="2")])[0] == [0]


@pytest.mark.slow
def test_two_processes_stop_together_continue_and_make_the_records_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [PAIRED, f"--workdir={tmp_path / 'two'}"]
    with two(words, tmp_path / "shared") as running:
        wait_for(tmp_path / "two" / "populations.jsonl", running)
        running[1].send_signal(signal.SIGTERM)
        codes, said = ended(running)
    assert codes == [130, 130]
    assert all("2 cells are saved at step" in text and "To continue, the same command" in text for text in said)
    with two(words, tmp_path / "shared") as running:
        codes, said = ended(running)
    assert codes == [0, 0]
    assert all("continuing 2 cells" in text and "from the cache" in text and "do not share" not in text for text in said)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    monkeypatch.chdir(launch.ROOT)
    assert launch.main(["launch.py", PAIRED, f"--workdir={tmp_path / 'one'}"]) == 0
    assert_agree(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("dies", [0, 1])
@pytest.mark.parametrize("when", ["populations.jsonl", "config.json"])
def test_one_process_killed_ends_the_other_with_a_line_and_the_run_continues(dies: int, when: str, tmp_path: Path) -> None:
    words, caches = [PAIRED, f"--workdir={tmp_path / 'two'}"], (tmp_path / "a", tmp_path / "b")
    with two(words, *caches) as running:
        wait_for(tmp_path / "two" / when, running)
        running[dies].kill()
        start = time.monotonic()
        codes, said = ended([running[1 - dies]], 60.0)
    assert codes[0] != 0 and time.monotonic() - start < 60
    errors = [line for line in said[0].splitlines() if line.startswith("error: ")]
    assert errors == [ENDED]
    with two(words, *caches) as running:
        codes, said = ended(running)
    assert codes == [0, 0] and all("do not share" in text for text in said)
    one_process([PAIRED, f"--workdir={tmp_path / 'one'}"], tmp_path / "own")
    assert_agree(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("caches", [("shared",), ("a", "b")])
@pytest.mark.parametrize("smoke", SMOKES)
def test_every_experiment_makes_the_records_of_one_process(smoke: str, caches: tuple[str, ...], tmp_path: Path) -> None:
    with two([smoke, f"--workdir={tmp_path / 'two'}"], *(tmp_path / cache for cache in caches)) as running:
        assert ended(running, 900.0)[0] == [0, 0]
    one_process([smoke, f"--workdir={tmp_path / 'one'}"], tmp_path / "own")
    assert_agree(tmp_path / "two", tmp_path / "one")
