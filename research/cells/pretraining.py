"""Pretraining, a stage of its own: resumed when interrupted, kept by fingerprint, reused by every experiment."""

import dataclasses
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from research.data.batches import batch, orders, windows
from research.data.corpus import Corpus
from research.data.vocabulary import BYTES
from research.errors import UsageError
from research.losses import cross_entropy
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.models.model import Model, Variables
from research.optimizers import OptimizerSpec, adamw
from research.runtime.devices import cache_folder
from research.runtime.progress import Interrupted, Progress, stop_requested
from research.runtime.turns import turn
from research.sweeps import fingerprint
from research.training import checkpoints, processes
from research.training.mesh import P, check_divisible, jit_step, shardings, specs
from research.training.step import TrainState, init_state, make_train_step

STAGE = 1  # raise by hand when the meaning of a pretrained base changes
CHUNK = 50
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """How a base is made: model, optimizer, peak learning rate, batch (windows of `model.max_length` tokens), in how many parts, seed."""

    model: DecoderConfig
    optimizer: OptimizerSpec
    learning_rate: float
    batch_size: int
    accumulate: int
    seed: int


class Base(NamedTuple):
    """A pretrained base: its parameters, the fingerprint of what made them, and the seconds this call spent (0 from the cache)."""

    params: Variables
    fingerprint: str
    seconds: float


def example_batch() -> dict[str, Any]:
    """Returns the smallest batch, to initialize or to trace a model with; parameters do not depend on a batch's shape."""
    return batch(jnp.zeros((1, 3), jnp.int32), BYTES)


def parameter_shapes(model: Model) -> Variables:
    """Returns the parameters of a model as shapes."""
    return jax.eval_shape(model.init, jax.random.key(0), example_batch())["params"]


def check_batch(key: str, size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """Raises UsageError, naming the config's `key`, when a batch does not divide into its parts over the mesh's data and fsdp axes."""
    examples = mesh.shape["data"] * mesh.shape["fsdp"]
    if min(size, accumulate) < 1 or size % (examples * accumulate):
        parts = f" in {accumulate} parts" if accumulate != 1 else ""
        raise UsageError(
            f"{key} = {size} is not divisible{parts} by the {examples} devices that share a batch; change it, or mesh.data and mesh.fsdp"
        )


def initializer(model: Model, mesh: Mesh) -> Callable[[int], Variables]:
    """Returns seed -> fresh parameters, made under jit in their shardings: no device and no host ever holds them whole."""

    def init(key: jax.Array) -> Variables:
        return model.init(key, example_batch())["params"]

    shapes = parameter_shapes(model)
    spec_tree = specs({"params": shapes})["params"]
    check_divisible(mesh, shapes, spec_tree)
    compiled = jit_step(init, P(), spec_tree, mesh, donate=())
    return lambda seed: compiled(jax.random.key(seed))


def pretrain(spec: Pretraining, corpus: Corpus, mesh: Mesh, progress: Progress) -> Base:
    """Returns the base that `spec` makes from `corpus`, from the cache when it stands there.

    Raises UsageError when the loss becomes non-finite, naming the step; Interrupted, after saving, when a stop is requested.
    """
    name = fingerprint({"stage": STAGE, "spec": dataclasses.asdict(spec), "data": corpus.fingerprint})
    folder = cache_folder(os.environ) / "bases" / name
    start = time.monotonic()
    run, steps = _Run(spec, corpus, mesh), spec.optimizer.steps
    # A base that is finished is only read: from a cache that others fill and this user may not write to, too.
    if checkpoints.newest(folder) == steps:
        state, done = run.restored(folder)
        if done == steps:
            return _cached(state, name)
    with turn(folder, "the base"):
        state, done = run.restored(folder)
        if done == steps:
            return _cached(state, name)
        state = run.advance(state, done, folder, progress)
    return Base(state.trainable["params"], name, time.monotonic() - start)


def _cached(state: TrainState, name: str) -> Base:
    _log.info("pretrained base %s from the cache", name)
    return Base(state.trainable["params"], name, 0.0)


class _Run:
    """One pretraining in flight: its compiled chunk and its data on the devices."""

    def __init__(self, spec: Pretraining, corpus: Corpus, mesh: Mesh) -> None:
        self.spec, self.mesh = spec, mesh
        self.windows = windows(corpus.parts["train"], spec.model.max_length)
        self.model = decoder(spec.model)
        self.tx = adamw(spec.optimizer, spec.learning_rate)

    def fresh(self) -> TrainState:
        params = initializer(self.model, self.mesh)(self.spec.seed)

        def begin(params: Variables) -> TrainState:
            return init_state({"params": params}, {}, self.tx)

        after = specs(jax.eval_shape(begin, params))
        return jit_step(begin, (specs({"params": params})["params"],), after, self.mesh, donate=())(params)

    def restored(self, folder: Path) -> tuple[TrainState, int]:
        """The newest state that is saved, or a fresh one, and its step."""
        like = self.fresh()
        found = checkpoints.restore(folder, like)
        return (like, 0) if found is None else (found[1], found[0])

    def chunk(self, like: TrainState) -> Any:
        """The compiled chunk of steps: (state, rows (step, batch, time + 1)) -> (state, losses)."""
        axis = "data" if self._by_hand() else None
        step = make_train_step(self.model, cross_entropy, self.tx, self.spec.accumulate, axis)
        key = jax.random.key(self.spec.seed) if self.spec.model.dropout else None

        def run(state: TrainState, rows: jax.Array) -> tuple[TrainState, jax.Array]:
            def one(carry: TrainState, row: jax.Array) -> tuple[TrainState, jax.Array]:
                carry, metrics = step(carry, batch(row, BYTES), key)
                return carry, metrics["loss"]

            return jax.lax.scan(one, state, rows)

        if axis:
            run = jax.shard_map(run, mesh=self.mesh, in_specs=(P(), P(None, axis)), out_specs=P(), check_vma=False)
        state_specs = specs(like)
        return jit_step(run, (state_specs, P(None, ("data", "fsdp"))), (state_specs, P()), self.mesh)

    def _by_hand(self) -> bool:
        """Whether gradients are better summed as one array: XLA's CPU backend sums each parameter's apart, 2.7 ms a step against 0.2."""
        sizes = self.mesh.shape
        on_hosts = self.mesh.devices.flat[0].platform == "cpu" and not self.spec.model.dropout
        return on_hosts and sizes["data"] > 1 and sizes["fsdp"] * sizes["tensor"] == 1

    def rows(self, first: int, steps: int) -> jax.Array:
        order = orders([self.spec.seed], first, steps, self.spec.batch_size, len(self.windows))[0]
        return processes.place(self.windows[order], shardings(self.mesh, P(None, ("data", "fsdp"))))

    def advance(self, state: TrainState, done: int, folder: Path, progress: Progress) -> TrainState:
        chunk, total, saves = self.chunk(state), self.spec.optimizer.steps, checkpoints.Autosave(folder)
        with progress.task("pretraining", total) as task:
            task.advance(done)
            while done < total:
                steps = min(CHUNK, total - done)
                state, losses = chunk(state, self.rows(done, steps))
                losses = processes.fetch(losses)
                if not np.isfinite(losses).all():
                    step = done + int(np.argmin(np.isfinite(losses)))
                    raise UsageError(f"the pretraining loss is not finite at step {step}; lower pretraining.learning_rate and run again")
                done += steps
                task.advance(steps, bits=float(losses[-1] / np.log(2)))
                stop = stop_requested()
                if done == total or stop or saves.due:
                    saves.save(done, state)
                if stop and done < total:
                    raise Interrupted(f"pretraining is saved at step {done} of {total}")
        return state
