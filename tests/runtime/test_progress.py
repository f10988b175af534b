"""Progress is rare where nobody watches, and a signal is a request first and an end second."""

import io
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from research.runtime import progress

ROOT = Path(__file__).parents[2]


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("seconds_a_unit", "at_most", "at_least"), [(0.001, 1, 1), (1.0, 11, 8), (20.0, 42, 25)])
def test_lines_are_rare_without_a_terminal(
    seconds_a_unit: float, at_most: int, at_least: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(progress, "console", lambda: Console(file=io.StringIO()))
    caplog.set_level(logging.INFO)
    with progress.Progress() as shown, shown.task("train", 100) as task:
        for _ in range(100):
            clock.now += seconds_a_unit
            task.advance(1, loss=2.5)
    assert at_least <= len(caplog.messages) <= at_most
    assert caplog.messages[-1].startswith("train: 100 of 100 in")


def test_a_terminal_gets_a_bar_with_the_remaining_time(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr(progress, "console", lambda: screen)
    with progress.Progress() as shown, shown.task("train", 4) as task:
        for _ in range(4):
            task.advance(1, loss=2.5)
    assert "━" in screen.file.getvalue()  # type: ignore[attr-defined]
    assert "loss 2.5" in screen.file.getvalue()  # type: ignore[attr-defined]


def test_the_first_signal_is_a_request_and_handlers_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert not progress.stop_requested()
    with progress.Interrupt() as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.requested
        assert progress.stop_requested()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert not progress.stop_requested()
    assert signal.getsignal(signal.SIGTERM) is before
    assert "once more to stop at once" in capfd.readouterr().err


SLEEP = """
import time
from research.runtime.progress import Interrupt
with Interrupt() as interrupt:
    print("ready", flush=True)
    while not interrupt.requested:
        time.sleep(0.01)
    print("asked", flush=True)
    time.sleep(60)
"""


def test_the_second_signal_ends_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout is not None
        for word in ("ready\n", "asked\n"):
            assert other.stdout.readline() == word
            other.send_signal(signal.SIGINT)
        assert other.wait(timeout=10) == -signal.SIGINT


def test_other_libraries_are_heard_from_warnings_on(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), width=200)
    monkeypatch.setattr(progress, "console", lambda: screen)
    handler = progress._Lines()
    for name, level in (("research.cells", logging.INFO), ("orbax", logging.INFO), ("orbax", logging.WARNING)):
        handler.handle(logging.LogRecord(name, level, "", 0, f"{name} at {level}", None, None))
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "research.cells at 20" in text
    assert "orbax at 30" in text
    assert "orbax at 20" not in text


def test_what_a_terminal_cannot_encode_is_printed_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    progress.start_log()
    print("–", flush=True)
    assert sys.stdout.buffer.getvalue() == b"\\u2013\n"
