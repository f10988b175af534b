"""Meshes, sharding rules and the step that is compiled for them."""

import re
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import ShapeDtypeStruct
from jax.sharding import PartitionSpec as P

from research import tree
from research.adapters.adapt import adapt
from research.adapters.lora import LoRA
from research.errors import UsageError
from research.losses import cross_entropy
from research.models.configuration import BIASES, DecoderConfig
from research.models.decoder import decoder
from research.optimizers import OptimizerSpec, adamw
from research.training.mesh import AXES, RULES, MeshSpec, check_divisible, jit_step, leaf_path, make_mesh, shardings, solo, specs
from research.training.step import init_state
from tests.models.drawing import drawn
from tests.models.families import FAMILIES

BATCH = {"inputs": np.zeros((1, 4), np.int32)}
TINY = {"vocab_size": 16, "d_model": 8, "n_heads": 2, "d_mlp": 16, "max_length": 8}
EVERY = {**TINY, "norm": "layer", "positions": "learned", "mlp": "gated", "bias": BIASES}


def shape(*sizes: int) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(sizes, jnp.float32)


@pytest.mark.parametrize(
    ("spec", "devices", "sizes"),
    [
        (MeshSpec(), 8, (1, 1, 1, 1)),
        (MeshSpec(member=-1), 8, (8, 1, 1, 1)),
        (MeshSpec(2, -1, 2), 8, (2, 2, 2, 1)),
        (MeshSpec(data=2, tensor=3), 8, (1, 2, 1, 3)),
        (MeshSpec(member=8, fsdp=-1), 8, (8, 1, 1, 1)),
        (MeshSpec(member=-1, data=3), 8, (2, 3, 1, 1)),
        (MeshSpec(member=-1, data=2, fsdp=2), 6, (1, 2, 2, 1)),
        *((MeshSpec(member=-1), n, (n, 1, 1, 1)) for n in (1, 2, 3, 5, 6, 7, 12)),
    ],
)
def test_a_size_of_minus_one_takes_the_rest(spec: MeshSpec, devices: int, sizes: tuple[int, ...]) -> None:
    assert spec.sizes(devices) == sizes


@pytest.mark.parametrize(
    ("spec", "devices", "word"),
    [
        (MeshSpec(data=0), 8, "positive"),
        (MeshSpec(data=-2), 8, "positive"),
        (MeshSpec(data=-1, fsdp=-1), 8, "positive"),
        (MeshSpec(member=3, data=3), 8, "member 3, data 3, fsdp 1, tensor 1 does not fit 8 devices"),
        (MeshSpec(member=-1, data=2, fsdp=2), 3, "does not fit 3 devices"),
        (MeshSpec(tensor=16, data=-1), 8, "does not fit 8 devices"),
    ],
)
def test_sizes_that_do_not_fit_are_a_users_mistake(spec: MeshSpec, devices: int, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        spec.sizes(devices)


def test_a_mesh_takes_the_first_devices_that_it_needs() -> None:
    mesh = make_mesh(MeshSpec(member=2, data=2))
    assert mesh.axis_names == AXES and dict(mesh.shape) == {"member": 2, "data": 2, "fsdp": 1, "tensor": 1}
    assert [device.id for device in mesh.devices.flat] == [0, 1, 2, 3]
    assert make_mesh(MeshSpec(tensor=-1), jax.devices()[5:]).devices.shape == (1, 1, 1, 3)


@pytest.mark.parametrize(
    ("spec", "expected"), [(MeshSpec(4), (1, 4, 1, 1)), (MeshSpec(-1, 1, 2), (1, 4, 2, 1)), (MeshSpec(2, 2, 1, 2), (1, 4, 1, 2))]
)
def test_one_model_spends_the_member_axis_on_data(spec: MeshSpec, expected: tuple[int, ...]) -> None:
    assert solo(spec, 8, 32) == MeshSpec(*expected) and solo(spec, 8, 32).sizes(8) == expected


@pytest.mark.parametrize(
    ("devices", "examples", "shared"),
    [(1, 32, 1), (2, 32, 2), (3, 32, 2), (5, 32, 4), (6, 32, 4), (7, 32, 4), (12, 32, 8), (6, 24, 6), (8, 33, 3), (7, 33, 3), (8, 37, 1)],
)
def test_one_model_uses_the_most_devices_that_share_its_examples_evenly(devices: int, examples: int, shared: int) -> None:
    assert solo(MeshSpec(member=-1), devices, examples) == MeshSpec(data=shared)


def test_examples_are_shared_beside_the_parameters_that_fsdp_splits() -> None:
    assert solo(MeshSpec(member=-1, data=2, fsdp=2), 6, 12) == MeshSpec(data=2, fsdp=2)
    assert solo(MeshSpec(member=-1, fsdp=2), 7, 8) == MeshSpec(data=2, fsdp=2)


def test_of_several_processes_none_is_left_without_a_device() -> None:
    assert solo(MeshSpec(member=-1), 6, 32, processes=3) == MeshSpec(member=3, data=2)
    assert solo(MeshSpec(member=-1), 3, 32, processes=3) == MeshSpec(member=3)
    devices = [SimpleNamespace(process_index=index // 2) for index in range(6)]
    with pytest.raises(UsageError, match="leaves process 2 without one"):
        make_mesh(MeshSpec(member=-1, data=2, fsdp=2), devices)


def test_of_two_rules_that_match_the_first_wins() -> None:
    placed = {"constants": {"final_norm": {"scale": shape(6, 4)}}, "params": {"final_norm": {"scale": shape(4)}}}
    assert tree.first_match(RULES, "params/final_norm/scale") != P() == tree.first_match(RULES, "constants/final_norm/scale")
    assert specs(placed) == {
        "constants": {"final_norm": {"scale": P(None, None)}},
        "params": {"final_norm": {"scale": P(("fsdp", "tensor"))}},
    }
    assert specs({"query": {"bias": shape(2, 4)}, "up": {"bias": shape(4)}}) == {
        "query": {"bias": P("tensor", None)},
        "up": {"bias": P(None)},
    }


@pytest.mark.parametrize("path", ["params/conv/weights", "params/dense/kernel", "params/kernel"])
def test_a_leaf_without_a_rule_is_an_error_that_names_it(path: str) -> None:
    with pytest.raises(UsageError, match=f"no sharding rule matches {path}"):
        specs(tree.unflatten({path: shape(4, 4), "params/up/kernel": shape(4, 4)}))


def test_scalars_need_no_rule_and_are_on_every_device() -> None:
    assert specs({"step": shape(), "nested": {"count": shape()}}) == {"step": P(), "nested": {"count": P()}}
    assert specs({"step": shape(3)}, ("member",)) == {"step": P("member")}


def test_stacked_layers_and_members_are_in_front_and_layers_are_not_split() -> None:
    leaves = {"layers": {"attention": {"query": {"kernel": shape(3, 8, 2, 4)}}, "mlp": {"down": {"kernel": shape(3, 16, 8)}}}}
    flat = tree.flatten(specs(leaves))
    assert flat == {"layers/attention/query/kernel": P(None, "fsdp", "tensor", None), "layers/mlp/down/kernel": P(None, "tensor", "fsdp")}
    members = {"mlp": {"up": {"A": shape(5, 8, 2), "B": shape(5, 2, 16)}}}
    assert tree.flatten(specs(members, ("member",))) == {"mlp/up/A": P("member", "fsdp", None), "mlp/up/B": P("member", None, "tensor")}


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("switches", [EVERY, *FAMILIES.values()], ids=["every", *FAMILIES])
def test_every_leaf_of_a_training_state_has_a_place_that_divides_it(switches: dict[str, Any], scan: bool) -> None:
    config = DecoderConfig(**{**TINY, **switches, "n_kv_heads": 2, "rope_scaling": (), "scan": scan})
    model = adapt(decoder(config), LoRA(("kernel$",), 2, 5.0))
    variables = jax.eval_shape(model.init, jax.random.key(0), BATCH)
    moves, stays = tree.partition(variables, ("^adapter/", "^params/"))
    whole = jax.eval_shape(lambda m, s: init_state(m, s, adamw(OptimizerSpec(2), 0.1)), moves, stays)
    spec_tree, mesh = specs(whole), make_mesh(MeshSpec(data=2, fsdp=2, tensor=2))
    check_divisible(mesh, whole, spec_tree)
    spec_of = tree.flatten(spec_tree.trainable)
    assert all(len(spec) == tree.flatten(whole.trainable)[path].ndim for path, spec in spec_of.items())
    whole_on_each = re.compile("bias|(query|key)_norm/scale$")
    kernels = {path: split_over(spec) for path, spec in spec_of.items() if path.startswith("params/") and not whole_on_each.search(path)}
    assert kernels and all(axes == {"fsdp", "tensor"} for axes in kernels.values()), kernels
    assert spec_tree.opt_state[1].mu == spec_tree.trainable
    assert all(not split_over(spec) for path, spec in spec_of.items() if re.search("(query|key)_norm/scale$", path))


@pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
def test_norms_of_queries_and_keys_are_the_same_on_a_mesh(kind: str) -> None:
    model = decoder(DecoderConfig(**{**TINY, **FAMILIES[kind], "n_kv_heads": 2, "n_layers": 1}))
    tokens = np.arange(16, dtype=np.int32).reshape(4, 4)
    rows = {"inputs": tokens, "targets": tokens[::-1].copy(), "weights": np.ones((4, 4), np.float32)}
    variables = drawn(model, rows)
    wanted, grads = (
        jit_step(jax.grad(lambda v, rows: cross_entropy(model, v, rows)[0]), (spec, P(("data", "fsdp"))), spec, make_mesh(mesh), donate=())(
            variables, rows
        )
        for mesh, spec in ((MeshSpec(), P()), (MeshSpec(data=2, fsdp=2, tensor=2), specs(variables)))
    )
    for path, leaf in tree.flatten(wanted).items():
        np.testing.assert_allclose(tree.flatten(grads)[path], leaf, rtol=0, atol=1e-5 * np.abs(leaf).max(), err_msg=path)
        assert np.abs(leaf).max() > 0


def split_over(spec: P) -> set[str]:
    return {name for part in spec if part for name in ((part,) if isinstance(part, str) else part)}


def test_an_axis_that_its_devices_do_not_divide_is_an_error_that_names_the_leaf() -> None:
    mesh, leaves = make_mesh(MeshSpec(fsdp=4, tensor=2)), {"mlp": {"up": {"kernel": shape(8, 6)}, "down": {"kernel": shape(6, 10)}}}
    with pytest.raises(UsageError, match=r"mlp/down/kernel has an axis of 10, which 4 devices \(fsdp\)"):
        check_divisible(mesh, leaves, specs(leaves))
    with pytest.raises(UsageError, match="final_norm/scale has an axis of 12, which 8 devices"):
        check_divisible(mesh, {"final_norm": {"scale": shape(12)}}, {"final_norm": {"scale": P(("fsdp", "tensor"))}})
    check_divisible(make_mesh(MeshSpec(fsdp=2, tensor=2)), leaves, specs(leaves))


def test_leaves_are_named_through_tuples_and_dicts() -> None:
    state = init_state({"params": {"up": {"kernel": jnp.ones((2, 2))}}}, {}, adamw(OptimizerSpec(2), 0.1))
    paths = [leaf_path(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    assert paths[:2] == ["step", "trainable/params/up/kernel"] and "opt_state/1/mu/params/up/kernel" in paths


def test_a_compiled_step_lays_its_results_out_and_takes_what_it_is_given() -> None:
    mesh, leaves = make_mesh(MeshSpec(fsdp=4, tensor=2)), {"up": {"kernel": jnp.arange(32.0).reshape(8, 4)}}
    placed = jax.device_put(leaves, shardings(mesh, specs(leaves)))
    double = jit_step(lambda x, y: (jax.tree.map(lambda leaf: y * leaf, x), y), (specs(leaves), P()), (specs(leaves), P()), mesh)
    done, _ = double(placed, jnp.float32(2.0))
    assert done["up"]["kernel"].addressable_shards[0].data.shape == (2, 2)
    np.testing.assert_array_equal(done["up"]["kernel"], 2 * np.arange(32.0).reshape(8, 4))
    assert placed["up"]["kernel"].is_deleted()


def test_a_leaf_with_fewer_axes_than_its_rule_is_an_error() -> None:
    with pytest.raises(UsageError, match="query/kernel of shape .* fewer axes"):
        specs({"params": {"query": {"kernel": shape(4, 4)}}})
