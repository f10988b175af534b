"""The form of a population on a GPU: members side by side by vmap, in bfloat16, where cuDNN has conditions."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.custom_batching import custom_vmap

from research.adapters import lora
from research.adapters.lora import LoRA
from research.data.batches import batch
from research.data.vocabulary import BYTES
from research.models import decoder as decoders
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.optimizers import OptimizerSpec
from research.training.mesh import MeshSpec, make_mesh
from research.training.population import Members, Task, build, evaluate_member, init_member, place, train_member

COUNT = 4
WINDOWS = np.random.default_rng(0).integers(1, 255, (COUNT, 6, 2, 9)).astype(np.uint8)
MEMBERS = Members(
    np.zeros(COUNT, np.int32), np.array([1, 2, 3, 3], np.int32), np.full(COUNT, 1e-2, np.float32), np.arange(COUNT, dtype=np.uint32)
)


def task(**changes: Any) -> Task:
    model = decoder(DecoderConfig(d_model=16, d_mlp=32, n_layers=1, max_length=8, **changes))
    return Task(
        model, LoRA(("attention/(query|value)",), 3, 6.0), ("^adapter/",), OptimizerSpec(6), functools.partial(batch, vocabulary=BYTES)
    )


def one_base(what: Task) -> Any:
    params = jax.jit(what.model.init)(jax.random.key(0), batch(WINDOWS[0, 0], BYTES))["params"]
    return jax.tree.map(lambda x: x[None], params)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), pytest.param("bfloat16", 2e-2, marks=pytest.mark.slow)])
def test_members_side_by_side_equal_members_in_turn(dtype: str, tolerance: float) -> None:
    turn, mesh = task(dtype=dtype), make_mesh(MeshSpec())
    bases = place(mesh, one_base(turn))
    losses = []
    for side in (1, COUNT):
        functions = build(dataclasses.replace(turn, vmap=side), bases, mesh)
        states, trained = functions.train(functions.init(MEMBERS, bases), MEMBERS, WINDOWS, bases)
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(states.trainable))
        losses.append(np.asarray(trained))
    np.testing.assert_allclose(losses[1], losses[0], rtol=tolerance)
    assert np.ptp(losses[0][:, -1]) > tolerance * losses[0].mean()


def test_query_key_and_value_all_carry_the_member_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapters on query and value alone, one base, one text for all: the key is shared unless the batch is the member's own."""
    seen = []

    @custom_vmap
    def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        return q

    @attention.def_vmap
    def rule(size: int, batched: list[bool], q: jax.Array, k: jax.Array, v: jax.Array) -> tuple[jax.Array, bool]:
        seen.append(tuple(batched))
        return q, True

    monkeypatch.setattr(decoders.jax.nn, "dot_product_attention", lambda q, k, v, **_: attention(q, k, v))
    what = task(attention="cudnn", dtype="bfloat16")

    def evaluated(members: Members) -> Any:
        bases = one_base(what)
        states = jax.vmap(lambda member: init_member(what, member, bases))(members)
        return jax.vmap(lambda state, member: evaluate_member(what, state, member, bases, WINDOWS[0]))(states, members)

    jax.eval_shape(evaluated, MEMBERS)
    assert seen and set(seen) == {(True, True, True)}


def test_no_step_drops_by_a_key_that_drew_the_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, dropped = [], []
    initialize = lora.initialize

    def noted(key: jax.Array, *args: Any) -> Any:
        drawn.append(tuple(np.asarray(jax.random.key_data(key)).tolist()))
        return initialize(key, *args)

    def apply(variables: Any, rows: Any, *, key: jax.Array | None = None, **rest: Any) -> Any:
        if key is not None:
            jax.debug.callback(lambda bits: dropped.append(tuple(bits.tolist())), jax.random.key_data(key))
        return plain.model.apply(variables, rows, **rest)

    monkeypatch.setattr(lora, "initialize", noted)
    plain = task()
    what = dataclasses.replace(plain, model=plain.model._replace(apply=apply, hidden=None), dropout=True)
    bases, member = one_base(plain), jax.tree.map(lambda x: x[0], MEMBERS)
    train_member(what, init_member(what, member, bases), member, WINDOWS[0], bases)
    jax.effects_barrier()
    assert len(drawn) == 1 and len(set(dropped)) == len(WINDOWS[0]) and not set(drawn) & set(dropped)
