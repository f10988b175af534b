import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UsageError
from research.training.checkpoints import restore, save


class Carried(NamedTuple):
    step: Any
    trees: Any


def tree_of(seed: int) -> Carried:
    drawn = jax.random.normal(jax.random.key(seed), (64, 64))
    return Carried(jnp.array(seed, jnp.int32), {"a": drawn, "b": (drawn[:3].astype(jnp.bfloat16), Carried(jnp.arange(12) + seed, ()))})


def assert_same(found: Any, expected: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype and np.asarray(one).tobytes() == np.asarray(other).tobytes()


def data_files(step: Path) -> list[Path]:
    files = [path for path in step.rglob("*") if path.is_file() and path.parent.name == "d"]
    assert files
    return files


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture
def two(tmp_path: Path) -> Path:
    for step in (1, 2):
        save(tmp_path / "c", step, tree_of(step))
    return tmp_path / "c"


def test_a_checkpoint_comes_back_as_it_was(two: Path, caplog: pytest.LogCaptureFixture) -> None:
    step, found = restore(two, jax.tree.map(jnp.zeros_like, tree_of(0)))
    assert step == 2 and isinstance(found, Carried) and isinstance(found.trees["b"][1], Carried)
    assert_same(found, tree_of(2))
    assert not [record for record in caplog.records if "damaged" in record.getMessage()]


def test_the_last_two_steps_are_kept(two: Path) -> None:
    save(two, 3, tree_of(3))
    assert {path.name for path in two.iterdir() if path.name.isdigit()} == {"2", "3"}


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_step_is_passed_over_with_a_warning(two: Path, damage: Any, caplog: pytest.LogCaptureFixture) -> None:
    for path in data_files(two / "2"):
        damage(path)
    with caplog.at_level(logging.WARNING, "research.training.checkpoints"):
        step, found = restore(two, tree_of(0))
    assert step == 1
    assert_same(found, tree_of(1))
    assert any(record.levelname == "WARNING" and f"{two / '2'} is damaged" in record.getMessage() for record in caplog.records)


def test_a_digest_catches_what_the_format_lets_pass(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("research.training.checkpoints._verify", lambda leaves, digests: None)
    assert restore(two, tree_of(0))[0] == 2
    monkeypatch.undo()
    seen = []
    monkeypatch.setattr("research.training.checkpoints._digests", lambda leaves: seen.append(1) or {"leaf_00000": "other"})
    assert restore(two, tree_of(0)) is None and len(seen) == 2


def test_nothing_whole_is_none(two: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert restore(tmp_path / "nowhere", tree_of(0)) is None
    for step in ("1", "2"):
        for path in data_files(two / step):
            cut(path)
    assert restore(two, tree_of(0)) is None
    assert sum("is damaged" in record.getMessage() for record in caplog.records) == 2


def test_a_folder_that_cannot_be_written_is_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError):
        save(tmp_path / "file" / "c", 1, tree_of(1))
