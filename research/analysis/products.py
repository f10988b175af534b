"""Products of curvature matrices with vectors, without the matrices: Hessian, Gauss-Newton, empirical Fisher, and blocks of them.

A product is a function (params, batch, vector) -> tree; params is any pytree, vector a tree like it, batch any pytree (what is frozen may
travel in it). All are computed at matmul precision 'highest': on an accelerator the default rounds so that the Hessian is not symmetric.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from research import tree
from research.errors import UsageError
from research.training.mesh import leaf_path

Product: TypeAlias = Callable[[Any, Any, Any], Any]
Loss: TypeAlias = Callable[[Any, Any], Array]


def hvp(loss: Loss, params: Any, batch: Any, vector: Any) -> Any:
    """Returns the Hessian of `loss(params, batch)` times `vector`, a tree like `params`: forward over reverse (Pearlmutter 1994).

    About two gradients in time and memory. Raises UsageError for a vector of another tree.
    """
    check_like(params, vector, "the vector")
    with jax.default_matmul_precision("highest"):
        return jax.jvp(lambda at: jax.grad(loss)(at, batch), (params,), (vector,))[1]


@functools.lru_cache
def hessian(loss: Loss) -> Product:
    """Returns the product with the Hessian of `loss(params, batch)`, the same object for the same loss."""
    return functools.partial(hvp, loss)


@functools.lru_cache
def gauss_newton(outputs: Callable[[Any, Any], Any], criterion: Callable[[Any, Any], Array]) -> Product:
    """Returns the product with J' C J: J of `outputs(params, batch)`, C the Hessian of `criterion(outputs, batch)` in the outputs.

    The Hessian without its second derivatives of the outputs (Schraudolph 2002); no eigenvalue is negative where the criterion is convex.
    """

    def product(params: Any, batch: Any, vector: Any) -> Any:
        check_like(params, vector, "the vector")
        with jax.default_matmul_precision("highest"):
            found, pull = jax.vjp(lambda at: outputs(at, batch), params)
            _, moved = jax.jvp(lambda at: outputs(at, batch), (params,), (vector,))
            _, bent = jax.jvp(lambda at: jax.grad(criterion)(at, batch), (found,), (moved,))
            return pull(bent)[0]

    return product


@functools.lru_cache
def empirical_fisher(losses: Callable[[Any, Any], Array]) -> Product:
    """Returns the product with the mean over examples of g g', g the gradient of one of `losses(params, batch)` (n,).

    With the data's own labels: not the Fisher matrix, from which it differs away from a perfect fit (Kunstner et al. 2019).
    """

    def product(params: Any, batch: Any, vector: Any) -> Any:
        check_like(params, vector, "the vector")
        with jax.default_matmul_precision("highest"):
            found, pull = jax.vjp(lambda at: losses(at, batch), params)
            _, moved = jax.jvp(lambda at: losses(at, batch), (params,), (vector,))
            return pull(moved / found.size)[0]

    return product


@dataclasses.dataclass(frozen=True, eq=False)
class Masked:
    """The block of a product that belongs to the parameters of a mask; made by `on_mask`."""

    product: Product
    mask: Any

    def __call__(self, params: Any, batch: Any, vector: Any) -> Any:
        return self.cut(self.product(params, batch, self.cut(vector)))

    def cut(self, vector: Any) -> Any:
        """Returns a vector with zeros outside of the mask."""
        return jax.tree.map(lambda leaf, keep: jnp.where(keep, leaf, jnp.zeros_like(leaf)), vector, self.keeps(vector))

    def keeps(self, params: Any) -> Any:
        """Returns which entries belong: a tree like `params` of arrays of booleans, each with as many axes as its leaf, of size 1 or whole.

        Raises UsageError for a pattern that matches no path, and for a tree of another kind.
        """
        if not _are_patterns(self.mask):
            check_like(params, self.mask, "the mask", shapes=False)
            return jax.tree.map(lambda keep, leaf: np.asarray(keep, bool).reshape(np.shape(keep) or (1,) * leaf.ndim), self.mask, params)
        leaves = {leaf_path(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
        found = {path for pattern in self.mask for path in tree.matching(tree.of_layers(pattern)[0], leaves, "pattern of the mask")}
        chosen = tree.layers_chosen(self.mask, leaves)

        def keep(path: Sequence[Any], leaf: Any) -> np.ndarray:
            named = leaf_path(path)
            layers = np.array(chosen.get(named, [named in found]))
            return layers.reshape(layers.shape[: leaf.ndim] + (1,) * (leaf.ndim - 1))

        return jax.tree_util.tree_map_with_path(keep, params)


def on_mask(product: Product, mask: Any) -> Masked:
    """Returns the product with the block of some parameters, zero outside: the curvature of adapters only, or of one layer.

    mask: patterns of paths as `research.tree.matching` takes them (with @LAYERS for stacked ones), or a tree of booleans like the
    parameters, each of a leaf or of its entries. Probes and Lanczos vectors are drawn inside of it. With patterns, the same object for the
    same product.
    """
    patterns = (mask,) if isinstance(mask, str) else mask
    return _on_patterns(product, tuple(patterns)) if _are_patterns(patterns) else Masked(product, mask)


@functools.lru_cache
def _on_patterns(product: Product, patterns: tuple[str, ...]) -> Masked:
    return Masked(product, patterns)


def _are_patterns(mask: Any) -> bool:
    return isinstance(mask, list | tuple) and bool(mask) and all(isinstance(pattern, str) for pattern in mask)


def product_of(what: Callable[..., Any]) -> Product:
    """Returns a product as it is, and the Hessian's of a loss: what may be called as (params, batch) is a loss."""
    if isinstance(what, Masked):
        return what
    try:
        inspect.signature(what).bind(None, None)
    except TypeError:
        return what
    return hessian(what)


def draw(product: Product, params: Any, key: Array, normal: bool = False) -> Any:
    """Returns a random vector, a tree like `params`: signs (Rademacher), or standard normal entries; zero outside of a product's mask."""
    flat, unravel = ravel_pytree(params)
    vector = unravel((jax.random.normal if normal else jax.random.rademacher)(key, flat.shape, flat.dtype))
    return product.cut(vector) if isinstance(product, Masked) else vector


def quadratic_forms(product: Product, params: Any, batch: Any, key: Array, probes: int) -> Array:
    """Returns v'Hv (probes,) of random signs v, one after the other; traced, so that it may stand under jit or shard_map."""
    return jax.lax.map(lambda index: quadratic_form(product, index, params, batch, key), jnp.arange(probes))


def quadratic_form(product: Product, index: Array, params: Any, batch: Any, key: Array, basis: Any = None) -> Array:
    """Returns v'Hv of the probe of an index; v without what lies in an orthonormal basis (size, columns), if one is given."""
    vector, unravel = ravel_pytree(draw(product, params, jax.random.fold_in(key, index)))
    if basis is not None:
        vector = vector - jnp.matmul(basis, jnp.matmul(vector, basis, precision="highest"), precision="highest")
    return jnp.vdot(vector, ravel_pytree(product(params, batch, unravel(vector)))[0], precision="highest")


def image(product: Product, columns: int, params: Any, batch: Any, key: Array) -> tuple[Array, Array]:
    """Returns the trace of a product's matrix inside of the image of random vectors, and that image's orthonormal basis (size, columns)."""
    _, unravel = ravel_pytree(params)

    def times(vector: Array) -> Array:
        return ravel_pytree(product(params, batch, unravel(vector)))[0]

    def sketched(index: Array) -> Array:  # behind all indices of probes
        return times(ravel_pytree(draw(product, params, jax.random.fold_in(key, jnp.uint32(2**31) + index)))[0])

    found = jax.lax.map(sketched, jnp.arange(columns, dtype=jnp.uint32))
    with jax.default_matmul_precision("highest"):
        basis = jnp.linalg.qr(found.T)[0]
        inside = jax.lax.map(lambda vector: jnp.vdot(vector, times(vector)), basis.T)
    return inside.sum(), basis


def size(product: Product, params: Any) -> int:
    """Returns the rows of the matrix: the parameters, or those of the product's mask.

    Raises UsageError for parameters that are not of 32 or 64 bits, naming one: curvature is lost in rounding.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if leaf.dtype not in (jnp.float32, jnp.float64):
            raise UsageError(f"{leaf_path(path)} is of {leaf.dtype}: curvature is computed in float32 or float64; cast the parameters")
    leaves = jax.tree.leaves(params)
    if not isinstance(product, Masked):
        return sum(leaf.size for leaf in leaves)
    return sum(
        int(np.broadcast_to(keep, leaf.shape).sum()) for keep, leaf in zip(jax.tree.leaves(product.keeps(params)), leaves, strict=True)
    )


def check_like(params: Any, other: Any, what: str, shapes: bool = True) -> None:
    """Raises UsageError, naming a path, where `other` is not a tree like `params`, or of other shapes."""
    own, theirs = ({leaf_path(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(side)} for side in (params, other))
    if missing := sorted(own.keys() ^ theirs.keys()):
        raise UsageError(f"{what} is of another tree than the parameters: only one of them has {missing[0]}")
    for path in own if shapes else ():
        if np.shape(own[path]) != np.shape(theirs[path]):
            raise UsageError(f"{what} is of shape {np.shape(theirs[path])} at {path}, where the parameters are {np.shape(own[path])}")
