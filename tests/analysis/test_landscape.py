"""Profiles, surfaces and barriers of a loss in closed form, on any number of devices."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis import landscape
from research.errors import UsageError
from research.training.mesh import MeshSpec, make_mesh

XS, YS = np.linspace(-1, 1, 7), np.linspace(-2, 1, 5)  # 35 points, which eight devices do not divide
RNG = np.random.default_rng(0)
MATRIX = (lambda root: root + root.T)(RNG.standard_normal((6, 6)))
PARAMS = {"a": RNG.standard_normal((2, 2)).astype(np.float32), "b": RNG.standard_normal(2).astype(np.float32)}


def flat(tree: Any) -> Any:
    return jnp.concatenate([tree["a"].reshape(-1), tree["b"]])


def quadratic(params: Any, batch: Any) -> jax.Array:
    weights = flat(params)
    return 0.5 * weights @ batch @ weights


def exact(weights: np.ndarray) -> float:
    return 0.5 * weights @ MATRIX @ weights


def a_direction(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), PARAMS)


@pytest.fixture(params=[1, 2, 8])
def devices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Gives grids that many devices; a loss that was compiled for others is compiled again."""

    def forget() -> None:
        for compiled in (landscape._on_lines, landscape._on_a_plane, landscape._from_end_to_end):
            compiled.cache_clear()

    mesh = make_mesh(MeshSpec(member=-1), jax.devices()[: request.param])
    monkeypatch.setattr("research.training.spread.all_devices", lambda: mesh)
    forget()
    yield request.param
    forget()


def test_the_surface_of_a_quadratic_is_its_closed_form_on_any_devices(devices: int) -> None:
    assert devices == 1 or (XS.size * YS.size) % devices
    plane = a_direction(1), a_direction(2)
    found = landscape.surface(quadratic, PARAMS, np.float32(MATRIX), plane, XS, YS)
    start, first, second = (np.asarray(flat(tree), np.float64) for tree in (PARAMS, *plane))
    np.testing.assert_allclose(found, [[exact(start + x * first + y * second) for x in XS] for y in YS], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("at_once", [1, 3])
def test_the_profiles_of_a_quadratic_are_its_closed_form_on_any_devices(devices: int, at_once: int) -> None:
    assert devices == 1 or (3 * XS.size) % devices
    lines = [a_direction(seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *lines)
    found = landscape.profile(quadratic, PARAMS, np.float32(MATRIX), stacked, XS, at_once)
    start = np.asarray(flat(PARAMS), np.float64)
    expected = [[exact(start + x * np.asarray(flat(line), np.float64)) for x in XS] for line in lines]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_second_grid_of_the_same_shape_compiles_nothing_and_reads_its_own_batch() -> None:
    traced = []

    def loss(params: Any, batch: Any) -> jax.Array:
        traced.append(None)
        return quadratic(params, batch)

    plane = a_direction(1), a_direction(2)
    first = landscape.surface(loss, PARAMS, np.float32(MATRIX), plane, XS, YS)
    count = len(traced)
    np.testing.assert_allclose(landscape.surface(loss, PARAMS, np.float32(2 * MATRIX), plane, XS, YS), 2 * first, rtol=1e-5, atol=1e-5)
    assert len(traced) == count


def test_weights_of_a_short_type_keep_it_and_what_is_no_weight_stays() -> None:
    params = {"w": jnp.ones(2, jnp.bfloat16), "count": jnp.int32(3)}
    direction = {"w": np.float32([[1e-4, 1]]), "count": np.zeros(1, np.float32)}

    def loss(tree: Any, batch: Any) -> jax.Array:
        assert (tree["w"].dtype, tree["count"].dtype) == (jnp.bfloat16, jnp.int32)
        return (tree["w"].astype(jnp.float32) @ batch) * tree["count"]

    found = landscape.profile(loss, params, np.ones(2, np.float32), direction, [0, 1])
    np.testing.assert_array_equal(found, [[6, 9]])  # a step of 1e-4 is nothing to bfloat16


def test_losses_that_are_no_numbers_stay_so_one_by_one() -> None:
    found = landscape.profile(lambda w, batch: jnp.sqrt(w) + batch, np.float32(0), np.float32(1), np.ones(1, np.float32), [-1, 0, 4])
    np.testing.assert_array_equal(found, [[np.nan, 1, 3]])


def test_a_grid_of_foreign_directions_or_without_points_is_refused() -> None:
    one, other = a_direction(1), {"a": PARAMS["a"], "b": np.ones(3, np.float32)}
    with pytest.raises(UsageError, match=r"the second direction is of shape \(3,\) at b, where the parameters are \(2,\)"):
        landscape.surface(quadratic, PARAMS, np.float32(MATRIX), (one, other), XS, YS)
    with pytest.raises(UsageError, match="a direction is of another tree .* b$"):
        landscape.profile(quadratic, PARAMS, np.float32(MATRIX), {"a": one["a"][None]}, XS)
    with pytest.raises(UsageError, match="leading axis of directions"):
        landscape.profile(quadratic, PARAMS, np.float32(MATRIX), {"a": np.ones((3, 2, 2)), "b": np.ones((2, 2))}, XS)
    with pytest.raises(UsageError, match="finite numbers, at least one"):
        landscape.surface(quadratic, PARAMS, np.float32(MATRIX), (one, one), [], YS)


def test_a_barrier_of_too_few_points_or_between_two_models_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 3"):
        landscape.barrier(quadratic, PARAMS, PARAMS, np.float32(MATRIX), points=2)
    with pytest.raises(UsageError, match="the second solution is of another tree .* b$"):
        landscape.barrier(quadratic, PARAMS, {"a": PARAMS["a"]}, np.float32(MATRIX))
