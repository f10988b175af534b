"""Random projections P from R^width to R^size for theta = theta0 + P v, the intrinsic dimension's (Li et al. 2018, arXiv 1804.08838).

dense         Gaussian columns, orthonormalized by QR: O(size width) memory. The one that the others imitate.
count_sketch  one signed entry a row, every column about equally often: exactly orthonormal, O(size) memory and time.
fastfood      blocks of n = 2^ceil(log2 width) rows, H G Pi H B / sqrt(n size), with H Hadamard's matrix, G Gaussian, Pi a permutation
              and B signs (Le, Sarlos & Smola 2013; as in Aghajanyan et al. 2020, arXiv 2012.13255): each row is Gaussian, and the
              columns are orthonormal in expectation; O(1) memory, as G, Pi and B are drawn anew in each use, and O(size log width) time.
"""

import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from research.errors import UsageError

KINDS = ("dense", "count_sketch", "fastfood")
_FACTOR_BITS = 5  # H of n is a product of Hadamard factors of up to 2^4: the fastest on CPU, where 2^7 takes twice as long
_WORKING = 2**19  # numbers that fastfood works on at a time
_ROUNDS = 6  # of mixing in a permutation: from 5 on, no bit of the place shows any of the index; at 4 the last bit does


def draw(kind: str, key: Array, size: int, width: int, dimension: Array | int | None = None) -> dict[str, Array]:
    """Returns the constants of P, which is size x width; its columns from `dimension` (1 to width, may be traced) on are zero.

    The first columns of 'dense' and 'fastfood' are the same whatever the dimension; those of 'count_sketch' are not.
    Raises UsageError for an unknown kind, a width below 1 or above size, and a dimension, where it is not traced, outside 1 to width.
    """
    _check(kind, size, width, dimension)
    used = jnp.asarray(width if dimension is None else dimension, jnp.int32)
    if kind == "dense":
        return {"matrix": jnp.where(jnp.arange(width)[None, :] < used, _orthonormal(key, size, width), 0.0)}
    if kind == "count_sketch":
        place_key, sign_key = jax.random.split(key)
        bucket = jax.random.permutation(place_key, jnp.arange(size, dtype=jnp.int32)) % used
        count = size // used + (bucket < size % used)  # of the rows in the same bucket
        # `rademacher` would draw in the default type, which others may set to float64: other signs then.
        signs = 2.0 * jax.random.bernoulli(sign_key, jnp.float32(0.5), (size,)).astype(jnp.float32) - 1.0
        return {"bucket": bucket, "weight": signs / jnp.sqrt(count.astype(jnp.float32))}
    return {"seed": jax.random.bits(key, (2,), jnp.uint32), "dimension": used}


def _check(kind: str, size: int, width: int, dimension: Array | int | None) -> None:
    if kind not in KINDS:
        raise UsageError(f"projection {kind!r}: choose one of {', '.join(KINDS)}")
    if not 1 <= width <= size:
        raise UsageError(f"a dimension of {width}: must be between 1 and {size}, the number of parameters")
    if isinstance(dimension, int) and not 1 <= dimension <= width:
        raise UsageError(f"a dimension of {dimension}: must be between 1 and {width}, the width that it is padded to")


def _orthonormal(key: Array, size: int, width: int) -> Array:
    """Uniformly distributed: the signs of R's diagonal, which QR leaves to convention, are made positive (Mezzadri 2007)."""
    q, r = jnp.linalg.qr(jax.random.normal(key, (size, width), jnp.float32))
    return q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)[None, :]


def project(kind: str, constants: Mapping[str, Array], v: Array, size: int) -> Array:
    """Returns P v for v (width,), as float32 (size,): linear in v, with the transpose of P as its gradient, in memory of O(size)."""
    v = v.astype(jnp.float32)
    if kind == "dense":
        return jnp.matmul(constants["matrix"], v, precision="highest")
    if kind == "count_sketch":
        return constants["weight"] * v.at[constants["bucket"]].get(mode="promise_in_bounds")
    if kind == "fastfood":
        return _fastfood(constants["seed"], jnp.where(jnp.arange(v.size) < constants["dimension"], v, 0.0), size)
    raise UsageError(f"projection {kind!r}: choose one of {', '.join(KINDS)}")


def _fastfood(seed: Array, v: Array, size: int) -> Array:
    """Entries of H G Pi H B are sums of n signed normals, so that 1 / sqrt(n size) makes their variance 1 / size."""
    n = 1 << (v.size - 1).bit_length()
    padded = jnp.pad(v, (0, n - v.size))
    key = jax.random.wrap_key_data(seed, impl="threefry2x32")

    @functools.partial(jax.checkpoint, prevent_cse=False)  # the backward pass draws G, Pi and B anew, rather than keep those of all blocks
    def block(index: Array) -> Array:
        normal_key, place_key = jax.random.split(jax.random.fold_in(key, index))
        bits = jax.random.bits(normal_key, (n,), jnp.uint32)
        signs = 1.0 - 2.0 * (bits & 1).astype(jnp.float32)
        mixed = hadamard(signs * padded).at[permutation(place_key, n)].get(mode="promise_in_bounds")
        return hadamard(_normal(bits) / math.sqrt(n * size) * mixed)

    blocks = -(-size // n)
    rows = jax.lax.map(block, jnp.arange(blocks), batch_size=min(blocks, max(1, _WORKING // n)))
    return rows.reshape(-1)[:size]


def _normal(bits: Array) -> Array:
    """Standard normals of the upper 23 bits; the lower 9 stay free for another use."""
    centered = ((bits >> 9).astype(jnp.float32) + 0.5) * 2.0**-22 - 1.0  # in (-1, 1)
    return math.sqrt(2.0) * jax.lax.erf_inv(centered)


def permutation(key: Array, n: int) -> Array:
    """Returns a pseudo-random permutation of 0 to n - 1, n a power of two, as int32 (n,); every step is a bijection modulo n.

    It takes a tenth of the time of `jax.random.permutation`, which sorts, so that fastfood need not keep it.
    """
    bits = n.bit_length() - 1
    place = jnp.arange(n, dtype=jnp.uint32)
    for factor, shift in jax.random.bits(key, (_ROUNDS, 2), jnp.uint32):
        place = ((factor | 1) * place + shift) & (n - 1)
        place ^= place >> max(1, bits // 2)
    return place.astype(jnp.int32)


def hadamard(x: Array) -> Array:
    """Returns H x for x (n,), n a power of two, with H the matrix of +-1 in Sylvester's order: symmetric, and H H = n I."""
    bits = x.size.bit_length() - 1
    after = x.size
    for start in range(0, bits, _FACTOR_BITS):
        factor = 1 << min(_FACTOR_BITS, bits - start)
        after //= factor
        x = jnp.einsum("gf,bfr->bgr", _sylvester(factor), x.reshape(-1, factor, after), precision="highest")
    return x.reshape(-1)


def _sylvester(n: int) -> np.ndarray:
    index = np.arange(n)
    return 1.0 - 2.0 * (np.bitwise_count(index[:, None] & index[None, :]) % 2).astype(np.float32)
