"""Configs and experiments are ours, whatever else is on the path, and a room's own files come with it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from research.errors import UsageError
from research.runtime import catalog, loading


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    with patch.dict(sys.modules):
        yield


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("regular", [True, False])
def test_a_foreign_package_of_the_same_name_is_passed_over(regular: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = written(tmp_path / "foreign" / "configs" / "base.py", "WHOSE = 'theirs'")
    if regular:
        (foreign.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(foreign.parents[1])
    sys.modules.pop("configs", None)
    sys.modules.pop("configs.base", None)
    __import__("configs.base")
    root = tmp_path / "ours"
    written(root / "configs" / "base.py", "WHOSE = 'ours'")
    path = written(root / "configs" / "x.py", "from configs import base\nWHOSE = base.WHOSE")
    assert loading.load(path, "configs", root).WHOSE == "ours"


def test_a_standing_package_of_the_same_folders_is_kept_and_another_dropped(tmp_path: Path) -> None:
    first = written(tmp_path / "a" / "experiments" / "x.py", "")
    other = written(tmp_path / "b" / "experiments" / "x.py", "")
    module, package = loading.load(first, "experiments", tmp_path / "a"), sys.modules["experiments"]
    assert loading.load(first, "experiments", tmp_path / "a") is module and sys.modules["experiments"] is package
    assert loading.load(other, "experiments", tmp_path / "b") is not module
    assert sys.modules["experiments"] is not package


def test_a_room_imports_its_own_files_and_a_config_elsewhere_the_shared_base(tmp_path: Path) -> None:
    written(tmp_path / "root" / "configs" / "base.py", "SHARED = 1")
    path = written(tmp_path / "mine" / "configs" / "x.py", "from configs.base import SHARED")
    assert loading.load(path, "configs", tmp_path / "root").SHARED == 1
    written(tmp_path / "mine" / "experiments" / "x" / "axes.py", "AXES = 3")
    room = written(tmp_path / "mine" / "experiments" / "x" / "__init__.py", "from experiments.x.axes import AXES")
    assert catalog.experiment_path(path, tmp_path / "root") == room
    assert loading.load(room, "experiments", tmp_path / "root").AXES == 3


def test_an_experiment_that_is_a_file_and_a_room_is_refused(tmp_path: Path) -> None:
    config = written(tmp_path / "configs" / "x.py", "")
    assert catalog.experiment_path(config, tmp_path) is None
    file = written(tmp_path / "experiments" / "x.py", "")
    assert catalog.experiment_path(config, tmp_path) == file
    written(tmp_path / "experiments" / "x" / "__init__.py", "")
    with pytest.raises(UsageError, match="remove one"):
        catalog.experiment_path(config, tmp_path)


def test_a_name_with_a_dot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rename it"):
        loading.load(written(tmp_path / "configs" / "a.b.py", ""), "configs", tmp_path)


def test_experiments_are_found_by_the_names_of_their_configs(root: Path) -> None:
    names = [path.stem for path in catalog.configs(root)]
    assert {"lora_rank_sweep", "planted_rank", "intrinsic_dimension"} <= set(names)
    assert "base" not in names and "__init__" not in names
