"""Checkpoints come back bit for bit, on any mesh, or not at all; the newest that is whole is the one that counts."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import PartitionSpec as P

from research import tree
from research.errors import UsageError
from research.optimizers import OptimizerSpec, adamw
from research.training import checkpoints
from research.training.mesh import MeshSpec, make_mesh, shardings, specs
from research.training.step import init_state

# Orbax leaves a coroutine behind when a load or a save fails.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def made(step: int = 1) -> Any:
    """Returns a training state with every kind of leaf: adapters, a head in bfloat16, moments, counters."""
    rng = np.random.default_rng(step)
    head = {"head": {"kernel": jnp.asarray(rng.standard_normal((8, 6)), jnp.bfloat16)}}
    adapter = {"up": {"A": jnp.asarray(rng.standard_normal((8, 2)), jnp.float32), "B": jnp.zeros((2, 4))}}
    state = init_state(
        {"params": head, "adapter": adapter}, {"constants": {"up": {"scale": jnp.float32(2.5)}}}, adamw(OptimizerSpec(2), 0.1)
    )
    return state._replace(step=jnp.int32(step))


def assert_same(got: Any, wanted: Any) -> None:
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def saved(folder: Path, *steps: int) -> Path:
    for step in steps:
        checkpoints.save(folder, step, made(step))
    return folder


def data_files(checkpoint: Path) -> list[Path]:
    found = [path for path in (checkpoint / "state").rglob("*") if path.is_file() and path.parent.name == "d"]
    assert found
    return found


def test_nothing_comes_back_from_nowhere_and_from_an_empty_folder(tmp_path: Path) -> None:
    assert checkpoints.restore(tmp_path / "none", made()) is None
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    assert checkpoints.restore(tmp_path / "empty", made()) is None


def test_what_is_saved_comes_back_and_the_last_two_are_kept(tmp_path: Path) -> None:
    folder = saved(tmp_path / "c", 1, 2, 5)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), made())
    for like in (made(), shapes):
        step, found = checkpoints.restore(folder, like)
        assert step == 5
        assert_same(found, made(5))
    assert sorted(path.name for path in folder.iterdir() if path.name.isdigit()) == ["2", "5"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    folder = saved(tmp_path / "c", 1)
    checkpoints.save(folder, 1, made(7))
    step, found = checkpoints.restore(folder, made())
    assert step == 1
    assert_same(found, made(7))


def shorten(checkpoint: Path) -> None:
    for path in data_files(checkpoint):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose_manifests(checkpoint: Path) -> None:
    for path in list((checkpoint / "state").rglob("manifest.ocdbt")):
        path.unlink()


@pytest.mark.parametrize("damage", [shorten, lose_manifests])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any) -> None:
    folder = saved(tmp_path / "c", 1, 2)
    damage(folder / "2")
    step, found = checkpoints.restore(folder, made())
    assert step == 1 and f"{folder / '2'} is damaged" in caplog.text
    assert_same(found, made(1))


def test_when_all_are_damaged_nothing_comes_back_and_each_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = saved(tmp_path / "c", 1, 2)
    shorten(folder / "1")
    lose_manifests(folder / "2")
    assert checkpoints.restore(folder, made()) is None
    assert all(f"{folder / step} is damaged" in caplog.text for step in ("1", "2"))


@pytest.mark.parametrize(("before", "after"), [(MeshSpec(), MeshSpec(fsdp=4, tensor=2)), (MeshSpec(fsdp=2, tensor=2), MeshSpec(data=8))])
def test_a_checkpoint_moves_from_mesh_to_mesh(tmp_path: Path, before: MeshSpec, after: MeshSpec) -> None:
    layouts = [shardings(make_mesh(mesh), specs(made())) for mesh in (before, after)]
    checkpoints.save(tmp_path / "c", 3, jax.device_put(made(3), layouts[0]))
    like = jax.tree.map(lambda x, layout: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=layout), made(), layouts[1])
    _, found = checkpoints.restore(tmp_path / "c", like)
    assert_same(found, made(3))
    assert jax.tree.map(lambda x: x.sharding, found) == layouts[1]
    head = found.trainable["params"]["head"]["kernel"]
    assert head.sharding.spec == P("fsdp", "tensor") and len(head.sharding.device_set) == 8
    assert head.addressable_shards[0].data.size == 48 // (after.fsdp * after.tensor)


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """The kernel refuses larger files, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_a_users_mistake_and_the_older_one_loads(tmp_path: Path) -> None:
    noise = {"noise": jnp.asarray(np.random.default_rng(0).standard_normal(1_000_000), jnp.float32)}
    checkpoints.save(tmp_path / "c", 1, noise)
    with no_file_above(1_000_000), pytest.raises(UsageError, match="c/2"):
        checkpoints.save(tmp_path / "c", 2, {"noise": 2 * noise["noise"]})
    step, found = checkpoints.restore(tmp_path / "c", noise)
    assert step == 1
    assert_same(found, noise)
    checkpoints.save(tmp_path / "c", 2, {"noise": 2 * noise["noise"]})
    assert checkpoints.restore(tmp_path / "c", noise)[0] == 2


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("RESOURCE: No space left on device\nmore")])
def test_a_full_disk_is_explained_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    folder = saved(tmp_path / "c", 1)

    def full(*args: Any, **kwargs: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "save", full)
        with pytest.raises(UsageError, match="disk full|No space left") as caught:
            checkpoints.save(folder, 2, made(2))
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    assert_same(checkpoints.restore(folder, made())[1], made(1))


def test_a_trained_head_and_its_adapter_come_back_beside_an_untouched_base(tmp_path: Path) -> None:
    variables = {"params": {"up": {"kernel": jnp.ones((8, 4))}, **made(4).trainable["params"]}, "adapter": made(4).trainable["adapter"]}
    moves, stays = tree.partition(variables, ("^adapter/", "^params/head/"))
    checkpoints.save(tmp_path / "c", 4, moves)
    _, found = checkpoints.restore(tmp_path / "c", jax.tree.map(jnp.zeros_like, moves))
    assert_same(tree.combine(found, stays), tree.unflatten(tree.flatten(variables)))


@pytest.mark.parametrize("like", [{"b": np.zeros(3), "c": np.zeros(3)}, {"a": np.zeros(4), "b": np.zeros(3)}, {"a": np.zeros(3)}])
def test_a_checkpoint_of_another_tree_is_neither_taken_nor_called_damaged(tmp_path: Path, like: dict) -> None:
    checkpoints.save(tmp_path / "c", 1, {"a": np.zeros(3), "b": np.ones(3)})
    with pytest.raises(UsageError, match="holds other parameters"):
        checkpoints.restore(tmp_path / "c", like)


def test_saving_now_and_then_costs_a_twentieth_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is told by hand: a save takes `cost` seconds."""
    clock = {"now": 0.0}
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock["now"])

    def after(cost: float) -> float:
        monkeypatch.setattr(checkpoints, "save", lambda *_: clock.update(now=clock["now"] + cost))
        saves, start = checkpoints.Autosave(tmp_path), clock["now"]
        assert not saves.due
        clock["now"] = start + checkpoints.SAVE_SECONDS + 0.1
        assert saves.due
        saves.save(1, {})
        ended = clock["now"]
        while not saves.due:
            clock["now"] += 0.5
        return clock["now"] - ended

    assert after(0.1) == pytest.approx(checkpoints.SAVE_SECONDS, abs=0.6)
    assert after(5.0) == pytest.approx(100.0, abs=0.6)
