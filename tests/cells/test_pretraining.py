"""Pretraining: cached by fingerprint, resumed to the bit, stopped where its loss is not finite, repaired where its files are damaged."""

import dataclasses
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from research import tree
from research.cells import pretraining
from research.cells.pretraining import Base, Pretraining, pretrain
from research.data.corpus import Corpus
from research.errors import UsageError
from research.models.configuration import DecoderConfig
from research.optimizers import OptimizerSpec
from research.runtime import locks, turns
from research.runtime.progress import Interrupted, Progress
from research.training.mesh import MeshSpec, make_mesh

MODEL = DecoderConfig(d_model=8, d_mlp=16, n_layers=1, max_length=8)
SPEC = Pretraining(MODEL, OptimizerSpec(6), 1e-2, 4, 1, 0)
TEXT = np.random.default_rng(0).integers(1, 255, 900).astype(np.uint8)
CORPUS = Corpus("text:here", "fingerprint", dict.fromkeys(("train", "validation", "test"), TEXT), {})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(pretraining, "CHUNK", 2)
    return tmp_path / "lowlands" / "bases"


def made(spec: Pretraining = SPEC, mesh: MeshSpec | None = None) -> Base:
    return pretrain(spec, CORPUS, make_mesh(mesh or MeshSpec()), Progress())


def same(one: Base, other: Base) -> bool:
    pairs = zip(tree.flatten(one.params).values(), tree.flatten(other.params).values(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_a_base_is_made_once_and_another_specification_is_another_base() -> None:
    first, again, other = made(), made(), made(dataclasses.replace(SPEC, seed=1))  # by the programs of the first
    assert first.seconds > 0 and again.seconds == 0
    assert same(first, again)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert not same(first, other)


def test_a_stopped_pretraining_continues_to_the_same_base(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made()
    for folder in cache.iterdir():
        folder.rename(folder.with_name("aside"))
    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "stop_requested", lambda: True)
        with pytest.raises(Interrupted, match="step 2 of 6"):
            made()
    assert same(made(), whole)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax leaves a coroutine behind when a load fails
def test_a_damaged_base_is_made_again(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = made()
    for path in cache.rglob("*"):
        if path.is_file() and path.parent.name == "d":
            path.write_bytes(path.read_bytes()[:-9])
    again = made()
    assert "damaged" in caplog.text and again.seconds > 0
    assert same(again, whole)


def test_a_loss_that_is_not_finite_stops_with_the_step_and_keeps_what_was_saved(cache: Path) -> None:
    with pytest.raises(UsageError, match=r"not finite at step \d+; lower pretraining.learning_rate"):
        made(dataclasses.replace(SPEC, learning_rate=1e30))
    assert made().seconds > 0


def test_a_batch_in_parts_and_a_batch_over_devices_make_the_same_base() -> None:
    whole = made()
    parts, spread = made(dataclasses.replace(SPEC, accumulate=2)), made(mesh=MeshSpec(data=2))
    assert parts.fingerprint != whole.fingerprint == spread.fingerprint
    for path, leaf in tree.flatten(whole.params).items():
        np.testing.assert_allclose(tree.flatten(parts.params)[path], leaf, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(tree.flatten(spread.params)[path], leaf)  # the cache: layout is no part of what a base is
    assert jax.tree.leaves(spread.params)[0].sharding.mesh.shape["data"] == 2


@pytest.mark.parametrize("mesh", [MeshSpec(data=4), MeshSpec(data=2, fsdp=2)])
def test_a_base_does_not_depend_on_how_gradients_are_summed(mesh: MeshSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples over four devices are summed by hand, with parameters split as well by the compiler; some tokens have no weight."""
    text = np.where(TEXT < 40, 0, TEXT)
    corpus = CORPUS._replace(parts=dict.fromkeys(CORPUS.parts, text))
    one = pretrain(SPEC, corpus, make_mesh(MeshSpec()), Progress())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    spread = pretrain(SPEC, corpus, make_mesh(mesh), Progress())
    assert spread.seconds > 0
    for path, leaf in tree.flatten(one.params).items():
        np.testing.assert_allclose(tree.flatten(spread.params)[path], leaf, rtol=1e-3, atol=1e-5)


def test_a_finished_base_is_read_where_nothing_may_be_written(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of a group, filled by another: neither a lock nor anything else is made there."""
    whole = made()
    before = sorted(cache.rglob("*"))
    for folder in (cache, *(path for path in cache.rglob("*") if path.is_dir())):
        folder.chmod(0o555)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("mkdir", "touch", "unlink", "write_bytes"):  # root may write anywhere
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr("research.runtime.locks.lock", refuse)
    again = made()
    monkeypatch.undo()
    for folder in (cache, *(path for path in cache.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    assert again.seconds == 0 and same(again, whole)
    assert sorted(cache.rglob("*")) == before


def test_a_base_that_another_command_makes_is_waited_for(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = made()
    (folder,) = cache.iterdir()
    folder.rename(cache / "aside")
    folder.mkdir()
    held = locks.lock(folder / "lock")
    assert held is not None

    def finished(_: float) -> None:
        shutil.copytree(cache / "aside", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("lock"))
        os.close(held)

    monkeypatch.setattr(turns.time, "sleep", finished)
    with caplog.at_level("INFO"):
        again = made()
    assert again.seconds == 0 and same(again, whole)
    assert caplog.text.count(f"another process (pid {os.getpid()}) is making the base {folder.name}; waiting for it") == 1


def test_waiting_for_a_base_ends_when_a_stop_is_asked_for(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("research.runtime.locks.lock", lambda path: None)
    monkeypatch.setattr(turns, "stop_requested", lambda: True)
    with pytest.raises(Interrupted, match="another command was making the base"):
        made()
