"""Records survive kills, torn lines and full disks, and never say two things about one observation."""

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from research.errors import UsageError
from research.files import atomic_write
from research.records import Journal, Records, RecordsDisagree, rounded


def row(step: Any, value: Any = 1.5, **more: Any) -> dict[str, Any]:
    return {"experiment": "e", "cell": "abc", "rank": 4, "learning_rate": 1e-3, "step": step, "metric": "loss", "value": value, **more}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def test_appending_is_idempotent_and_keeps_the_order_of_keys_and_rows(path: Path) -> None:
    assert Records(path).append([row(1), row(2)]) == 2
    before = path.read_bytes()
    again = Records(path)
    assert again.append([row(1), row(2, note="other words")]) == 0
    assert path.read_bytes() == before
    assert again.append([row(3), row(1), row(3)]) == 1
    assert [line["step"] for line in again.rows] == [1, 2, 3]
    assert list(json.loads(before.splitlines()[0])) == list(row(1))


def test_opening_alone_writes_nothing(path: Path) -> None:
    assert not Records(path).rows
    assert not path.exists()


def test_a_standing_value_that_differs_is_an_error_and_nothing_is_written(path: Path) -> None:
    records = Records(path)
    records.append([row(1)])
    before = path.read_bytes()
    with pytest.raises(RecordsDisagree, match=r"records disagree.*1\.5.*1\.6"):
        records.append([row(2), row(1, 1.6)])
    with pytest.raises(RecordsDisagree):
        records.append([row(3, 1.0), row(3, 2.0)])
    assert path.read_bytes() == before


@pytest.mark.parametrize(("stands", "again"), [(2.8812345, 2.8812346), (2.8812345, 2.8812500), (0.0, 5e-8), (3, 3.0)])
def test_a_value_that_is_measured_again_to_float32_s_rounding_agrees_and_what_stands_is_kept(path: Path, stands: Any, again: Any) -> None:
    Records(path).append([row(1, stands)])
    before = path.read_bytes()
    assert Records(path).append([row(1, again)]) == 0
    assert path.read_bytes() == before


@pytest.mark.parametrize(("stands", "again"), [(2.88, 2.8801), (0.0, 1e-6), (1.0, None), (None, 1.0), ("a", "b")])
def test_a_value_beyond_rounding_is_a_users_error_with_a_mend(path: Path, stands: Any, again: Any) -> None:
    Records(path).append([row(1, stands)])
    with pytest.raises(UsageError, match="choose a new --workdir"):
        Records(path).append([row(1, again)])


def test_what_stands_already_is_not_missing(path: Path) -> None:
    records = Records(path)
    records.append([row(1)])
    assert records.missing([row(1, 9.0), row(2)]) == [row(2)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_value_that_is_not_finite_is_null_and_agrees_with_null(path: Path, value: float) -> None:
    records = Records(path)
    records.append([row(1, value)])
    assert json.loads(path.read_text())["value"] is None
    assert records.append([row(1, None), row(1, value)]) == 0
    assert Records(path).append([row(1, value)]) == 0


def test_floats_come_back_bit_for_bit_also_from_numpy(path: Path) -> None:
    values = [0.1, 1 / 3, 5e-324, float(np.float32(0.1))]
    Records(path).append([row(step, value) for step, value in enumerate(values)])
    Records(path).append([row(np.int64(9), np.float32(0.1))])
    assert [line["value"] for line in Records(path).rows] == [*values, float(np.float32(0.1))]


@pytest.mark.parametrize("value", [2.8812345678, 1.2345678e-7, -9.87654321e-12, 123456789.0])
def test_rounding_keeps_as_many_digits_of_small_values_as_of_large_ones(value: float) -> None:
    assert 0 < abs(rounded(value) / value - 1) < 5e-7
    assert rounded(rounded(value)) == rounded(value) and len(f"{rounded(value):e}".split("e")[0].lstrip("-")) <= 8


def test_rounding_leaves_what_is_exact_or_not_finite() -> None:
    assert [rounded(value) for value in (0.0, 0.5, 1e-7, -3.0, math.inf)] == [0.0, 0.5, 1e-7, -3.0, math.inf]
    assert math.isnan(rounded(math.nan))


def test_a_coordinate_that_is_not_finite_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Records(path).append([row(1) | {"learning_rate": math.nan}])
    assert not path.exists()


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_last_line_is_cut_off_and_the_rest_appended_again(path: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    rows = [row(1), row(2), row(3)]
    Records(path).append(rows)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    records = Records(path)
    assert [line["step"] for line in records.rows] == [1, 2]
    assert "torn" in caplog.text
    assert records.append(rows) == 1
    assert path.read_bytes() == whole


def test_an_unreadable_last_line_is_cut_off_even_when_it_ends(path: Path) -> None:
    Records(path).append([row(1)])
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": \x00\xff\n')
    assert len(Records(path).rows) == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize("damage", [b'{"step": ', b"\x00\x01", b"3", b""])
def test_a_corrupt_line_in_the_middle_is_refused_by_its_number(path: Path, damage: bytes) -> None:
    Records(path).append([row(1), row(2), row(3)])
    lines = path.read_bytes().split(b"\n")
    lines[1] = damage
    path.write_bytes(b"\n".join(lines))
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"records\.jsonl, line 2 "):
        Records(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_file_as_it_was(path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(path)
    records.append([row(1)])
    before = path.read_bytes()
    real = os.write

    def half(descriptor: int, data: memoryview) -> int:
        if len(data) < 100:
            raise OSError(number, os.strerror(number))
        return real(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(UsageError, match="disk full"):
            records.append([row(2), row(3)])
    assert path.read_bytes() == before
    assert len(records.rows) == 1
    assert records.append([row(2), row(3)]) == 2
    assert [line["step"] for line in Records(path).rows] == [1, 2, 3]


def test_a_write_in_pieces_is_whole_in_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    Records(path).append([row(1), row(2)])
    assert [line["step"] for line in Records(path).rows] == [1, 2]


def test_a_follower_keeps_rows_in_memory_only(path: Path) -> None:
    Records(path).append([row(1)])
    torn = path.read_bytes() + b'{"st'
    path.write_bytes(torn)
    follower = Records(path, writes=False)
    assert follower.append([row(1), row(2)]) == 1
    assert follower.has(step=2)
    assert path.read_bytes() == torn


def test_has_needs_every_coordinate(path: Path) -> None:
    records = Records(path)
    records.append([row(1), row(2) | {"arm": None}])
    assert records.has(step=1, cell="abc")
    assert not records.has(step=1, cell="abd")
    assert records.has(arm=None, step=2)
    assert not records.has(arm=None, step=1)


def test_a_journal_keeps_equal_rows(path: Path) -> None:
    Journal(path).append([{"stage": "run", "value": 1.0}])
    Journal(path).append([{"stage": "run", "value": 1.0}])
    assert len(Journal(path).rows) == 2


def test_an_atomic_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    atomic_write(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="disk full"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
