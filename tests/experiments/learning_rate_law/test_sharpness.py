"""The largest eigenvalue that an adapter meets is that of the whole Hessian in the coordinates that its rank has, padded or not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learning_rate_law.sharpness import top, within_rank
from research import tree
from research.adapters.lora import LoRA
from research.analysis.lanczos import Tridiagonal, ritz, truncated
from research.data.batches import batch
from research.data.vocabulary import BYTES
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.optimizers import OptimizerSpec
from research.training.population import Members, Task, split

MODEL = decoder(DecoderConfig(d_model=8, d_mlp=8, n_layers=1, n_heads=1, n_kv_heads=1, max_length=8))
ROWS = np.random.default_rng(0).integers(32, 127, (6, 9)).astype(np.uint8)
PARAMS = MODEL.init(jax.random.key(0), {"inputs": jnp.zeros((1, 8), jnp.int32)})["params"]


def task(widest):
    spec = LoRA(targets=("mlp/up",), rank=widest)
    return Task(MODEL, spec, ("^adapter/",), OptimizerSpec(steps=4), lambda rows: batch(rows, BYTES), further=("alpha",))


def member(rank, alpha):
    return Members(jnp.int32(0), jnp.int32(rank), jnp.float32(0), jnp.uint32(3), alpha=jnp.float32(alpha))


def read(widest, rank, alpha):
    found = jax.jit(functools.partial(top, task(widest), len(ROWS), 30))((PARAMS, member(rank, alpha), jnp.asarray(ROWS)))
    cut = truncated(Tridiagonal(np.asarray(found.diagonal), np.asarray(found.beside)))
    return [ritz(cut, end).values[0] for end in ("smallest", "largest")]


def dense(rank, alpha):
    """Both ends of the spectrum of the Hessian as a matrix, of an adapter that is not padded."""
    own = task(rank)
    moves, constants = split(own, PARAMS, member(rank, alpha))
    flat, unravel = jax.flatten_util.ravel_pytree(moves)

    def loss(vector):
        variables = tree.combine(unravel(vector), {"params": PARAMS, **constants})
        return own.loss(own.adapted, variables, own.to_batch(jnp.asarray(ROWS)))[0]

    with jax.default_matmul_precision("highest"):
        return np.linalg.eigvalsh(np.asarray(jax.jit(jax.hessian(loss))(flat), np.float64))[[0, -1]]


@pytest.mark.parametrize(("rank", "alpha"), [(1, 4.0), (2, 1.0)])
def test_it_is_that_of_the_hessian_as_a_matrix_whatever_the_padding(rank, alpha):
    assert read(4, rank, alpha) == pytest.approx(dense(rank, alpha), rel=1e-3)


def test_columns_beyond_the_rank_would_bend_the_loss_if_they_were_not_cut():
    moves, constants = split(task(4), PARAMS, member(1, 4.0))
    flat, unravel = jax.flatten_util.ravel_pytree(moves)

    def loss(vector, cut):
        variables = tree.combine(cut(unravel(vector)), {"params": PARAMS, **constants})
        return task(4).loss(task(4).adapted, variables, task(4).to_batch(jnp.asarray(ROWS)))[0]

    def rank_of(cut):
        return np.linalg.matrix_rank(np.asarray(jax.jit(jax.hessian(lambda vector: loss(vector, cut)))(flat)), tol=1e-5)

    own = sum(leaf.size for leaf in jax.tree.leaves(split(task(1), PARAMS, member(1, 4.0))[0]))
    assert rank_of(lambda moved: within_rank(moved, jnp.int32(1))) <= own < rank_of(lambda moved: moved)


def test_a_members_alpha_is_the_factor_times_its_rank():
    _, constants = split(task(4), PARAMS, member(2, 5.0))
    assert {float(leaf) for leaf in jax.tree.leaves(constants)} == {2.5}
    _, usual = split(task(4), PARAMS, member(2, 5.0)._replace(alpha=None))
    assert {float(leaf) for leaf in jax.tree.leaves(usual)} == {8.0}  # LoRA's own alpha, 16
