"""Layers that are stacked move one by one: as unrolled ones do, and those not chosen by no bit; and subspaces of a stacked, tied model."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from research import tree
from research.adapters.lora import LoRA
from research.adapters.merging import merge
from research.adapters.subspace import Subspace
from research.data.batches import batch
from research.data.vocabulary import BYTES
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.optimizers import OptimizerSpec
from research.training.population import Members, Task, init_member, join, train_member
from tests.models.drawing import drawn

LAYERS = 3
SIZES = {"vocab_size": 256, "d_model": 8, "d_mlp": 8, "n_layers": LAYERS, "max_length": 8, "tied": True}
WINDOWS = np.random.default_rng(0).integers(1, 15, (3, 2, 9)).astype(np.uint8)
TO_BATCH = functools.partial(batch, vocabulary=BYTES)
OPTIMIZER = OptimizerSpec(3, warmup=0.0, weight_decay=0.5, clip=0.01)
MEMBER = Members(0, 2, np.float32(0.1), np.uint32(1))


def task(scan: bool, *moves: str, adapter: Any = None) -> Task:
    return Task(decoder(DecoderConfig(**SIZES, scan=scan)), adapter, moves, OPTIMIZER, TO_BATCH)


def params(scan: bool) -> dict[str, Any]:
    unrolled = drawn(task(False).model, TO_BATCH(WINDOWS[0]))["params"]
    if not scan:
        return unrolled
    layers = jax.tree.map(lambda *x: np.stack(x), *(unrolled[f"layers_{index}"] for index in range(LAYERS)))
    return {**{name: leaf for name, leaf in unrolled.items() if "layers_" not in name}, "layers": layers}


def trained(what: Task, scan: bool) -> tuple[dict[str, Any], np.ndarray]:
    """Returns all variables after three steps by path, and the losses."""
    bases = jax.tree.map(lambda x: x[None], params(scan))

    def run(bases: Any) -> Any:
        state, losses = train_member(what, init_member(what, MEMBER, bases), MEMBER, WINDOWS, bases)
        return tree.combine(*join(jax.tree.map(lambda x: x[0], bases), state)), losses

    variables, losses = jax.device_get(jax.jit(run)(bases))
    return variables, losses


def test_chosen_layers_move_as_unrolled_ones_do_and_others_by_no_bit() -> None:
    mine, losses = trained(task(True, "mlp/up/kernel@0+2", "query/kernel@1", "final_norm"), True)
    theirs, wanted = trained(task(False, "layers_(0|2)/mlp/up/kernel", "layers_1/attention/query/kernel", "final_norm"), False)
    np.testing.assert_allclose(losses, wanted, rtol=1e-5)
    before, after, unrolled = (tree.flatten(x) for x in (params(True), mine["params"], theirs["params"]))
    moving = {"layers/mlp/up/kernel": (0, 2), "layers/attention/query/kernel": (1,)}
    for path, leaf in after.items():
        for layer in range(LAYERS) if path.startswith("layers/") else ():
            if layer not in moving.get(path, ()):
                assert leaf[layer].tobytes() == before[path][layer].tobytes(), (path, layer)
                continue
            assert (leaf[layer] != before[path][layer]).all()
            np.testing.assert_allclose(leaf[layer], unrolled[path.replace("layers", f"layers_{layer}")], rtol=1e-4, atol=1e-5)


def test_an_adapter_of_chosen_layers_leaves_the_others_alone() -> None:
    mine, losses = trained(task(True, "^adapter/", adapter=LoRA(("mlp/@1", "query"), 2)), True)
    before, merged = params(True)["layers"], merge(mine)["params"]["layers"]
    for name in ("up", "down"):
        moved = (merged["mlp"][name]["kernel"] != before["mlp"][name]["kernel"]).any((1, 2))
        np.testing.assert_array_equal(moved, [False, True, False])
    assert (merged["attention"]["query"]["kernel"] != before["attention"]["query"]["kernel"]).any((1, 2, 3)).all()
    assert losses[-1] < losses[0]


def test_fastfood_of_a_stacked_tied_model_is_the_same_side_by_side() -> None:
    what = task(True, "^adapter/", adapter=Subspace(20, "fastfood", per_layer=True))
    what = dataclasses.replace(what, optimizer=OptimizerSpec(3, warmup=0.0))
    bases = jax.tree.map(lambda x: x[None], params(True))
    members = Members(np.zeros(2, np.int32), np.array([11, 20], np.int32), np.full(2, 0.1, np.float32), np.arange(2, dtype=np.uint32))

    def run(member: Members) -> Any:
        state, losses = train_member(what, init_member(what, member, bases), member, WINDOWS, bases)
        return state.trainable["adapter"]["subspace"], losses

    side, turn = jax.jit(lambda m: (jax.vmap(run)(m), jax.lax.map(run, m)))(members)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), side, turn)
    v, scales = np.asarray(side[0]["v"]), LAYERS + 2
    assert (v[0, : 11 - scales] != 0).all() and (v[0, 11 - scales :] == 0).all() and (v[1] != 0).all()
    assert (np.asarray(side[0]["scales"]) != 1).all()
