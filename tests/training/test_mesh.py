import functools
import math

import jax
import numpy as np
import pytest

from research import tree
from research.adapters.lora import LoRA
from research.data.batches import batch
from research.errors import UsageError
from research.losses import cross_entropy
from research.models.decoder import DecoderConfig, decoder
from research.optimizers import OptimizerSpec, adamw
from research.training.mesh import MeshSpec, P, check_divisible, jit_step, make_mesh, shardings, solo, specs
from research.training.population import Members, Task, build, place
from research.training.step import init_state, make_train_step

MODEL = decoder(DecoderConfig(d_model=16, d_mlp=32, n_layers=2, n_heads=2, max_length=8))
STEPS = 20
DATA = np.random.default_rng(0).integers(0, 256, (16, 9)).astype(np.int32)
SPEC = OptimizerSpec(STEPS)


@functools.cache
def base() -> dict:
    return jax.device_get(MODEL.init(jax.random.key(0), batch(DATA[:1])))


def sharded_state(mesh):
    state = jax.device_get(init_state(*tree.partition(base(), ("^params/",)), adamw(SPEC, 3e-3)))
    return jax.device_put(state, shardings(mesh, specs(state)))


@functools.cache
def solo_losses(spec: MeshSpec) -> np.ndarray:
    mesh = make_mesh(spec)
    state = sharded_state(mesh)
    layout = specs(state)
    inner = make_train_step(MODEL, cross_entropy, adamw(SPEC, 3e-3))
    step = jit_step(inner, (layout, P(("data", "fsdp"))), (layout, P()), mesh)
    losses = []
    for index in range(STEPS):
        state, metrics = step(state, batch(np.roll(DATA, index, axis=0)[:8]))
        losses.append(float(metrics["loss"]))
    return np.array(losses)


@functools.cache
def population_losses(spec: MeshSpec) -> np.ndarray:
    mesh = make_mesh(spec)
    task = Task(MODEL, LoRA(("(query|up|out)/kernel$",), 4), ("^adapter/",), SPEC, batch)
    bases = place(mesh, jax.tree.map(lambda x: x[None], base()["params"]))
    members = Members(
        np.zeros(8, np.int32), np.arange(8, dtype=np.int32) % 4 + 1, np.geomspace(1e-3, 1e-2, 8, dtype=np.float32), np.arange(8)
    )
    rows = np.random.default_rng(1).integers(0, 16, (8, STEPS, 4)).astype(np.int32)
    population = build(task, bases, mesh)
    return np.asarray(population.train(population.init(members, bases), members, rows, bases, DATA)[1])


@pytest.mark.parametrize("spec", [MeshSpec(data=8), MeshSpec(fsdp=8), MeshSpec(data=2, fsdp=2, tensor=2)], ids=str)
def test_a_solo_run_has_the_same_losses_on_every_mesh(spec: MeshSpec) -> None:
    assert solo_losses(MeshSpec())[-1] < solo_losses(MeshSpec())[0]
    np.testing.assert_allclose(solo_losses(spec), solo_losses(MeshSpec()), rtol=1e-5)


@pytest.mark.parametrize("spec", [MeshSpec(member=8), MeshSpec(member=2, data=2, tensor=2)], ids=str)
def test_a_population_has_the_same_losses_on_every_mesh(spec: MeshSpec) -> None:
    alone = population_losses(MeshSpec())
    assert len(np.unique(alone[:, -1])) == 8
    np.testing.assert_allclose(population_losses(spec), alone, rtol=1e-5)


@pytest.mark.parametrize(
    "spec", [MeshSpec(data=8), MeshSpec(fsdp=8), MeshSpec(data=2, fsdp=2, tensor=2), MeshSpec(fsdp=4, tensor=2)], ids=str
)
def test_parameter_bytes_of_a_device_fall_by_fsdp_times_tensor(spec: MeshSpec) -> None:
    params = sharded_state(make_mesh(spec)).trainable
    whole = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    for device in jax.devices():
        held = [shard.data.nbytes for leaf in jax.tree.leaves(params) for shard in leaf.addressable_shards if shard.device == device]
        assert sum(held) * spec.fsdp * spec.tensor == whole


def test_a_leaf_that_no_rule_matches_is_an_error_that_names_it() -> None:
    with pytest.raises(UsageError, match="params/strange/matrix"):
        specs({"params": {"strange": {"matrix": np.zeros((2, 2))}}})


def test_stacked_layers_and_members_are_never_split_by_a_rule() -> None:
    leaf = np.zeros((3, 5, 16, 32))
    assert specs({"layers": {"up": {"kernel": leaf}}}, ("member",))["layers"]["up"]["kernel"] == P("member", None, "fsdp", "tensor")


@pytest.mark.parametrize(
    "spec", [MeshSpec(data=16), MeshSpec(data=-1, fsdp=-1), MeshSpec(tensor=0), MeshSpec(data=-2), MeshSpec(member=-1, data=3)], ids=str
)
def test_a_mesh_that_does_not_fit_is_a_users_mistake(spec: MeshSpec) -> None:
    with pytest.raises(UsageError, match="a mesh of"):
        make_mesh(spec)


def test_minus_one_is_the_rest_and_solo_spends_members_on_data() -> None:
    assert MeshSpec(member=-1, tensor=2).sizes(8) == (4, 1, 1, 2)
    assert solo(MeshSpec(member=-1, data=2), 8) == MeshSpec(1, 8, 1, 1)
    assert math.prod(make_mesh(MeshSpec(data=2)).shape.values()) == 2


def test_an_indivisible_axis_is_an_error_that_names_the_leaf() -> None:
    variables = {"mlp": {"up": {"kernel": np.zeros((16, 30))}}}
    mesh = make_mesh(MeshSpec(tensor=4))
    with pytest.raises(UsageError, match="mlp/up/kernel has an axis of 30"):
        check_divisible(mesh, variables, specs(variables))
    bases = jax.tree.map(lambda x: x[None], base()["params"])
    with pytest.raises(UsageError, match="do not divide"):
        build(Task(MODEL, LoRA(("query/kernel$",), 2), ("^adapter/",), SPEC, batch), bases, mesh)
