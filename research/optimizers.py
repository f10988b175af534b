"""AdamW with warm-up; the learning rate is an array, so that each member of a population has its own."""

import dataclasses
import re
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


def learning_rate_at(spec: OptimizerSpec, peak: Array | float, step: Array) -> Array:
    """Returns the learning rate of 0-based `step`: linear warm-up to `peak`, then the schedule."""
    warmup = max(1, round(spec.warmup * spec.steps))
    rise = jnp.minimum(1.0, (step + 1) / warmup)
    progress = jnp.clip((step - warmup) / max(1, spec.steps - warmup), 0.0, 1.0)
    falls: dict[str, Any] = {"constant": 1.0, "cosine": 0.5 * (1.0 + jnp.cos(jnp.pi * progress)), "linear": 1.0 - progress}
    return peak * rise * falls[spec.schedule]


def adamw(spec: OptimizerSpec, learning_rate: Array | float) -> optax.GradientTransformation:
    """Returns the optimizer at a peak learning rate, which may be traced: one program then serves many rates."""

    def decayed(params: Any) -> Any:
        return tree.unflatten({p: not any(re.search(u, p) for u in spec.undecayed) for p in tree.flatten(params)})

    return optax.chain(
        optax.clip_by_global_norm(spec.clip) if spec.clip else optax.identity(),
        optax.scale_by_adam(spec.b1, spec.b2, spec.eps),
        optax.add_decayed_weights(spec.weight_decay, decayed) if spec.weight_decay else optax.identity(),
        optax.scale_by_learning_rate(lambda step: learning_rate_at(spec, learning_rate, step)),
    )
