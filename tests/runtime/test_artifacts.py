"""An artifact comes back as it was saved, or is named."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from research.errors import UsageError
from research.runtime.workdir import Workdir

CONFIG = {"ranks": (1, 2), "seeds": 3, "steps": 100, "model": {"d_model": 64, "bias": False}, "alpha": 16.0}
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
