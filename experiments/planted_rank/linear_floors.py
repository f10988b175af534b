"""The loss floor of a linear student of each rank: with whitened inputs it is known exactly."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.planted_rank.spectra import exact_floor, spectrum
from research import tree
from research.adapters.adapt import adapt, attach
from research.adapters.lora import LoRA
from research.losses import Metrics
from research.models.model import Batch, Model, Variables, from_linen
from research.optimizers import OptimizerSpec, adamw
from research.training.mesh import P, jit_step, own_device
from research.training.step import init_state, make_train_step

INPUTS, OUTPUTS, EXAMPLES, STEPS, RATE = 16, 12, 32, 3000, 0.05


class _Linear(nn.Module):
    @nn.compact
    def __call__(self, batch: Batch, deterministic: bool = True) -> Array:
        return nn.Dense(OUTPUTS, use_bias=False, name="linear")(batch["inputs"])


def _squared_error(
    model: Model, variables: Variables, batch: Batch, reference: Any = None, key: Array | None = None
) -> tuple[Array, Metrics]:
    """The squared error, summed over outputs and averaged over examples."""
    error = ((model.apply(variables, batch, key=key).logits - batch["targets"]) ** 2).sum(-1).mean()
    return error, {"weight": jnp.ones(())}


@functools.cache
def _trainer(largest: int) -> Callable[..., Array]:
    """Returns the compiled (ranks, seed, params, batch) -> squared errors of students padded to rank `largest`."""
    model, spec = from_linen(_Linear()), LoRA(("linear/",), largest, alpha=8.0)
    adapted, tx = adapt(model, spec), adamw(OptimizerSpec(STEPS, schedule="cosine", clip=0.0), RATE)
    step = make_train_step(adapted, _squared_error, tx)

    def trained(rank: Array, seed: Array, params: Variables, batch: Batch) -> Array:
        variables = {"params": params, **attach(jax.random.key(seed), model, params, batch, spec, rank=rank)}
        moves, stays = tree.partition(variables, ("^adapter/",))
        final, _ = jax.lax.scan(lambda state, _: (step(state, batch)[0], None), init_state(moves, stays, tx), None, STEPS)
        return _squared_error(adapted, tree.combine(final.trainable, stays), batch)[0]

    def all_ranks(ranks: Array, seed: Array, params: Variables, batch: Batch) -> Array:
        return jax.lax.map(lambda rank: trained(rank, seed, params, batch), ranks)

    return jit_step(all_ranks, P(), P(), own_device(), donate=())


def measured_floors(values: np.ndarray, ranks: Sequence[int], seed: int) -> np.ndarray:
    """Returns the squared error after training a LoRA student of each rank (ranks,); the teacher's update has these singular values.

    Inputs are whitened: X^T X / n is the identity, so the error is the squared Frobenius norm of what is missing.
    """
    generator = np.random.default_rng(seed)
    shapes = ((EXAMPLES, INPUTS), (INPUTS, len(values)), (OUTPUTS, len(values)))
    inputs, left, right = (np.linalg.qr(generator.standard_normal(shape))[0] for shape in shapes)
    base = generator.standard_normal((INPUTS, OUTPUTS)) / np.sqrt(INPUTS)
    teacher = base + (left * values) @ right.T
    whitened = np.sqrt(EXAMPLES) * inputs
    batch = {"inputs": np.float32(whitened), "targets": np.float32(whitened @ teacher)}
    largest = min(INPUTS, OUTPUTS)
    padded = np.array([*ranks, *[0] * (largest + 1 - len(ranks))], np.int32)
    errors = _trainer(largest)(padded, np.uint32(seed), {"linear": {"kernel": np.float32(base)}}, batch)
    return np.asarray(errors)[: len(ranks)]


def floor_records(experiment: str, planted_ranks: Sequence[int], spectra: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yields measured and exact floors of students of rank 0 .. k, for each planted rank k that fits and each spectrum."""
    for kind in spectra:
        for planted in (k for k in planted_ranks if k <= min(INPUTS, OUTPUTS)):
            values, ranks = spectrum(kind, planted), range(planted + 1)
            for rank, measured in zip(ranks, measured_floors(values, ranks, seed=planted), strict=True):
                where = {"experiment": experiment, "cell": "", "phase": "linear", "spectrum": kind, "planted_rank": planted, "rank": rank}
                yield {**where, "metric": "floor", "value": float(measured), "unit": "1"}
                yield {**where, "metric": "exact_floor", "value": exact_floor(values, rank), "unit": "1"}
