"""Where an adapter can sit: the linear maps that a model calls, found by tracing it."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from research import tree
from research.models.model import Batch, Model

LINEAR = (nn.Dense, nn.DenseGeneral, nn.Embed)


class Site(NamedTuple):
    """A linear map W of shape stack + (inputs) + (outputs); `stack` is the layer axis of nn.scan, or empty."""

    module: str
    kernel: str
    inputs: int
    outputs: int
    stack: tuple[int, ...]

    @property
    def max_rank(self) -> int:
        """Returns min(inputs, outputs), above which a factorization is no restriction."""
        return min(self.inputs, self.outputs)


def kernel_name(module: nn.Module) -> str:
    """Returns the name of the matrix among the module's parameters."""
    return "embedding" if isinstance(module, nn.Embed) else "kernel"


def input_axes(module: nn.Module) -> int:
    """Returns how many leading axes of the module's matrix are inputs."""
    axis: Any = getattr(module, "axis", -1)
    return 1 if isinstance(axis, int) else len(axis)


def input_of(args: tuple, kwargs: dict) -> Any:
    """Returns what a linear map is called with."""
    return args[0] if args else next(iter(kwargs.values()))


def _is_plain(module: nn.Module, args: tuple, kwargs: dict) -> bool:
    """Whether the module maps the last axes of its input, all at once, as an adapter does."""
    if not isinstance(module, nn.DenseGeneral):
        return True
    ndim, axis = input_of(args, kwargs).ndim, module.axis if isinstance(module.axis, Sequence) else (module.axis,)
    return module.batch_dims == () and [a % ndim for a in axis] == list(range(ndim - len(axis), ndim))


def local_shape(module: nn.Module) -> tuple[int, ...]:
    """Returns the shape of a bound module's matrix, without the layer axis of nn.scan."""
    matrix: Any = module.get_variable("params", kernel_name(module))
    return tuple(matrix.shape)


def find_sites(model: Model, params: Mapping[str, Any], batch: Batch) -> dict[str, Site]:
    """Returns the sites of `model` by the path of their matrix ('params/layers_0/mlp/up/kernel'), without computing anything.

    The sites are read off a trace of `model.apply`, so modules inside nn.scan and nn.remat, and foreign models, are found as well. No
    sites: an embedding that also attends and is not declared tied, a DenseGeneral with batch axes, one whose input axes are not the last.
    `params` may hold arrays or shapes.
    """
    leaves = tree.flatten({"params": params})
    found: dict[str, Site] = {}
    twice: set[str] = set()

    def note(next_fun: Any, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
        module = context.module
        path = "/".join(module.path)
        name = f"params/{path}/{kernel_name(module)}"
        if isinstance(module, nn.Embed) and context.method_name == "attend":
            twice.add(name)
        if isinstance(module, LINEAR) and context.method_name == "__call__" and _is_plain(module, args, kwargs):
            local = local_shape(module)
            split = input_axes(module)
            stack = leaves[name].shape[: leaves[name].ndim - len(local)]
            found[name] = Site(path, name, math.prod(local[:split]), math.prod(local[split:]), stack)
        return next_fun(*args, **kwargs)

    with nn.intercept_methods(note):
        # A new function each time: JAX remembers the trace of a function it has seen, and would not run the interceptor again.
        jax.eval_shape(lambda p, b: model.apply({"params": p}, b).logits, params, batch)
    undeclared = {name for name in twice if not any(re.search(pattern, name) for pattern in model.tied)}
    return {name: found[name] for name in sorted(found.keys() - undeclared)}
