"""What the person at the keyboard sees while it runs, and how they stop it."""

import contextlib
import functools
import io
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

_log = logging.getLogger(__name__)
_STARTED = time.monotonic()
_OURS = ("research", "experiments", "configs", "launch", "__main__")
_LINE_SECONDS = 10.0
_SLOW_LINE_SECONDS = 60.0


class Interrupted(Exception):
    """The run was asked to stop; all that was finished is saved, and the same command continues."""


@functools.cache
def console() -> Console:
    """Returns the one console of the process, on stderr: bars and log lines must share it or they overwrite each other."""
    return Console(stderr=True, soft_wrap=True)


class _Lines(logging.Handler):
    """Log lines with the seconds since the start; other libraries are heard from warnings on."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] not in _OURS and record.levelno < logging.WARNING:
            return
        style = "bold yellow" if record.levelno >= logging.WARNING else None
        line = f"[{time.monotonic() - _STARTED:7.1f} s] {self.format(record)}"
        console().print(line, style=style, markup=False, highlight=False)


def start_log() -> None:
    """Returns after the root logger speaks calmly to the console; a second call changes nothing.

    What the terminal's encoding lacks is printed escaped, as it is on stderr: an en dash must not end a run.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    root = logging.getLogger()
    if not any(isinstance(handler, _Lines) for handler in root.handlers):
        root.addHandler(_Lines())
        root.setLevel(logging.INFO)


class Task:
    """One counted piece of work; `advance` moves it on."""

    def __init__(self, name: str, total: int, bars: Bars | None) -> None:
        self.name, self.total, self.done = name, total, 0
        self._bars = bars
        self._bar: TaskID | None = bars.add_task(name, total=total, shown="") if bars else None
        self._start = self._spoke = time.monotonic()
        self._spoke_at = 0

    def advance(self, count: int = 1, **shown: Any) -> None:
        """Returns after `count` more units are shown as done, with the values in `shown` beside them."""
        self.done += count
        text = " ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in shown.items())
        if self._bars is not None and self._bar is not None:
            self._bars.update(self._bar, advance=count, shown=text)
        elif self._due():
            self._speak(text)

    def _due(self) -> bool:
        silent = time.monotonic() - self._spoke
        moved = (self.done - self._spoke_at) / max(self.total, 1)
        return silent >= _SLOW_LINE_SECONDS or (silent >= _LINE_SECONDS and moved >= 0.1)

    def _speak(self, text: str) -> None:
        self._spoke, self._spoke_at = time.monotonic(), self.done
        left = (self._spoke - self._start) / max(self.done, 1) * (self.total - self.done)
        _log.info("%s: %d of %d, about %.0f s left %s", self.name, self.done, self.total, left, text)

    def close(self) -> None:
        """Returns after the task's bar is gone and one line says how long it took."""
        if self._bars is not None and self._bar is not None:
            self._bars.refresh()
            self._bars.remove_task(self._bar)
        _log.info("%s: %d of %d in %.1f s", self.name, self.done, self.total, time.monotonic() - self._start)


class Progress:
    """Bars with the remaining time on a terminal; elsewhere plain lines, rarely."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        if console().is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            self._bars = Bars(*columns, TextColumn("{task.fields[shown]}"), console=console())

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars:
            self._bars.stop()

    @contextlib.contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """Returns a context in which the task `name` of `total` units is shown; it works inside or outside `with Progress()`."""
        task = Task(name, total, self._bars)
        try:
            yield task
        finally:
            task.close()


class Interrupt:
    """While entered, the first SIGINT or SIGTERM sets `requested`; the second one ends the process at once."""

    active: "Interrupt | None" = None

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        Interrupt.active = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        Interrupt.active = None
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        for each in self._before:
            # The kernel's own action, because a Python handler would wait until a long XLA call returns.
            signal.signal(each, signal.SIG_DFL)
        console().show_cursor(True)
        # Not through sys.stderr: the signal may have come in the middle of a write to it.
        os.write(2, b"\nstopping after this chunk; once more to stop at once (what is recorded is safe)\n")


def stop_requested() -> bool:
    """Returns whether someone asked the run to stop; loops look between chunks, save, and raise Interrupted.

    In a distributed run every process must look equally often, and all get the same answer, whichever of them got the signal.
    """
    from research.training.processes import anywhere  # here, so that --help and --list need no JAX

    return anywhere(Interrupt.active is not None and Interrupt.active.requested)
