import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.adapters import lora
from research.adapters.adapt import adapt, attach
from research.adapters.lora import LoRA
from research.data.batches import batch
from research.losses import cross_entropy
from research.models.decoder import DecoderConfig, decoder
from research.optimizers import OptimizerSpec, adamw
from research.training.mesh import MeshSpec, make_mesh
from research.training.population import Members, Task, build
from research.training.step import init_state, make_train_step

MODEL = decoder(DecoderConfig(d_model=16, d_mlp=32, n_layers=2, n_heads=2, max_length=8))
STEPS, RANKS, WIDTH = 50, (1, 3, 8), 8
DATA = np.random.default_rng(0).integers(0, 256, (16, 9)).astype(np.int32)
ROWS = np.random.default_rng(1).integers(0, 16, (3, STEPS, 4)).astype(np.int32)
RATES, SEEDS = np.array([1e-2, 3e-3, 1e-2], np.float32), np.arange(3, dtype=np.uint32)
TARGETS = ("(query|value|up)/kernel$",)


@functools.cache
def base() -> dict:
    return MODEL.init(jax.random.key(9), batch(DATA[:1]))["params"]


def population_run(spec: OptimizerSpec, rates: np.ndarray = RATES, steps: int = STEPS, vmap: int = 1):
    task = Task(MODEL, LoRA(TARGETS, WIDTH), ("^adapter/",), spec, batch, vmap=vmap)
    members = Members(np.zeros(3, np.int32), np.array(RANKS, np.int32), rates, SEEDS)
    bases = jax.tree.map(lambda x: x[None], base())
    population = build(task, bases, make_mesh(MeshSpec(), jax.devices()[:1]))
    states, losses = population.train(population.init(members, bases), members, ROWS[:, :steps], bases, DATA)
    return tree.flatten(jax.device_get(states.trainable)["adapter"]), np.asarray(losses)


def solo_run(spec: OptimizerSpec, member: int):
    adapter = LoRA(TARGETS, RANKS[member])
    added = attach(jax.random.key(SEEDS[member]), MODEL, base(), batch(DATA[:1]), adapter)
    tx = adamw(spec, float(RATES[member]))
    state = init_state(*tree.partition({"params": base(), **added}, ("^adapter/",)), tx)
    step = make_train_step(adapt(MODEL, adapter), cross_entropy, tx)
    scanned = jax.jit(lambda s, rows: jax.lax.scan(lambda c, r: step(c, batch(jnp.asarray(DATA)[r])), s, rows))
    final, metrics = scanned(state, ROWS[member])
    return tree.flatten(jax.device_get(final.trainable)["adapter"]), np.asarray(metrics["loss"])


def assert_equals_solo(spec: OptimizerSpec, adapters: dict, losses: np.ndarray, member: int) -> None:
    alone, expected = solo_run(spec, member)
    np.testing.assert_allclose(losses[member], expected, rtol=1e-5)
    for path in (path for path in adapters if path.endswith("/A")):
        a, b = adapters[path][member], adapters[path[:-1] + "B"][member]
        update = alone[path] @ alone[path[:-1] + "B"]
        assert np.linalg.norm(a @ b - update) <= 1e-3 * np.linalg.norm(update), path
        assert np.linalg.norm(update) > 0
        assert not a[:, RANKS[member] :].any() and not b[RANKS[member] :].any(), path


@pytest.mark.parametrize("clip", [0.0, 0.1])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_padded_member_equals_its_solo_run(clip: float, weight_decay: float) -> None:
    spec = OptimizerSpec(STEPS, clip=clip, weight_decay=weight_decay)
    adapters, losses = population_run(spec)
    assert np.all(losses[:, -1] != losses[:, 0])
    for member in range(3):
        assert_equals_solo(spec, adapters, losses, member)


def test_unmasked_padding_does_not_equal_the_solo_run(monkeypatch: pytest.MonkeyPatch) -> None:
    masked, spec = lora._columns, OptimizerSpec(STEPS, clip=0.1)
    with monkeypatch.context() as patched:
        patched.setattr(lora, "_columns", lambda key, site, width, rank: masked(key, site, width, width))
        adapters, losses = population_run(spec)
    for member in (0, 1):
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            assert_equals_solo(spec, adapters, losses, member)
    assert_equals_solo(spec, adapters, losses, 2)


@pytest.mark.parametrize("vmap", [1, 3])
@pytest.mark.parametrize("rate", [np.inf, 1e30])
def test_a_member_that_diverges_leaves_the_others_bits_alone(rate: float, vmap: int) -> None:
    spec = OptimizerSpec(STEPS)
    calm, calm_losses = population_run(spec, steps=10, vmap=vmap)
    wild, wild_losses = population_run(spec, np.array([RATES[0], rate, RATES[2]], np.float32), steps=10, vmap=vmap)
    assert not np.isfinite(wild_losses[1, -1])
    for member in (0, 2):
        assert wild_losses[member].tobytes() == calm_losses[member].tobytes()
        assert all(wild[path][member].tobytes() == calm[path][member].tobytes() for path in calm)


def test_members_side_by_side_equal_members_one_by_one() -> None:
    spec = OptimizerSpec(STEPS)
    one, losses = population_run(spec, steps=20)
    two, others = population_run(spec, steps=20, vmap=2)
    np.testing.assert_allclose(others, losses, rtol=1e-5)
    for path, leaf in one.items():
        assert np.linalg.norm(two[path] - leaf) <= 1e-3 * np.linalg.norm(leaf), path
