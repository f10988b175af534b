"""A workdir belongs to one config and one process, and a plan once written stays."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from research.errors import UsageError
from research.loop.workdir import Workdir

ROOT = Path(__file__).parents[2]
CONFIG = {"ranks": (1, 2), "seeds": 3, "steps": 100, "model": {"d_model": 64, "bias": False}, "alpha": 16.0}


def opened(path: Path, config: Any = CONFIG) -> list[Any]:
    with Workdir(path, config) as workdir:
        return list(workdir.records.rows)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def test_the_same_config_continues_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run"
    with Workdir(path, CONFIG) as workdir:
        workdir.records.append([{"step": 1, "value": 2.0}])
    before = contents(path)
    same = CONFIG | {"ranks": [1, 2], "alpha": 16}
    assert opened(path, same) == [{"step": 1, "value": 2.0}]
    assert contents(path) == before


@pytest.mark.parametrize("change", [{"ranks": (1, 2, 4)}, {"ranks": (4, 2, 1)}, {"seeds": 5}, {"seeds": 4, "ranks": (1, 2, 8)}])
def test_more_ranks_or_seeds_extend(tmp_path: Path, change: dict[str, Any]) -> None:
    opened(tmp_path / "run")
    opened(tmp_path / "run", CONFIG | change)
    opened(tmp_path / "run", CONFIG | change)
    with pytest.raises(UsageError, match=next(iter(change))):
        opened(tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 200}, "steps: 100 -> 200"),
        ({"ranks": (1, 4)}, r"ranks: \[1, 2\] -> \[1, 4\]"),
        ({"seeds": 2}, "seeds: 3 -> 2"),
        ({"seeds": True}, "seeds: 3 -> true"),
        ({"model": {"d_model": 32, "bias": True}}, "model.bias: false -> true, model.d_model: 64 -> 32"),
        ({"model": {"d_model": 64}}, r'model.bias: false -> "\(absent\)"'),
        ({"extra": 1}, r'extra: "\(absent\)" -> 1'),
        ({"ranks": (1, 2, 3), "alpha": 8.0}, r"config \(alpha: 16 -> 8\)"),
    ],
)
def test_any_other_change_is_refused_by_name(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    opened(tmp_path / "run")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=f"{words}.*new --workdir"):
        opened(tmp_path / "run", CONFIG | change)
    assert contents(tmp_path) == before


def test_the_layout_on_devices_may_change_and_nothing_is_lost(tmp_path: Path) -> None:
    whole = CONFIG | {"members": 0, "mesh": {"member": -1, "data": 1}}
    with Workdir(tmp_path / "run", whole) as workdir:
        workdir.records.append([{"step": 1, "value": 2.0}])
    assert len(opened(tmp_path / "run", whole | {"members": 2, "mesh": {"member": -1, "data": 2}})) == 1
    with pytest.raises(UsageError, match=r"config \(steps: 100 -> 200\)"):
        opened(tmp_path / "run", whole | {"steps": 200})


def test_a_corrupt_config_is_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "config.json").write_text('{"ranks": [1')
    with pytest.raises(UsageError, match=r"config\.json cannot be read"):
        opened(tmp_path)


@pytest.mark.parametrize("parent", ["file", "/proc"])
def test_an_unwritable_place_is_named(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        opened(tmp_path / parent / "run")
    assert os.listdir(tmp_path) == ["file"]


def test_a_mistake_before_the_first_record_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such source"), Workdir(tmp_path / "a" / "b", CONFIG) as workdir:
        workdir.assign([("c", "shape")], lambda _: 1)
        raise UsageError("no such source")
    assert not os.listdir(tmp_path)
    with pytest.raises(UsageError), Workdir(tmp_path / "a", CONFIG) as workdir:
        workdir.records.append([{"step": 1, "value": 2.0}])
        raise UsageError("non-finite loss")
    assert opened(tmp_path / "a")


def test_a_folder_that_was_there_is_never_taken_away(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError), Workdir(tmp_path, CONFIG):
        raise UsageError("no such source")
    assert (tmp_path / "notes.txt").exists()


HOLD = """
import sys
from research.loop.workdir import Workdir
with Workdir(sys.argv[1], {"a": 1}):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    with Workdir(tmp_path, {"a": 1}), pytest.raises(UsageError, match=f"pid {os.getpid()}"):
        opened(tmp_path, {"a": 1})
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=rf"in use by another process \(pid {other.pid}\)"):
            opened(tmp_path, {"a": 1})
        other.send_signal(signal.SIGKILL)
        other.wait()
    opened(tmp_path, {"a": 1})


def test_a_follower_reads_and_writes_nothing(tmp_path: Path) -> None:
    with Workdir(tmp_path, CONFIG) as leader:
        before = contents(tmp_path)
        with Workdir(tmp_path, CONFIG | {"seeds": 9}, writes=False) as follower:
            follower.records.append([{"step": 1, "value": 2.0}])
            plan = follower.assign([("a", "s"), ("b", "s")], lambda _: 2)
            follower.save_artifact("a", {"x": np.ones(2)})
        assert contents(tmp_path) == before
        assert leader.assign([("a", "s"), ("b", "s")], lambda _: 2) == plan


ARRAYS = {"params/layers_0/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(7)}


def test_an_artifact_comes_back_bit_for_bit(tmp_path: Path) -> None:
    with Workdir(tmp_path, CONFIG) as workdir:
        workdir.save_artifact("abc", ARRAYS)
        back = workdir.load_artifact("abc")
    assert back.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)
    assert os.listdir(tmp_path / "artifacts") == ["abc.npz"]


def damaged(data: bytes) -> list[bytes]:
    flips = [bytes([*data[:at], data[at] ^ 1, *data[at + 1 :]]) for at in range(40, len(data), 97)]
    return [data[:-30], data[: len(data) // 2], b"", b"not a zip", *flips]


def test_a_damaged_or_missing_artifact_is_named_or_whole(tmp_path: Path) -> None:
    with Workdir(tmp_path, CONFIG) as workdir:
        with pytest.raises(UsageError, match="missing"):
            workdir.load_artifact("abc")
        workdir.save_artifact("abc", ARRAYS)
        refused = 0
        for data in damaged(workdir.artifact("abc").read_bytes()):
            workdir.artifact("abc").write_bytes(data)
            try:
                back = workdir.load_artifact("abc")
            except UsageError as error:
                assert "damaged" in str(error)
                refused += 1
            else:  # a flip in padding or in a date: what is read must then be what was saved
                assert all(np.array_equal(back[name], array) for name, array in ARRAYS.items())
        assert refused >= 8


def test_an_artifact_on_a_full_disk_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Workdir(tmp_path, CONFIG) as workdir:
        workdir.save_artifact("abc", ARRAYS)

        def full(descriptor: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(UsageError, match="disk full"):
            workdir.save_artifact("abc", {"x": np.zeros(3)})
        assert workdir.load_artifact("abc").keys() == ARRAYS.keys()


def test_bfloat16_is_refused_before_it_is_lost(tmp_path: Path) -> None:
    import ml_dtypes

    with Workdir(tmp_path, CONFIG) as workdir, pytest.raises(TypeError, match="float32"):
        workdir.save_artifact("abc", {"x": np.ones(2, dtype=ml_dtypes.bfloat16)})


def test_a_changed_data_set_is_refused(tmp_path: Path) -> None:
    with Workdir(tmp_path, CONFIG) as workdir:
        workdir.pin("stdlib:docs", "abc")
        workdir.pin("stdlib:docs", "abc")
        with pytest.raises(UsageError, match=r"stdlib:docs changed .*abc -> def"):
            workdir.pin("stdlib:docs", "def")
    assert json.loads((tmp_path / "fingerprints.json").read_text()) == {"stdlib:docs": "abc"}
