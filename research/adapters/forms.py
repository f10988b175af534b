"""Two ways to compute y = x (W + s A B) inside a model, both equal to `merge`.

factored  y = x W + (x s A) B. Works everywhere: dropout, forward-mode differentiation, a W that moves as well.
fused     y = [x, s x A] [W; B] in one product, with a backward pass that never forms dW.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from research.adapters.sites import LINEAR, input_axes, input_of, kernel_name
from research.errors import UsageError


def best_form(wish: str, platform: str, dropout: float) -> str:
    """Returns `wish`, or for 'auto' the faster form on this platform: see docs/design.md."""
    if wish != "auto":
        return wish
    return "fused" if platform == "cpu" and not dropout else "factored"


def _low_rank(module: nn.Module) -> tuple[Array, Array, Array]:
    return module.get_variable("adapter", "A"), module.get_variable("adapter", "B"), module.get_variable("constants", "scale")


def is_adapted(context: nn.module.InterceptorContext) -> bool:
    """Returns whether an intercepted call is that of a linear map which has an adapter."""
    module = context.module
    return isinstance(module, LINEAR) and context.method_name == "__call__" and module.has_variable("adapter", "A")


def _flat_inputs(module: nn.Module, x: Array) -> Array:
    axes = input_axes(module)
    return x.reshape(*x.shape[: x.ndim - axes], -1)


def factored(dropout: float, train: bool) -> Callable[..., Any]:
    """Returns the interceptor that adds (x s A) B to what an adapted module returns; dropout acts on the adapter's input."""

    def intercept(next_fun: Any, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
        y = next_fun(*args, **kwargs)
        if not is_adapted(context):
            return y
        a, b, scale = _low_rank(context.module)
        a, b, x = (scale * a).astype(y.dtype), b.astype(y.dtype), input_of(args, kwargs)
        if isinstance(context.module, nn.Embed):
            hidden = jnp.take(a, x, axis=0)
        else:
            x = _flat_inputs(context.module, x.astype(y.dtype))
            if dropout and train:
                keep = jax.random.bernoulli(context.module.make_rng("dropout"), jnp.float32(1.0 - dropout), x.shape)
                x = jnp.where(keep, x / (1.0 - dropout), 0.0).astype(y.dtype)
            hidden = x @ a
        return y + (hidden @ b).reshape(y.shape)

    return intercept


def _joined(x: Array, w: Array, b: Array) -> Array:
    """[W; B] for a W of any shape. It is made into a matrix here, not outside: what a scan of layers keeps is then its own stack of W."""
    return jnp.concatenate([w.reshape(x.shape[-1], -1).astype(b.dtype), b], axis=0)


def _fused_forward(x: Array, w: Array, a: Array, b: Array) -> tuple[Array, Array]:
    z = x @ a
    return jnp.concatenate([x, z], axis=-1) @ _joined(x, w, b), z


@jax.custom_vjp
def fused_product(x: Array, w: Array, a: Array, b: Array) -> Array:
    """Returns x W + (x A) B for x (n, inputs), a W of any shape and type, as one product; its backward pass treats W as frozen."""
    return _fused_forward(x, w, a, b)[0]


def _fwd(x: Any, w: Any, a: Any, b: Any) -> tuple[Array, tuple]:
    if w.perturbed:
        raise UsageError("adapter.form = 'fused' never forms dW, but an adapted matrix itself moves here; choose adapter.form=factored")
    y, z = _fused_forward(x.value, w.value, a.value, b.value)
    return y, (x.value, w.value, a.value, b.value, z)


def _bwd(saved: tuple, g: Array) -> tuple:
    x, w, a, b, z = saved
    if isinstance(g, jax.custom_derivatives.SymbolicZero):
        return jnp.zeros_like(x), None, jnp.zeros_like(a), jnp.zeros_like(b)
    both = g @ _joined(x, w, b).T
    dx, dz = both[:, : x.shape[1]], both[:, x.shape[1] :]
    # Behind the barrier, XLA's CPU backend cannot turn dA into x.T @ dz, a product 2 to 7 times slower.
    return dx + dz @ a.T, jnp.zeros_like(w), jax.lax.optimization_barrier(dz.T @ x).T, z.T @ g


fused_product.defvjp(_fwd, _bwd, symbolic_zeros=True)


def fused(next_fun: Any, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
    """Intercepts an adapted Dense or DenseGeneral with `fused_product`; other modules, Embed among them, keep the factored form."""
    module = context.module
    if not is_adapted(context) or isinstance(module, nn.Embed):
        return factored(0.0, False)(next_fun, args, kwargs, context)
    a, b, scale = _low_rank(module)
    kernel: Array = module.get_variable("params", kernel_name(module))
    x = input_of(args, kwargs)
    dtype = module.dtype or jnp.result_type(x, kernel)
    x = _flat_inputs(module, x.astype(dtype))
    flat = fused_product(x.reshape(-1, x.shape[-1]), kernel, (scale * a).astype(dtype), b.astype(dtype))
    y = flat.reshape(*x.shape[:-1], *kernel.shape[input_axes(module) :])
    if not module.has_variable("params", "bias"):
        return y
    bias: Array = module.get_variable("params", "bias")
    return y + bias.astype(dtype).reshape((1,) * (y.ndim - bias.ndim) + bias.shape)
