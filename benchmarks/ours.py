"""Our side: the same decoder, adapter and optimizer as one step, as a scan of steps, as a population, and our pretraining."""

import contextlib
import dataclasses
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import workload
from jax.sharding import Mesh
from workload import Shape

from research.adapters.forms import best_form
from research.adapters.lora import LoRA
from research.cells import pretraining
from research.data.batches import batch
from research.data.corpus import Corpus
from research.data.vocabulary import BYTES
from research.models.configuration import BIASES, DecoderConfig
from research.models.decoder import decoder
from research.models.model import count
from research.optimizers import OptimizerSpec, adamw
from research.training.memory import peak_bytes
from research.training.mesh import MeshSpec, P, jit_step, make_mesh, solo
from research.training.population import Members, Task, build, place, split
from research.training.step import TrainState, init_state, make_train_step

Begin = Callable[[], None]
Answer = dict[str, Any]


def task_of(shape: Shape, kind: str) -> Task:
    """Returns what is trained: everything ('full') or the adapters of the blocks' matrices ('lora')."""
    model = decoder(
        DecoderConfig(
            vocab_size=workload.VOCABULARY,
            d_model=shape.d_model,
            n_layers=shape.layers,
            n_heads=shape.heads,
            n_kv_heads=shape.heads,
            d_mlp=4 * shape.d_model,
            max_length=shape.length,
            norm="layer",
            positions="learned",
            bias=BIASES,
            tied=True,
        )
    )
    optimizer = OptimizerSpec(1, warmup=0.0, b1=workload.B1, b2=workload.B2, eps=workload.EPS, clip=workload.CLIP)
    form = best_form("auto", jax.default_backend(), 0.0)
    adapter = LoRA(("attention/", "mlp/"), workload.RANK, workload.ALPHA, form=form) if kind == "lora" else None
    return Task(model, adapter, ("^adapter/",) if adapter else ("^params/",), optimizer, functools.partial(batch, vocabulary=BYTES))


def _program(task: Task, scan: bool, mesh: Mesh) -> Callable[..., tuple[TrainState, Any]]:
    """(state, windows, rate) -> (state, loss): one step, or, with `scan`, one for each of the leading axis of windows."""

    def one(state: TrainState, rows: Any, rate: Any) -> tuple[TrainState, Any]:
        state, metrics = make_train_step(task.adapted, task.loss, adamw(task.optimizer, rate))(state, task.to_batch(rows))
        return state, metrics["loss"]

    def many(state: TrainState, windows: Any, rate: Any) -> tuple[TrainState, Any]:
        return jax.lax.scan(lambda carry, rows: one(carry, rows, rate), state, windows)

    return jit_step(many if scan else one, P(), P(), mesh)


def _starter(task: Task, mesh: Mesh) -> Callable[[int], TrainState]:
    """Returns seed -> the state before the first step."""

    def start(seed: Any) -> TrainState:
        params = task.model.init(jax.random.key(0), pretraining.example_batch())["params"]
        moves, constants = split(task, params, Members(0, workload.RANK, 0.0, seed))
        frozen = {**constants, "params": params} if task.adapter else constants
        return init_state(moves, frozen, adamw(task.optimizer, 0.0))

    return jit_step(start, P(), P(), mesh, donate=())


def _steps(job: Answer, begin: Begin) -> Answer:
    """Milliseconds a step, one value a chunk of steps."""
    shape, mesh, scan = Shape(**job["shape"]), make_mesh(MeshSpec()), job["mode"] == "scan"
    task, rate = task_of(shape, job["kind"]), np.float32(workload.RATES[job["kind"]])
    start = time.perf_counter()
    state = _starter(task, mesh)(np.uint32(0))
    batches = workload.windows(shape, 0, job["steps"])
    program = _program(task, scan, mesh).lower(state, batches if scan else batches[0], rate).compile()
    setup = time.perf_counter() - start
    counts = {"moves": count(state.trainable), "base": count({**state.trainable, **state.frozen}["params"])}

    def chunk(state: TrainState) -> tuple[TrainState, list[float]]:
        if scan:
            state, losses = program(state, batches, rate)
            return state, np.asarray(losses).tolist()
        losses = []
        for rows in batches:
            state, loss = program(state, rows, rate)
            losses.append(loss)
        return state, [float(loss) for loss in losses]

    state, losses = chunk(state)
    begin()
    samples = []
    for _ in range(job["chunks"]):
        start = time.perf_counter()
        state, chunk_losses = chunk(state)
        losses += chunk_losses
        samples.append((time.perf_counter() - start) / job["steps"] * 1e3)
    return {"setup": setup, "ms": samples, **counts, "losses": [losses[0], losses[-1]]}


def _solo(job: Answer, begin: Begin) -> Answer:
    """Seconds of training of all cells, one after the other, by one compiled scan of steps on one device with all threads."""
    shape, mesh = Shape(**job["shape"]), make_mesh(MeshSpec())
    task = task_of(shape, job["kind"])
    start = time.perf_counter()
    starter = _starter(task, mesh)
    batches = workload.windows(shape, 0, job["steps"])
    program = _program(task, True, mesh).lower(starter(np.uint32(0)), batches, np.float32(0)).compile()
    setup, seconds, last = time.perf_counter() - start, 0.0, []
    begin()
    for rate, seed in job["cells"]:
        state, batches = jax.block_until_ready(starter(np.uint32(seed))), workload.windows(shape, seed, job["steps"])
        start = time.perf_counter()
        losses = np.asarray(program(state, batches, np.float32(rate))[1])
        seconds += time.perf_counter() - start
        last.append(float(losses[-1]))
    return {"setup": setup, "seconds": seconds, "losses": last}


class _Population(NamedTuple):
    """Members of one program over all devices, one for each (rate, seed), with their compiled training and the seconds it took."""

    program: Any
    states: Any
    rest: tuple[Any, ...]
    setup: float

    @classmethod
    def of(cls, job: Answer, cells: Sequence[tuple[float, int]]) -> "_Population":
        shape, mesh = Shape(**job["shape"]), make_mesh(MeshSpec(member=-1))
        task = dataclasses.replace(task_of(shape, job["kind"]), vmap=len(cells) if job["platform"] == "gpu" else 1)
        start = time.perf_counter()
        params = task.model.init(jax.random.key(0), pretraining.example_batch())["params"]
        bases = place(mesh, jax.tree.map(lambda x: x[None], params))
        functions = build(task, bases, mesh)
        rates, seeds = np.array(cells).T
        zeros = np.zeros(len(cells), np.int32)
        members = Members(zeros, zeros + workload.RANK, rates.astype(np.float32), seeds.astype(np.uint32))
        states = jax.block_until_ready(functions.init(members, bases))
        rest = (members, np.stack([workload.windows(shape, int(seed), job["steps"]) for seed in seeds]), bases)
        program = functions.train.lower(states, *rest).compile()
        return cls(program, states, rest, time.perf_counter() - start)


def _population(job: Answer, begin: Begin) -> Answer:
    """Seconds of training of all cells as the members of one program over all devices."""
    population = _Population.of(job, job["cells"])
    begin()
    start = time.perf_counter()
    losses = np.asarray(population.program(population.states, *population.rest)[1])
    return {"setup": population.setup, "seconds": time.perf_counter() - start, "losses": losses[:, -1].tolist()}


def _members(job: Answer, begin: Begin) -> Answer:
    """Milliseconds a step and member, one member on each device at the same time; one value a chunk of steps."""
    population = _Population.of(job, [(workload.RATES[job["kind"]], seed) for seed in range(job["devices"])])
    states, losses = population.program(population.states, *population.rest)
    first, samples = float(losses[0, 0]), []
    moves = count(jax.tree.map(lambda x: x[0], states.trainable))
    base = count(jax.tree.map(lambda x: x[0], population.rest[-1]))
    begin()
    for _ in range(job["chunks"]):
        start = time.perf_counter()
        states, losses = population.program(states, *population.rest)
        losses = np.asarray(losses)
        samples.append((time.perf_counter() - start) / job["steps"] / job["devices"] * 1e3)
    ends = [first, float(losses[0, -1])]
    return {"setup": population.setup, "ms": samples, "moves": moves, "base": base, "losses": ends}


class _Stopwatch(list[float]):
    """Stands where a run's progress does: notes when each chunk of steps ends."""

    @contextlib.contextmanager
    def task(self, name: str, total: int) -> Iterator["_Stopwatch"]:
        yield self

    def advance(self, count: int = 1, **shown: Any) -> None:
        self.append(time.perf_counter())


def _pretraining(job: Answer, begin: Begin) -> Answer:
    """Tokens a second of `research.cells.pretraining` with this decoder, all devices along data, one value a chunk of steps."""
    model, size = DecoderConfig(**job["model"]), 32
    optimizer = OptimizerSpec(job["chunks"] * pretraining.CHUNK, schedule="cosine")
    corpus = Corpus("benchmark", "benchmark", {"train": workload.text()}, {})
    watch, mesh = _Stopwatch(), make_mesh(solo(MeshSpec(member=-1), jax.device_count(), size))
    begin()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        pretraining.pretrain(pretraining.Pretraining(model, optimizer, 6e-4, size, 1, 0), corpus, mesh, watch)
    ends = np.array(watch)
    rates = pretraining.CHUNK * size * model.max_length / np.diff(ends)[1:]
    return {"setup": float(ends[1] - ends[0]), "tokens": rates.tolist()}


WORK = {"loop": _steps, "scan": _steps, "members": _members, "solo": _solo, "population": _population, "pretraining": _pretraining}


def run(job: Answer, begin: Begin) -> Answer:
    """Returns the answer to one job."""
    jax.config.update("jax_num_cpu_devices", job["devices"])
    answer = WORK[job["mode"]](job, begin)
    return {**answer, "peak_mb": peak_bytes() / 2**20} if job["platform"] == "gpu" else answer
