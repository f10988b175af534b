"""`adapt`: a model with an adapter is again a model."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
from jax import Array

from research import tree
from research.adapters import forms, lora, subspace
from research.adapters.sites import find_sites
from research.errors import UsageError
from research.models.model import Batch, Model, Variables

Adapter = lora.LoRA | subspace.Subspace


def adapt(model: Model, spec: Adapter) -> Model:
    """Returns `model` with a low-rank adapter, or within a random subspace; at initialization it computes what `model` does.

    Its variables are the base's 'params', untouched, with 'adapter' (A and B) and 'constants' (the scale) beside them.
    Raises UsageError at init for targets that do not exist, ranks that do not fit, and tied matrices.
    """

    def init(key: Array, batch: Batch) -> Variables:
        base = model.init(key, batch)
        variables = {**base, **attach(key, model, base["params"], batch, spec)}
        if isinstance(spec, lora.LoRA):
            _check_seen(model, variables, batch)
        return variables

    def settle(variables: Variables) -> Variables:
        return subspace.displaced(variables, spec) if isinstance(spec, subspace.Subspace) else variables

    def adapted(function: Callable[..., Any], variables: Variables, *args: Any, key: Array | None = None, **rest: Any) -> Any:
        if isinstance(spec, subspace.Subspace):
            return function(settle(variables), *args, key=key, **rest)
        interceptor = forms.fused if spec.form == "fused" else forms.factored(spec.dropout, key is not None)
        with nn.intercept_methods(interceptor):
            return function(variables, *args, key=key, **rest)

    hidden, head = (None if part is None else functools.partial(adapted, part) for part in (model.hidden, model.head))
    return Model(init, functools.partial(adapted, model.apply), model.tied, hidden, head, settle)


def _check_seen(model: Model, variables: Variables, batch: Batch) -> None:
    """Raises UsageError for adapters that no module sees, as under a foreign nn.scan that does not carry their collections."""
    seen: set[str] = set()

    def note(next_fun: Any, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
        if forms.is_adapted(context):
            seen.add("/".join(context.module.path))
        return next_fun(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(lambda v, b: model.apply(v, b).logits, variables, batch)
    adapted = {path.rpartition("/")[0] for path in tree.flatten(variables["adapter"])}
    if lost := sorted(adapted - seen):
        words = "add 'adapter': 0 and 'constants': 0 to the variable_axes of the nn.scan or nn.vmap around it"
        raise UsageError(f"the adapter of {', '.join(lost)} would do nothing: its module does not see it; {words}")


def attach(
    key: Array, model: Model, params: Mapping[str, Any], batch: Batch, spec: Adapter, *, rank: Array | None = None
) -> dict[str, Any]:
    """Returns the collections 'adapter' and 'constants' that `adapt(model, spec)` needs beside an existing base.

    `rank` may be traced and stands for `spec.rank` (a subspace's `dimension`), to which what is trained is padded: see `lora.initialize`.
    """
    if isinstance(spec, subspace.Subspace):
        return subspace.initialize(jax.random.fold_in(key, 1), params, spec, rank)
    targets = lora.targeted(find_sites(model, params, batch), spec, model.tied)
    return lora.initialize(jax.random.fold_in(key, 1), targets, spec, rank)
