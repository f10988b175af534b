"""Subspaces of several dimensions as members of one program: each is its own solo run."""

import functools
from typing import Any

import jax
import numpy as np

from research.adapters.subspace import Subspace
from research.data.labeled import batch
from research.models.classifiers import ClassifierConfig, classifier
from research.optimizers import OptimizerSpec
from research.training.mesh import MeshSpec, make_mesh
from research.training.population import Members, Population, Task, build, place

RNG = np.random.default_rng(0)
ROWS = np.concatenate([RNG.integers(0, 255, (64, 16)), RNG.integers(0, 3, (64, 1))], axis=1).astype(np.uint8)
MODEL = classifier(ClassifierConfig("mlp", (4, 4), hidden=(6,), classes=3))
TASK = Task(MODEL, Subspace(8), ("^adapter/",), OptimizerSpec(10), batch)
DIMENSIONS, STEPS = (2, 5, 8, 8), 10


def members(rows: list[int]) -> Members:
    columns = (np.zeros(4, np.int32), np.array(DIMENSIONS, np.int32), np.full(4, 0.1, np.float32), np.arange(4, dtype=np.uint32))
    return Members(*(column[rows] for column in columns))


@functools.cache
def built(mesh: MeshSpec) -> tuple[Population, Any]:
    """Returns the functions on a mesh, and the one base."""
    on, params = make_mesh(mesh), jax.jit(MODEL.init)(jax.random.key(0), batch(ROWS[:2]))["params"]
    bases = place(on, jax.tree.map(lambda x: x[None], params))
    return build(TASK, bases, on), bases


def trained(rows: list[int], mesh: MeshSpec) -> tuple[np.ndarray, np.ndarray]:
    functions, bases = built(mesh)
    windows = np.stack([ROWS[np.random.default_rng(seed).integers(0, 64, (STEPS, 4))] for seed in rows])
    states, losses = functions.train(functions.init(members(rows), bases), members(rows), windows, bases)
    return np.asarray(states.trainable["adapter"]["subspace"]["v"]), np.asarray(losses)


def test_a_member_is_its_solo_run_and_moves_in_its_own_dimensions_only() -> None:
    v, losses = trained([0, 1, 2, 3], MeshSpec(member=4))
    for row, dimension in enumerate(DIMENSIONS):
        alone, own = trained([row], MeshSpec())
        np.testing.assert_allclose(losses[row], own[0], rtol=1e-5)
        np.testing.assert_allclose(v[row], alone[0], rtol=1e-4, atol=1e-6)
        assert (v[row, :dimension] != 0).all() and (v[row, dimension:] == 0).all()
    assert not np.allclose(v[2], v[3])
