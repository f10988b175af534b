"""A member of a population is its own solo run; a decoy, unmasked padding, is not."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.adapters import lora
from research.data.batches import batch, orders
from research.data.vocabulary import BYTES
from research.losses import cross_entropy
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.optimizers import OptimizerSpec, adamw
from research.training import checkpoints
from research.training.mesh import MeshSpec, P, jit_step, make_mesh, specs
from research.training.population import Members, MemberState, Population, Task, ahead, build, place, split
from research.training.step import TrainState, init_state, make_train_step

MODEL = decoder(DecoderConfig(d_model=16, d_mlp=32, n_layers=1, max_length=8))  # what two layers add here is time to compile
DATA = np.random.default_rng(0).integers(1, 255, (200, 9)).astype(np.uint8)
RANKS, STEPS, SIZE = (1, 3, 8, 2, 1, 3, 8, 2), 50, 4
RATES = (1e-2, 3e-3, 1e-2, 2e-3, 1e-3, 1e-3, 1e-3, 1e-3)  # above 1e-2 training itself amplifies rounding: no bug, but no equality
TASK = Task(
    MODEL,
    lora.LoRA(("attention/", "mlp/"), 8, 6.0),
    ("^adapter/",),
    OptimizerSpec(STEPS, weight_decay=0.1, clip=0.5),
    functools.partial(batch, vocabulary=BYTES),
)


class Trained(NamedTuple):
    functions: Population
    bases: dict
    states: MemberState
    losses: np.ndarray


def members(rates: tuple[float, ...] = RATES) -> Members:
    count = len(RANKS)
    return Members(
        np.arange(count, dtype=np.int32) % 2, np.array(RANKS, np.int32), np.array(rates, np.float32), np.arange(count, dtype=np.uint32)
    )


def rows(seeds: list[int], steps: int = STEPS) -> np.ndarray:
    return DATA[orders(seeds, 0, steps, SIZE, len(DATA))]


def run(functions: Population, placed: dict, some: Members, steps: int = STEPS, init: Population | None = None) -> Trained:
    states = (init or functions).init(some, placed)
    states, losses = functions.train(states, some, rows(list(range(len(RANKS))), steps), placed)
    return Trained(functions, placed, jax.device_get(states), np.asarray(losses))


@pytest.fixture(scope="module")
def bases() -> dict:
    init = jax.jit(jax.vmap(lambda key: MODEL.init(key, batch(jnp.zeros((1, 3), jnp.int32), BYTES))["params"]))
    return init(jax.random.split(jax.random.key(0), 2))


@pytest.fixture(scope="module")
def eight(bases: dict) -> Trained:
    """Eight members on eight devices, one each."""
    mesh = make_mesh(MeshSpec(member=8))
    return run(build(TASK, bases, mesh), place(mesh, bases), members())


def products(adapter: dict) -> dict:
    flat = tree.flatten(adapter)
    return {path[:-2]: flat[path] @ flat[path[:-1] + "B"] for path in flat if path.endswith("/A")}


@pytest.fixture(scope="module")
def solos(bases: dict) -> list[tuple[dict, np.ndarray]]:
    """A B and the losses of a padded member of each base, each trained alone at its unpadded rank, without any population."""
    return [solo(index, bases) for index in range(2)]


def solo(index: int, bases: dict) -> tuple[dict, np.ndarray]:
    member = jax.tree.map(lambda values: values[index], members())
    alone = dataclasses.replace(TASK, adapter=dataclasses.replace(TASK.adapter, rank=RANKS[index]))
    params = {"params": jax.tree.map(lambda x: x[member.base], bases)}
    tx = adamw(alone.optimizer, member.learning_rate)
    step = make_train_step(alone.adapted, cross_entropy, tx)

    @jax.jit
    def trained(params: dict, windows: jax.Array) -> tuple[TrainState, jax.Array]:
        moves, constants = split(alone, params["params"], member)
        state = init_state(moves, {**params, **constants}, tx)

        def one(state: TrainState, rows: jax.Array) -> tuple[TrainState, jax.Array]:
            state, metrics = step(state, batch(rows, BYTES))
            return state, metrics["loss"]

        return jax.lax.scan(one, state, windows)

    state, losses = trained(params, rows([index])[0])
    for path, leaf in tree.flatten(params).items():
        np.testing.assert_array_equal(tree.flatten(state.frozen)[path], leaf)
    return products(jax.device_get(state.trainable["adapter"])), np.asarray(losses)


def worst(mine: Trained, solos: list[tuple[dict, np.ndarray]]) -> tuple[float, float]:
    """The largest relative differences of A B and of the loss between members and their solo runs."""
    found = []
    for index, (theirs, losses) in enumerate(solos):
        ours = products(jax.tree.map(lambda x, i=index: x[i], mine.states.trainable["adapter"]))
        ab = max(float(np.linalg.norm(ours[p] - theirs[p]) / np.linalg.norm(theirs[p])) for p in theirs)
        found.append((ab, float(np.max(np.abs(mine.losses[index] - losses) / losses))))
    return max(ab for ab, _ in found), max(loss for _, loss in found)


def test_a_member_equals_its_solo_run(eight: Trained, solos: list[tuple[dict, np.ndarray]]) -> None:
    ab, loss = worst(eight, solos)
    assert ab < 1e-3 and loss < 1e-5
    for path, leaf in tree.flatten(eight.states.trainable["adapter"]).items():
        padding = leaf[0][:, RANKS[0] :] if path.endswith("/A") else leaf[0][RANKS[0] :]
        np.testing.assert_array_equal(padding, 0.0)


def test_unmasked_padding_is_caught(
    eight: Trained, solos: list[tuple[dict, np.ndarray]], bases: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(lora, "mask", lambda a, rank: a)
        unmasked = run(eight.functions, eight.bases, members(), init=build(TASK, bases, make_mesh(MeshSpec(member=8))))
    assert worst(unmasked, solos)[0] > 1e-2


def test_a_diverged_member_disturbs_nobody(eight: Trained) -> None:
    wild = run(eight.functions, eight.bases, members((RATES[0], 1e30, *RATES[2:])))
    assert not np.isfinite(wild.losses[1]).all()
    np.testing.assert_array_equal(np.delete(wild.losses, 1, 0), np.delete(eight.losses, 1, 0))


@pytest.mark.parametrize("mesh", [MeshSpec(), MeshSpec(member=2, data=2, tensor=2)])
def test_a_population_is_the_same_on_any_mesh(mesh: MeshSpec, eight: Trained, bases: dict) -> None:
    on = make_mesh(mesh)
    other = run(build(TASK, bases, on), place(on, bases), members(), 20)
    np.testing.assert_allclose(other.losses, eight.losses[:, :20], rtol=1e-5)


@pytest.mark.slow
def test_functions_compiled_ahead_are_the_same_and_serve_other_shapes_too(eight: Trained, bases: dict) -> None:
    windows, batches = jax.ShapeDtypeStruct((8, 10, SIZE, 9), np.uint8), jax.ShapeDtypeStruct((2, 4, 9), np.uint8)
    functions = ahead(eight.functions, bases, windows, batches)
    for steps in (10, 3):
        some = run(functions, eight.bases, members(), steps)
        np.testing.assert_allclose(some.losses, eight.losses[:, :steps], rtol=1e-5)  # another number of steps is another program
    evaluated = [made.evaluate(eight.states, members(), eight.bases, DATA[:8].reshape(2, 4, 9)) for made in (functions, eight.functions)]
    for name in ("nll", "weight"):
        np.testing.assert_array_equal(*(np.asarray(sums[name]) for sums in evaluated))


def on_mesh(spec: MeshSpec, params: dict) -> tuple[list[float], TrainState]:
    """Returns the losses of 20 steps of full training on a mesh, and the last state."""
    tx = adamw(OptimizerSpec(20), 1e-2)
    on, state = make_mesh(spec), init_state({"params": params}, {}, tx)
    step = jit_step(make_train_step(MODEL, cross_entropy, tx), (specs(state), P(("data", "fsdp"))), (specs(state), P()), on)
    found = []
    for row in orders([0], 0, 20, 8, len(DATA))[0]:
        state, metrics = step(state, batch(DATA[row], BYTES))
        found.append(float(metrics["loss"]))
    return found, state


@pytest.fixture(scope="module")
def on_one(bases: dict) -> list[float]:
    return on_mesh(MeshSpec(), jax.tree.map(lambda x: x[0], bases))[0]


@pytest.mark.parametrize("mesh", [MeshSpec(data=8), MeshSpec(fsdp=8), MeshSpec(data=2, fsdp=2, tensor=2)])
def test_a_solo_run_is_the_same_on_any_mesh_and_parameters_are_split(mesh: MeshSpec, bases: dict, on_one: list[float]) -> None:
    many, state = on_mesh(mesh, jax.tree.map(lambda x: x[0], bases))
    np.testing.assert_allclose(many, on_one, rtol=1e-5)
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
