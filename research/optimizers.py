"""AdamW with warm-up; the learning rate is an array, so that each member of a population has its own."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import optax
from jax import Array

from research import tree
from research.errors import UsageError

DECAYS = ("constant", "cosine", "linear")


@dataclasses.dataclass(frozen=True)
class OptimizerSpec:
    """AdamW (Loshchilov & Hutter 2019), clipped by global norm.

    warmup: fraction of `steps` over which the rate rises linearly; after it `schedule` is constant, cosine or linear (both to 0).
    clip: global norm above which gradients are scaled down; 0 turns clipping off.
    undecayed: patterns of paths that weight decay leaves alone.
    """

    steps: int
    schedule: str = "constant"
    warmup: float = 0.05
    b1: float = 0.9
    b2: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float = 1.0
    undecayed: tuple[str, ...] = ("norm", "bias")

    def __post_init__(self) -> None:
        if self.schedule not in DECAYS:
            raise UsageError(f"optimizer.schedule = {self.schedule!r}: choose one of {', '.join(DECAYS)}")
        if self.steps < 1 or not 0.0 <= self.warmup <= 1.0:
            raise UsageError(f"an optimizer of {self.steps} steps with warmup {self.warmup}: steps >= 1 and 0 <= warmup <= 1 are needed")
        if self.clip < 0:
            raise UsageError(f"optimizer.clip = {self.clip}: a norm above 0, or 0 for no clipping")


def learning_rate_at(spec: OptimizerSpec, peak: Array | float, step: Array) -> Array:
    """Returns the learning rate of 0-based `step`: linear warm-up to `peak`, then the schedule."""
    warmup = max(1, round(spec.warmup * spec.steps))
    rise = jnp.minimum(1.0, (step + 1) / warmup)
    progress = jnp.clip((step - warmup) / max(1, spec.steps - warmup), 0.0, 1.0)
    falls: dict[str, Any] = {"constant": 1.0, "cosine": 0.5 * (1.0 + jnp.cos(jnp.pi * progress)), "linear": 1.0 - progress}
    return peak * rise * falls[spec.schedule]


def adamw(spec: OptimizerSpec, learning_rate: Array | float, moves: Sequence[str] = ()) -> optax.GradientTransformation:
    """Returns the optimizer at a peak learning rate, which may be traced: one program then serves many rates.

    moves: patterns of what moves, for those that choose among stacked layers: see `tree.of_layers`. Others neither move nor clip.
    """

    def decayed(params: Any) -> Any:
        return tree.unflatten({p: not any(re.search(u, p) for u in spec.undecayed) for p in tree.flatten(params)})

    tx = optax.chain(
        optax.clip_by_global_norm(spec.clip) if spec.clip else optax.identity(),
        optax.scale_by_adam(spec.b1, spec.b2, spec.eps),
        optax.add_decayed_weights(spec.weight_decay, decayed) if spec.weight_decay else optax.identity(),
        optax.scale_by_learning_rate(lambda step: learning_rate_at(spec, learning_rate, step)),
    )
    return tx if all(tree.of_layers(pattern)[1] is None for pattern in moves) else _of_layers(tx, moves)


def _of_layers(tx: optax.GradientTransformation, moves: Sequence[str]) -> optax.GradientTransformation:
    """`tx` for the chosen layers of stacked leaves: the gradient and the update of all others are zero."""

    def kept(updates: Any) -> Any:
        leaves = tree.flatten(updates)
        for path, layers in tree.layers_chosen(moves, leaves).items():
            leaf = leaves[path]
            # To add -0.0 changes no bit, that of a zero's sign neither.
            leaves[path] = jnp.where(jnp.array(layers).reshape(-1, *(1,) * (leaf.ndim - 1)), leaf, jnp.array(-0.0, leaf.dtype))
        return tree.unflatten(leaves)

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        updates, state = tx.update(kept(grads), state, params)
        return kept(updates), state

    return optax.GradientTransformation(tx.init, update)
