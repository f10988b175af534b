"""Our side of a public model's shape: layers scanned, the head tied, adapters in the form that a CPU takes."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import workload
from jax import Array

from research import tree
from research.adapters.adapt import adapt, attach
from research.adapters.forms import best_form
from research.adapters.lora import LoRA
from research.losses import cross_entropy
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.models.model import Model, Variables, count
from research.optimizers import OptimizerSpec, adamw
from research.training.mesh import P, jit_step, own_device
from research.training.step import TrainState, init_state, make_train_step

SHAPE = DecoderConfig(
    **workload.SMOLLM2,
    max_length=256,
    mlp="gated",
    activation="silu",
    norm_eps=1e-5,
    rope_theta=1e5,
    tied=True,
    scan=True,
)
OPTIMIZER = OptimizerSpec(1, warmup=0.0, b1=workload.B1, b2=workload.B2, eps=workload.EPS, clip=workload.CLIP)
Answer = dict[str, Any]


def rows(*shape: int) -> dict[str, np.ndarray]:
    """Returns random tokens (..., time) and what follows each of them."""
    tokens = np.random.default_rng(0).integers(0, SHAPE.vocab_size, (*shape[:-1], shape[-1] + 1), np.int32)
    return {"inputs": tokens[..., :-1], "targets": tokens[..., 1:], "weights": np.ones(shape, np.float32)}


def _trained(model: Model, params: Any, kind: str) -> tuple[Model, TrainState]:
    """The model that is trained, and the state before its first step."""
    if kind == "full":
        return model, init_state({"params": params}, {}, adamw(OPTIMIZER, 0.0))
    targets = ("attention/.*kernel", "mlp/.*kernel")
    spec = LoRA(targets, workload.RANK, workload.ALPHA, form=best_form("auto", jax.default_backend(), 0.0))
    added = jax.jit(lambda p: attach(jax.random.key(1), model, p, rows(1, 2), spec))(params)
    moves, stays = tree.partition({"params": params, **added}, ("^adapter/",))
    return adapt(model, spec), init_state(moves, stays, adamw(OPTIMIZER, 0.0))


def _steps(job: Answer, model: Model, params: Any) -> tuple[Callable[[], list[float]], Answer]:
    """A call of several steps, which donates what moves and returns their losses; and what is counted."""
    kind = job["kind"]
    adapted, state = _trained(model, params, kind)
    counts = {"base": count(params), "moves": count(state.trainable)}
    step = make_train_step(adapted, cross_entropy, adamw(OPTIMIZER, workload.RATES[kind]))
    batches, moving, frozen = rows(job["steps"], 2, 128), state._replace(frozen={}), state.frozen
    del state

    def many(moving: TrainState, frozen: Variables, batches: Any) -> tuple[TrainState, Array]:
        def one(carry: TrainState, rows: Any) -> tuple[TrainState, Array]:
            done, metrics = step(carry._replace(frozen=frozen), rows)
            return done._replace(frozen={}), metrics["loss"]

        return jax.lax.scan(one, moving, batches)

    program = jit_step(many, P(), P(), own_device()).lower(moving, frozen, batches).compile()

    def call() -> list[float]:
        nonlocal moving
        moving, losses = program(moving, frozen, batches)
        return np.asarray(losses).tolist()

    return call, counts


def run(job: Answer, begin: Callable[[], None]) -> Answer:
    """Returns the answer to one job: seconds of a forward pass or of a step, by the clock and of processors, one value a call."""
    start = time.perf_counter()
    model = decoder(SHAPE)
    params = jit_step(model.init, P(), P(), own_device(), donate=())(jax.random.key(0), rows(1, 2))["params"]
    if job["kind"] == "forward":
        tokens = rows(1, 256)["inputs"]
        apply = jit_step(lambda p, x: model.apply({"params": p}, {"inputs": x}).logits, P(), P(), own_device(), donate=())
        counts, each = {"base": count(params), "moves": 0}, 1

        def call() -> list[float]:
            jax.block_until_ready(apply(params, tokens))
            return [0.0]
    else:
        (call, counts), each = _steps(job, model, params), job["steps"]
        del params  # what moves is donated
    losses = call()
    setup = time.perf_counter() - start
    begin()
    seconds, processor = [], []
    for _ in range(job["chunks"] * (4 if job["kind"] == "forward" else 1)):
        start, busy = time.perf_counter(), time.process_time()
        losses += call()
        seconds.append((time.perf_counter() - start) / each)
        processor.append((time.process_time() - busy) / each)
    return {"setup": setup, "seconds_each": seconds, "processor_each": processor, **counts, "losses": [losses[0], losses[-1]]}
