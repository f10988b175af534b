"""A member of a population is its own solo run; a decoy, unmasked padding, is not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.adapters import lora
from research.data.batches import batch, orders
from research.losses import cross_entropy
from research.models.decoder import DecoderConfig, decoder
from research.optimizers import OptimizerSpec, adamw
from research.training import checkpoints
from research.training.mesh import MeshSpec, P, jit_step, make_mesh, specs
from research.training.population import Members, Task, build, pick, place, split
from research.training.step import TrainState, init_state, make_train_step

MODEL = decoder(DecoderConfig(d_model=16, d_mlp=32, max_length=8))
DATA = np.random.default_rng(0).integers(1, 255, (200, 9)).astype(np.uint8)
RANKS, STEPS, SIZE = (1, 3, 8, 2), 50, 4


@pytest.fixture(scope="module")
def bases() -> dict:
    keys = jax.random.split(jax.random.key(0), 2)
    return jax.vmap(lambda key: MODEL.init(key, batch(jnp.zeros((1, 3), jnp.int32)))["params"])(keys)


def task(decay: float, steps: int = STEPS) -> Task:
    return Task(MODEL, lora.LoRA(("attention/", "mlp/"), 8, 6.0), ("^adapter/",), OptimizerSpec(steps, weight_decay=decay), batch)


def members(rates: tuple[float, ...] = (1e-2, 3e-3, 1e-2, 2e-3)) -> Members:
    return Members(np.array([0, 1, 0, 1], np.int32), np.array(RANKS, np.int32), np.array(rates, np.float32), np.arange(4, dtype=np.uint32))


def trained(what: Task, some: Members, bases: dict, mesh: MeshSpec, steps: int = STEPS) -> tuple:
    on = make_mesh(mesh)
    functions, placed = build(what, bases, on), place(on, bases)
    rows = orders(list(range(4)), 0, steps, SIZE, len(DATA))
    states, losses = functions.train(functions.init(some, placed), some, DATA[rows], placed)
    return jax.device_get(states), np.asarray(losses)


def products(adapter: dict) -> dict:
    flat = tree.flatten(adapter)
    return {path[:-2]: flat[path] @ flat[path[:-1] + "B"] for path in flat if path.endswith("/A")}


def solo(what: Task, index: int, bases: dict) -> tuple[dict, np.ndarray]:
    some = members()
    member = Members(*(values[index] for values in some))
    alone = dataclasses.replace(what, adapter=dataclasses.replace(what.adapter, rank=RANKS[index]))
    params = pick(bases, member.base)
    moves, constants = split(alone, params, member)
    stays = tree.unflatten({**tree.flatten({"params": params}), **tree.flatten(constants)})
    tx = adamw(alone.optimizer, member.learning_rate)
    step, state = jax.jit(make_train_step(alone.adapted, cross_entropy, tx)), init_state(moves, stays, tx)
    losses = []
    for row in orders([index], 0, STEPS, SIZE, len(DATA))[0]:
        state, metrics = step(state, batch(DATA[row]))
        losses.append(metrics["loss"])
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(state.frozen), jax.tree.leaves(stays), strict=True))
    return products(state.trainable["adapter"]), np.array(losses)


def worst(states: object, bases: dict, what: Task) -> tuple[float, float]:
    """The largest relative differences of A B and of the loss between members and their solo runs."""
    found = []
    for index in range(4):
        mine = products(jax.tree.map(lambda x, i=index: x[i], states[0].trainable["adapter"]))
        theirs, losses = solo(what, index, bases)
        ab = max(float(np.linalg.norm(mine[p] - theirs[p]) / np.linalg.norm(theirs[p])) for p in theirs)
        found.append((ab, float(np.max(np.abs(states[1][index] - losses) / losses))))
    return max(ab for ab, _ in found), max(loss for _, loss in found)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_member_equals_its_solo_run(decay: float, bases: dict) -> None:
    states = trained(task(decay), members(), bases, MeshSpec(member=4))
    ab, loss = worst(states, bases, task(decay))
    assert ab < 1e-3 and loss < 1e-5
    for path, leaf in tree.flatten(states[0].trainable["adapter"]).items():
        padding = leaf[0][:, RANKS[0] :] if path.endswith("/A") else leaf[0][RANKS[0] :]
        np.testing.assert_array_equal(padding, 0.0)


def test_unmasked_padding_is_caught(bases: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(lora, "mask", lambda a, rank: a)
        states = trained(task(0.0), members(), bases, MeshSpec(member=4))
    assert worst(states, bases, task(0.0))[0] > 1e-2


def test_a_diverged_member_disturbs_nobody(bases: dict) -> None:
    _, calm = trained(task(0.0), members(), bases, MeshSpec(member=4))
    _, wild = trained(task(0.0), members((1e-2, 1e30, 1e-2, 2e-3)), bases, MeshSpec(member=4))
    assert not np.isfinite(wild[1]).all()
    np.testing.assert_array_equal(np.delete(wild, 1, 0), np.delete(calm, 1, 0))


@pytest.mark.parametrize("mesh", [MeshSpec(member=2, data=2, tensor=2), MeshSpec(member=4)])
def test_a_population_is_the_same_on_any_mesh(mesh: MeshSpec, bases: dict) -> None:
    _, one = trained(task(0.0), members(), bases, MeshSpec(), 20)
    _, many = trained(task(0.0), members(), bases, mesh, 20)
    np.testing.assert_allclose(many, one, rtol=1e-5)


@pytest.mark.parametrize("mesh", [MeshSpec(data=8), MeshSpec(fsdp=8), MeshSpec(data=2, fsdp=2, tensor=2)])
def test_a_solo_run_is_the_same_on_any_mesh_and_parameters_are_split(mesh: MeshSpec) -> None:
    tx = adamw(OptimizerSpec(20), 1e-2)

    def losses(spec: MeshSpec) -> tuple[list[float], TrainState]:
        on, state = make_mesh(spec), init_state({"params": MODEL.init(jax.random.key(0), batch(DATA[:1]))["params"]}, {}, tx)
        step = jit_step(make_train_step(MODEL, cross_entropy, tx), (specs(state), P(("data", "fsdp"))), (specs(state), P()), on)
        found = []
        for row in orders([0], 0, 20, 8, len(DATA))[0]:
            state, metrics = step(state, batch(DATA[row]))
            found.append(float(metrics["loss"]))
        return found, state

    (one, _), (many, state) = losses(MeshSpec()), losses(mesh)
    np.testing.assert_allclose(many, one, rtol=1e-5)
    leaves = jax.tree.leaves(state.trainable)
    whole, mine = sum(x.nbytes for x in leaves), sum(x.addressable_shards[0].data.nbytes for x in leaves)
    assert whole == mine * mesh.fsdp * mesh.tensor


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax leaves a coroutine behind when a load fails
def test_a_flipped_byte_falls_back_to_the_checkpoint_before(tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    tree_of = {"a": jnp.arange(5.0), "b": (jnp.ones((3, 3)), jnp.int32(2))}
    for step in (1, 2):
        checkpoints.save(tmp_path / "c", step, jax.tree.map(lambda x, s=step: x * s, tree_of))
    files = {path for path in (tmp_path / "c" / "2" / "state").rglob("*") if path.is_file() and path.parent.name == "d"}
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    step, found = checkpoints.restore(tmp_path / "c", tree_of)
    assert step == 1 and "damaged" in caplog.text
    np.testing.assert_array_equal(found["a"], tree_of["a"])
    assert checkpoints.restore(tmp_path / "none", tree_of) is None
