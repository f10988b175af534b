"""A run that was stopped in any way ends in the records of one that never was."""

import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake.launched import FAKE, HERE, process, settled, start, whole


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with settled(tmp_path, monkeypatch) as folder:
        yield folder


@pytest.mark.parametrize("lost", [1, 40, 700])
def test_a_torn_record_is_measured_again(place: Path, lost: int) -> None:
    before = whole(place)
    (place / "whole" / "records.jsonl").write_bytes(before[:-lost])
    assert start(FAKE, "--workdir=whole") == 0
    assert (place / "whole" / "records.jsonl").read_bytes() == before


def test_a_loss_that_is_not_finite_stops_with_one_line_and_keeps_what_was_measured(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(*HERE, "--config.source=diverges") == 2
    assert "error: the loss is not finite at step 1" in capsys.readouterr().err
    assert len((place / "out" / "records.jsonl").read_bytes().splitlines()) == 2


def test_where_memory_does_not_suffice_fewer_members_continue_in_the_same_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (FAKE, "--config.source=large")
    assert start(*words) == 2
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: out of memory")]
    assert len(err) == 1 and "lower --config.members" in err[0]
    [folder] = (place / "runs").iterdir()
    assert len((folder / "records.jsonl").read_bytes().splitlines()) == 2
    assert start(*words, "--config.members=1") == 0
    assert list((place / "runs").iterdir()) == [folder]
    assert (folder / "records.jsonl").read_bytes() == whole(place)


def test_a_full_disk_keeps_what_was_saved_and_the_same_command_continues(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = whole(place)
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if b'"step": 2' in bytes(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert start(*HERE) == 2
    assert "error: disk full" in capsys.readouterr().err
    saved = (place / "out" / "records.jsonl").read_bytes()
    assert saved
    assert expected.startswith(saved)
    assert start(*HERE) == 0
    assert (place / "out" / "records.jsonl").read_bytes() == expected


def test_ctrl_c_saves_says_how_to_continue_and_the_run_ends_as_one_never_stopped(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert start(*HERE, "--config.source=stops") == 130
    err = capfd.readouterr().err
    assert "stopping after this chunk" in err
    assert "python launch.py --config=configs/fake.py --workdir=out --config.source=stops" in err
    assert len((place / "out" / "records.jsonl").read_bytes().splitlines()) == 2
    assert start(*HERE, "--config.source=stops") == 0
    assert (place / "out" / "records.jsonl").read_bytes() == whole(place)
    assert signal.getsignal(signal.SIGINT) is before


def wait_for_lines(path: Path, count: int, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not (path.exists() and path.read_bytes().count(b"\n") >= count):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_run_killed_and_then_stopped_ends_as_one_never_stopped(place: Path) -> None:
    words = (*HERE, "--config.pause=0.2")
    records = place / "out" / "records.jsonl"
    for count, number in ((3, signal.SIGKILL), (9, signal.SIGTERM)):
        with process(place, *words) as running:
            wait_for_lines(records, count)
            running.send_signal(number)
            _, err = running.communicate(timeout=60)
        assert running.returncode == (130 if number == signal.SIGTERM else -signal.SIGKILL)
        assert "Traceback" not in err
    assert start(*words) == 0
    assert records.read_bytes() == whole(place)
