"""Members that are pulled to where they began: each is its own solo run, with a strength and an importance of its own."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research import tree
from research.data.batches import batch, orders
from research.data.vocabulary import BYTES
from research.losses import anchored
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.optimizers import OptimizerSpec, adamw
from research.training.mesh import MeshSpec, make_mesh
from research.training.population import Members, Task, build, place
from research.training.step import init_state, make_train_step

MODEL = decoder(DecoderConfig(d_model=16, d_mlp=32, n_layers=1, max_length=8))
DATA = np.random.default_rng(0).integers(1, 255, (64, 9)).astype(np.uint8)
STEPS, RATE = 12, 1e-2
PLAIN = Task(MODEL, None, ("^params/",), OptimizerSpec(STEPS), functools.partial(batch, vocabulary=BYTES), vmap=2)
ANCHORED = dataclasses.replace(PLAIN, loss=anchored, further=("reference", "strength", "importance"))
ONES, MATTERS = 2, 3  # places in the stack, behind two bases
#           free  even  matters  harder  other base  pulled to the other base
BASE = (0, 0, 0, 0, 1, 0)
START = (0, 0, 0, 0, 1, 1)
STRENGTH = (0.0, 0.5, 0.5, 5.0, 5.0, 0.5)
IMPORTANCE = (MATTERS, ONES, MATTERS, MATTERS, ONES, ONES)
COUNT = len(BASE)
WINDOWS = DATA[orders([0], 0, STEPS, 4, len(DATA))]  # the same for all, so that what differs is the pull
Trained = tuple[dict[str, np.ndarray], np.ndarray]


def members(importance: tuple[int, ...] = IMPORTANCE, strength: tuple[float, ...] = STRENGTH) -> Members:
    further = np.array(START, np.int32), np.array(strength, np.float32), np.array(importance, np.int32)
    rates = np.full(COUNT, RATE, np.float32)
    return Members(np.array(BASE, np.int32), np.zeros(COUNT, np.int32), rates, np.zeros(COUNT, np.uint32), *further)


@pytest.fixture(scope="module")
def stack() -> Any:
    """Two bases, ones, and weights that matter differently, each shaped like a base."""
    init = jax.jit(jax.vmap(lambda key: MODEL.init(key, batch(jnp.zeros((1, 3), jnp.int32), BYTES))["params"]))
    bases = init(jax.random.split(jax.random.key(0), 2))
    drawn = np.random.default_rng(1)
    return jax.tree.map(lambda x: np.stack([*np.asarray(x), np.ones_like(x[0]), drawn.exponential(size=x[0].shape).astype(x.dtype)]), bases)


def trained(task: Task, stack: Any, some: Members) -> list[Trained]:
    mesh = make_mesh(MeshSpec())
    bases = place(mesh, stack)
    functions = build(task, bases, mesh)
    states, losses = functions.train(functions.init(some, bases), some, np.repeat(WINDOWS, COUNT, 0), bases)
    flat = {path: np.asarray(leaf) for path, leaf in tree.flatten(states.trainable).items()}
    return [({path: leaf[i] for path, leaf in flat.items()}, np.asarray(losses)[i]) for i in range(COUNT)]


@pytest.fixture(scope="module")
def pulled(stack: Any) -> list[Trained]:
    return trained(ANCHORED, stack, members())


@pytest.fixture(scope="module")
def solos(stack: Any) -> list[Trained]:
    """Each member trained by itself: its loss is written out, and neither a population nor `anchored` has a part in it."""

    def loss(model: Any, variables: Any, rows: Any, reference: Any, key: Any) -> Any:
        start, importance, strength = reference
        nll = optax.softmax_cross_entropy_with_integer_labels(model.apply(variables, rows).logits, rows["targets"])
        moved = [
            weight * (at - begun) ** 2
            for at, begun, weight in zip(*map(jax.tree.leaves, (variables["params"], start, importance)), strict=True)
        ]
        return nll.mean() + strength / 2 * sum(x.sum() for x in moved), {"weight": rows["weights"]}

    tx = adamw(OptimizerSpec(STEPS), RATE)
    step = make_train_step(MODEL, loss, tx)

    @jax.jit
    def alone(base: Any, start: Any, importance: Any, strength: Any) -> Any:
        def one(state: Any, rows: Any) -> Any:
            state, metrics = step(state, batch(rows, BYTES), None, (start, importance, strength))
            return state, metrics["loss"]

        state, losses = jax.lax.scan(one, init_state({"params": base}, {}, tx), WINDOWS[0])
        return state.trainable, losses

    found = []
    for base, start, strength, importance in zip(BASE, START, STRENGTH, IMPORTANCE, strict=True):
        trees = [jax.tree.map(lambda x, i=index: x[i], stack) for index in (base, start, importance)]
        weights, losses = alone(*trees, np.float32(strength))
        found.append(({path: np.asarray(leaf) for path, leaf in tree.flatten(weights).items()}, np.asarray(losses)))
    return found


def apart(one: Trained, other: Trained) -> float:
    """Returns the largest difference of a weight, beside the rate at which weights move."""
    return max(float(np.abs(one[0][path] - other[0][path]).max()) for path in one[0]) / RATE


def test_an_anchored_member_is_its_own_solo_run(pulled: list[Trained], solos: list[Trained]) -> None:
    for mine, alone in zip(pulled, solos, strict=True):
        np.testing.assert_allclose(mine[1], alone[1], rtol=1e-5)
        assert apart(mine, alone) < 0.02


def test_a_member_of_no_strength_is_a_plain_one(pulled: list[Trained], stack: Any) -> None:
    plain = trained(PLAIN, stack, Members(*members()[:4]))[0]
    np.testing.assert_allclose(pulled[0][1], plain[1], rtol=1e-6)
    assert apart(pulled[0], plain) < 1e-3


def test_without_an_importance_all_weights_matter_alike(pulled: list[Trained], stack: Any) -> None:
    alike = dataclasses.replace(ANCHORED, further=("reference", "strength"))
    found = trained(alike, stack, members()._replace(importance=None))
    for index in (1, 4, 5):
        assert apart(found[index], pulled[index]) < 0.02
    assert apart(found[2], pulled[2]) > 0.5


def test_each_member_has_a_strength_a_start_and_an_importance_of_its_own(pulled: list[Trained]) -> None:
    free, even, matters, harder, _, elsewhere = pulled
    for one, other in ((free, even), (even, matters), (matters, harder), (even, elsewhere)):
        assert apart(one, other) > 0.5
    begins = [losses[0] for _, losses in (free, even, matters, harder)]
    assert begins == pytest.approx([begins[0]] * 4, rel=1e-6)  # nothing has moved yet
    assert elsewhere[1][0] > begins[0] + 10  # from the other base it has


def test_an_importance_of_another_place_is_told_apart(solos: list[Trained], stack: Any) -> None:
    swapped = trained(ANCHORED, stack, members(importance=tuple({ONES: MATTERS, MATTERS: ONES}[place] for place in IMPORTANCE)))
    assert apart(swapped[0], solos[0]) < 0.02  # to no strength it is one
    assert min(apart(*pair) for pair in list(zip(swapped, solos, strict=True))[1:]) > 0.5
