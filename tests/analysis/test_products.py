"""Products against the matrices that they stand for, blocks of them, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from research.analysis.curvature import Search, spectral_density, top_eigenvalues, trace
from research.analysis.products import empirical_fisher, gauss_newton, hessian, hvp, on_mask, product_of, size
from research.errors import UsageError

RNG = np.random.default_rng(0)
PARAMS = {
    "layers": {"kernel": RNG.standard_normal((2, 3, 3)).astype(np.float32)},
    "head": {"kernel": RNG.standard_normal((3, 4)).astype(np.float32), "bias": RNG.standard_normal(4).astype(np.float32)},
}
BATCH = {"x": RNG.standard_normal((7, 3)).astype(np.float32), "y": RNG.integers(0, 4, 7)}
FLAT, UNRAVEL = ravel_pytree(PARAMS)
PATHS = ["head/bias"] * 4 + ["head/kernel"] * 12 + ["layers/kernel@0"] * 9 + ["layers/kernel@1"] * 9


def outputs(params, batch):
    x = batch["x"]
    for layer in range(2):
        x = jnp.tanh(x @ params["layers"]["kernel"][layer])
    return x @ params["head"]["kernel"] + params["head"]["bias"][None, :]


def each(logits, batch):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), batch["y"][:, None], 1)[:, 0]


def criterion(logits, batch):
    return each(logits, batch).mean()


def losses(params, batch):
    return each(outputs(params, batch), batch)


def loss(params, batch):
    return losses(params, batch).mean()


def columns(product):
    """Returns the matrix that a product stands for, column by column."""
    flat = jax.jit(lambda params, batch, vector: ravel_pytree(product(params, batch, UNRAVEL(vector)))[0])
    return np.stack([flat(PARAMS, BATCH, row) for row in np.eye(FLAT.size, dtype=np.float32)], axis=1)


@functools.lru_cache
def dense():
    return np.asarray(jax.jit(jax.hessian(lambda x: loss(UNRAVEL(x), BATCH)))(FLAT))


def test_hessian_gauss_newton_and_fisher_are_the_dense_ones():
    np.testing.assert_allclose(columns(hessian(loss)), dense(), atol=2e-6)
    jacobian = jax.jit(jax.jacrev(lambda x: outputs(UNRAVEL(x), BATCH).ravel()))(FLAT)
    bend = jax.hessian(lambda logits: criterion(logits.reshape(7, 4), BATCH))(outputs(PARAMS, BATCH).ravel())
    newton = columns(gauss_newton(outputs, criterion))
    np.testing.assert_allclose(newton, jacobian.T @ bend @ jacobian, atol=2e-6)
    assert np.linalg.eigvalsh(newton).min() > -1e-6 and np.linalg.eigvalsh(dense()).min() < -1e-2
    gradients = np.asarray(jax.jit(jax.jacrev(lambda x: losses(UNRAVEL(x), BATCH)))(FLAT))
    np.testing.assert_allclose(columns(empirical_fisher(losses)), gradients.T @ gradients / 7, atol=2e-6)


@pytest.mark.parametrize(
    ("mask", "inside"),
    [
        ("^head/", lambda path: path.startswith("head")),
        (["bias$", "layers/@1"], lambda path: path in ("head/bias", "layers/kernel@1")),
        ({"layers": {"kernel": False}, "head": {"kernel": True, "bias": False}}, lambda path: path == "head/kernel"),
    ],
)
def test_a_block_is_the_matrix_inside_the_mask_and_zero_outside(mask, inside):
    product = on_mask(hessian(loss), mask)
    keep = np.array([inside(path) for path in PATHS])
    np.testing.assert_allclose(columns(product), dense() * np.outer(keep, keep), atol=2e-6)
    assert size(product, PARAMS) == keep.sum()


def test_what_is_read_of_a_block_knows_only_its_parameters():
    shifted = lambda params, batch: loss(params, batch) - 0.5 * (params["head"]["bias"] ** 2).sum() * 10  # noqa: E731
    product = on_mask(hessian(shifted), "^head/bias$")
    values = np.linalg.eigvalsh((dense() - 10 * np.eye(FLAT.size))[:4, :4])
    found = top_eigenvalues(product, PARAMS, BATCH, 4, key=jax.random.key(0), search=Search(vectors=True))
    np.testing.assert_allclose(found.values, values[::-1], rtol=1e-4)  # all below 0, which is no eigenvalue of the block
    assert not np.any(found.vectors["head"]["kernel"]) and np.any(found.vectors["head"]["bias"])
    density = spectral_density(product, PARAMS, BATCH, 3, 30, key=jax.random.key(0))
    assert density.size == 4 and density.negative_share().value == pytest.approx(1)
    whole = trace(product, PARAMS, BATCH, 2, key=jax.random.key(0), deflated=4)
    assert whole.value == pytest.approx(values.sum(), rel=1e-5)


def test_a_mask_of_entries_cuts_inside_of_a_leaf():
    mask = {"layers": {"kernel": False}, "head": {"kernel": np.eye(3, 4, dtype=bool), "bias": False}}
    assert size(on_mask(hessian(loss), mask), PARAMS) == 3


def test_the_same_loss_has_the_same_product_and_a_product_is_its_own():
    assert product_of(loss) is hessian(loss) is product_of(hessian(loss))
    assert on_mask(hessian(loss), "bias") is on_mask(hessian(loss), ["bias"])
    assert product_of(on_mask(hessian(loss), "bias")) is on_mask(hessian(loss), "bias")
    fisher = empirical_fisher(losses)
    assert product_of(fisher) is fisher

    def optional(params, batch, key=None):
        return loss(params, batch)

    assert product_of(optional) is hessian(optional)


def test_what_does_not_fit_is_refused_in_one_line():
    with pytest.raises(UsageError, match="only one of them has head/bias"):
        hvp(loss, PARAMS, BATCH, {**PARAMS, "head": {"kernel": PARAMS["head"]["kernel"]}})
    with pytest.raises(UsageError, match=r"of shape \(3,\) at head/bias, where the parameters are \(4,\)"):
        hvp(loss, PARAMS, BATCH, {**PARAMS, "head": {**PARAMS["head"], "bias": np.zeros(3, np.float32)}})
    with pytest.raises(UsageError, match="pattern of the mask 'adapter' matches nothing"):
        size(on_mask(hessian(loss), "adapter"), PARAMS)
    with pytest.raises(UsageError, match="the mask is of another tree"):
        size(on_mask(hessian(loss), {"head": True}), PARAMS)
    short = {**PARAMS, "head": {**PARAMS["head"], "bias": jnp.zeros(4, jnp.bfloat16)}}
    with pytest.raises(UsageError, match="head/bias is of bfloat16"):
        size(hessian(loss), short)
