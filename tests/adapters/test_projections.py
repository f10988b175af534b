"""Random projections: what each is as a matrix, how it is distributed, and that one program serves every dimension."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from research.adapters import projections
from research.adapters.projections import KINDS, draw, hadamard, permutation, project
from research.errors import UsageError

SIZE, WIDTH = 1000, 24  # neither is a power of two: fastfood pads 24 to 32, and cuts the last of 32 blocks
DIMENSIONS = (1, 7, 16, 23)
SEEDS = 20
each = pytest.mark.parametrize("kind", KINDS)
exact = pytest.mark.parametrize("kind", ["dense", "count_sketch"])


def explicit(kind: str, constants: dict[str, Any], size: int = SIZE, width: int = WIDTH) -> jax.Array:
    return jax.vmap(lambda column: project(kind, constants, column, size), out_axes=1)(jnp.eye(width))


@functools.cache
def drawn(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns P and the gradient of u.(P v) for a random u: with all columns of SEEDS keys, then of key 0 with DIMENSIONS of them.

    One compiled program, under vmap.
    """

    def both(seed: jax.Array, dimension: jax.Array) -> tuple[jax.Array, jax.Array]:
        constants = draw(kind, jax.random.key(seed), SIZE, WIDTH, dimension)
        gradient = jax.grad(lambda v: jax.random.normal(jax.random.key(1), (SIZE,)) @ project(kind, constants, v, SIZE))
        return explicit(kind, constants), gradient(jnp.ones(WIDTH))

    seeds = jnp.array([*range(SEEDS), *[0 for _ in DIMENSIONS]])
    return tuple(map(np.asarray, jax.jit(jax.vmap(both))(seeds, jnp.array([*[WIDTH] * SEEDS, *DIMENSIONS]))))


def matrices(kind: str) -> np.ndarray:
    return drawn(kind)[0][:SEEDS]


def by_dimension(kind: str) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Returns (dimension, P, gradient)."""
    return list(zip((WIDTH, *DIMENSIONS), *(np.concatenate([x[:1], x[SEEDS:]]) for x in drawn(kind)), strict=True))


@each
def test_it_is_linear_and_its_gradient_is_the_transpose(kind: str) -> None:
    @jax.jit
    def all_ways(v: jax.Array, w: jax.Array, u: jax.Array) -> tuple[jax.Array, ...]:
        constants = draw(kind, jax.random.key(0), SIZE, WIDTH)
        image, pull = jax.vjp(lambda v: project(kind, constants, v, SIZE), v)
        pushed = jax.jvp(lambda v: project(kind, constants, v, SIZE), (v,), (w,))[1]
        return image, pull(u)[0], project(kind, constants, 2 * v - 3 * w, SIZE), pushed

    p, random = matrices(kind)[0], np.random.default_rng(0)
    v, w, u = (random.normal(size=n).astype(np.float32) for n in (WIDTH, WIDTH, SIZE))
    found = all_ways(v, w, u)
    assert found[0].shape == (SIZE,) and found[0].dtype == jnp.float32
    for one, expected in zip(found, (p @ v, p.T @ u, p @ (2 * v - 3 * w), p @ w), strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-5)
    assert not np.allclose(p @ v, p @ w, atol=0.1)


def test_fastfood_in_turns_is_fastfood_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """32 blocks in turns of 3 leave a rest of 2; neither P nor its transpose may depend on it."""
    monkeypatch.setattr(projections, "_WORKING", 100)

    @jax.jit
    def both(u: jax.Array) -> tuple[jax.Array, jax.Array]:
        constants = draw("fastfood", jax.random.key(0), SIZE, WIDTH)
        image, pull = jax.vjp(lambda v: project("fastfood", constants, v, SIZE), jnp.ones(WIDTH))
        return image, pull(u)[0]

    p, u = matrices("fastfood")[0], np.random.default_rng(0).normal(size=SIZE).astype(np.float32)
    for found, expected in zip(both(u), (p.sum(axis=1), p.T @ u), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@exact
def test_columns_are_orthonormal(kind: str) -> None:
    for p in matrices(kind):
        np.testing.assert_allclose(p.T @ p, np.eye(WIDTH), atol=1e-5)


def test_fastfood_is_orthonormal_up_to_chance() -> None:
    """A column's squared norm and the product of two columns are sums of SIZE terms +-g^2: both vary by sqrt(2 / SIZE) = 0.045."""
    p, deviation = matrices("fastfood"), (2 / SIZE) ** 0.5
    gram = np.swapaxes(p, 1, 2) @ p
    norms, products = np.diagonal(gram, axis1=1, axis2=2), gram[:, ~np.eye(WIDTH, dtype=bool)]
    assert abs(norms.mean() - 1) < 5 * deviation * SEEDS**-0.5  # the norms of one key's columns vary together
    assert np.abs(norms - 1).max() < 6 * deviation and np.abs(products).max() < 6 * deviation
    np.testing.assert_allclose(products.std(), deviation, rtol=0.2)


@each
def test_lengths_are_kept(kind: str) -> None:
    v = np.random.default_rng(0).normal(size=(WIDTH, 50))
    ratio = ((matrices(kind) @ v) ** 2).sum(1) / (v**2).sum(0)[None, :]
    if kind == "fastfood":
        assert abs(ratio.mean() - 1) < 0.05 and np.abs(ratio - 1).max() < 6 * (2 / SIZE) ** 0.5  # of which it varies by one
    else:
        np.testing.assert_allclose(ratio, 1, atol=1e-4)


@each
def test_entries_are_centered_and_of_variance_one_in_size(kind: str) -> None:
    p = matrices(kind)
    assert abs(p.mean()) < 5 * SIZE**-0.5 * p.size**-0.5
    np.testing.assert_allclose(SIZE * (p**2).mean(), 1, atol=0.05)
    if kind == "count_sketch":
        assert (np.count_nonzero(p, axis=2) == 1).all()
        counts = np.count_nonzero(p, axis=1)
        assert counts.min() == SIZE // WIDTH and counts.max() == SIZE // WIDTH + 1


@each
def test_rows_are_gaussian_except_those_of_the_sketch(kind: str) -> None:
    """The kurtosis of m normals varies by sqrt(24 / m): 0.011 here; a sketch's is its width."""
    kurtosis = scipy.stats.kurtosis(matrices(kind), axis=None, fisher=False)
    assert (abs(kurtosis - 3) < 0.1) == (kind != "count_sketch"), kurtosis


def test_the_permutation_makes_the_entries_of_a_block_different() -> None:
    """Without Pi, H G H would have n absolute values in its n x n entries, in another order in each row."""
    for p in matrices("fastfood"):
        block = p[:32]
        assert len(np.unique(np.abs(block).round(6))) > 0.8 * block.size


@pytest.mark.parametrize("n", [1, 4, 1024])
def test_a_permutation_has_every_place_once(n: int) -> None:
    found = np.asarray(jax.jit(jax.vmap(lambda seed: permutation(jax.random.key(seed), n)))(jnp.arange(300)))
    np.testing.assert_array_equal(np.sort(found, axis=1), np.broadcast_to(np.arange(n), (300, n)))
    if n == 1024:
        before, after = (1 - 2 * ((x[..., None] >> np.arange(10)) & 1).astype(np.float32) for x in (np.arange(n), found))
        correlation = np.einsum("ka,skb->sab", before, after) / n
        # As of a random one, each bit of the place and each of the index; the mean square of 300 varies by sqrt(2 / 300) = 0.08.
        np.testing.assert_allclose((correlation**2).mean(axis=0) * n, 1, atol=0.5)
        assert abs(found[:, 0].mean() / n - 0.5) < 5 * (1 / 12 / 300) ** 0.5


@each
def test_two_keys_give_two_projections(kind: str) -> None:
    p = matrices(kind)
    assert all(np.abs(p[i] - p[j]).max() > 0.01 for i in range(8) for j in range(i))


@each
def test_columns_beyond_a_traced_dimension_are_zero_and_no_other(kind: str) -> None:
    for dimension, p, gradient in by_dimension(kind):
        assert p[:, :dimension].any(axis=0).all() and not p[:, dimension:].any()
        assert gradient[:dimension].all() and not gradient[dimension:].any()


@exact
def test_columns_up_to_a_traced_dimension_are_orthonormal(kind: str) -> None:
    for dimension, p, _ in by_dimension(kind):
        np.testing.assert_allclose(p.T @ p, np.diag(np.arange(WIDTH) < dimension), atol=1e-5)


@each
def test_the_same_key_in_another_program_gives_the_same_whether_traced_or_not(kind: str) -> None:
    alone = jax.jit(lambda: explicit(kind, draw(kind, jax.random.key(0), SIZE, WIDTH, 7)))
    np.testing.assert_allclose(alone(), by_dimension(kind)[2][1], atol=1e-5)


@each
@pytest.mark.parametrize(("size", "width"), [(1, 1), (33, 32)])
def test_small_ones_keep_their_shape(kind: str, size: int, width: int) -> None:
    p = jax.jit(lambda: explicit(kind, draw(kind, jax.random.key(0), size, width), size, width))()
    assert p.shape == (size, width) and np.isfinite(p).all() and np.linalg.matrix_rank(p) == width


@pytest.mark.parametrize("n", [1, 8, 64, 2048])
def test_the_fast_transform_is_hadamards_matrix(n: int) -> None:
    x = np.random.default_rng(0).normal(size=n).astype(np.float32)
    np.testing.assert_allclose(jax.jit(hadamard)(x), scipy.linalg.hadamard(n) @ x, atol=1e-5 * n)


@each
@pytest.mark.parametrize(("width", "dimension"), [(0, None), (SIZE + 1, None), (-1, None), (8, 9), (8, 0)])
def test_a_dimension_that_does_not_fit_is_a_users_mistake(kind: str, width: int, dimension: int | None) -> None:
    with pytest.raises(UsageError, match="must be between 1 and"):
        draw(kind, jax.random.key(0), SIZE, width, dimension)


def test_an_unknown_kind_is_a_users_mistake() -> None:
    for wrong in (lambda: draw("sparse", jax.random.key(0), 8, 4), lambda: project("sparse", {}, jnp.ones(4), 8)):
        with pytest.raises(UsageError, match="dense, count_sketch, fastfood"):
            wrong()


@pytest.mark.parametrize("kind", KINDS)
def test_double_precision_elsewhere_in_the_process_changes_no_draw_and_no_type(kind: str) -> None:
    single = draw(kind, jax.random.key(3), 12, 4)
    with jax.enable_x64(True):
        double = draw(kind, jax.random.key(3), 12, 4)
    for name, leaf in double.items():
        assert leaf.dtype == single[name].dtype, name
        np.testing.assert_allclose(leaf, single[name], rtol=1e-6, atol=1e-6)
