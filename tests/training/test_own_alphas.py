"""Members with an alpha of their own in one program are what programs built for that alpha train."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.adapters.lora import LoRA
from research.data.batches import batch, orders
from research.data.vocabulary import BYTES
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.optimizers import OptimizerSpec
from research.training.mesh import MeshSpec, make_mesh
from research.training.population import Members, Task, build, place

MODEL = decoder(DecoderConfig(d_model=16, d_mlp=32, n_layers=1, max_length=8))
DATA = np.random.default_rng(0).integers(1, 255, (64, 9)).astype(np.uint8)
SPEC = LoRA(targets=("attention/", "mlp/"), rank=4, alphas=(("mlp/down", 3.0),))
TASK = Task(MODEL, SPEC, ("^adapter/",), OptimizerSpec(8), functools.partial(batch, vocabulary=BYTES), further=("alpha",))
RANKS, ALPHAS = (1, 4, 4, 2), (2.0, 2.0, 32.0, 32.0)


def trained(task, members):
    mesh = make_mesh(MeshSpec(member=1))
    init = MODEL.init(jax.random.key(0), batch(jnp.zeros((1, 3), jnp.int32), BYTES))["params"]
    bases = place(mesh, jax.tree.map(lambda x: x[None], init))
    functions, count = build(task, bases, mesh), len(members.rank)
    windows = np.repeat(DATA[orders([0], 0, 8, 4, len(DATA))], count, 0)
    states, losses = functions.train(functions.init(members, bases), members, windows, bases)
    return {path: np.asarray(leaf) for path, leaf in tree.flatten({**states.trainable, **states.constants}).items()}, np.asarray(losses)


def members(ranks, alphas=None):
    some = np.zeros(len(ranks), np.int32), np.array(ranks, np.int32), np.full(len(ranks), 1e-2, np.float32), np.zeros(len(ranks), np.uint32)
    return Members(*some, alpha=None if alphas is None else np.array(alphas, np.float32))


@pytest.fixture(scope="module")
def together():
    return trained(TASK, members(RANKS, ALPHAS))


@pytest.mark.parametrize("alpha", [pytest.param(2.0, marks=pytest.mark.slow), 32.0])
def test_each_is_the_member_of_a_program_of_its_alpha(together, alpha):
    weights, losses = together
    own = [place for place, value in enumerate(ALPHAS) if value == alpha]
    task = dataclasses.replace(TASK, adapter=dataclasses.replace(SPEC, alpha=alpha), further=())
    alone, alone_losses = trained(task, members([RANKS[place] for place in own]))
    np.testing.assert_allclose(losses[own], alone_losses, rtol=2e-5)
    for path, leaf in alone.items():
        np.testing.assert_allclose(weights[path][own], leaf, rtol=1e-3, atol=1e-5, err_msg=path)


def test_members_differ_and_a_pattern_of_its_own_keeps_its_alpha(together):
    weights, losses = together
    assert np.ptp(losses[:, -1]) > 1e-3
    np.testing.assert_allclose(weights["constants/layers_0/mlp/down/scale"], 3.0 / np.array(RANKS))
    np.testing.assert_allclose(weights["constants/layers_0/mlp/up/scale"], np.array(ALPHAS) / RANKS)
