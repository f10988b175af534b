"""Our side of a loss landscape: products, eigenvalues, trace, density and a surface, through the functions that an experiment calls."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import workload
from workload import Shape

from configs import base
from research import tree
from research.analysis import curvature, directions, landscape
from research.analysis.lanczos import tridiagonal
from research.analysis.parts import in_parts
from research.analysis.products import hessian, hvp
from research.losses import cross_entropy
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.models.model import Model, count
from research.training.mesh import P, jit_step, own_device

Answer = dict[str, Any]
Problem = tuple[Callable[[Any, Any], Any], Any, Any]  # loss, weights, batch
COMPILATION = "/jax/core/compile/backend_compile_duration"
RATE = 3e-3
compiling: list[float] = []


def _model(shape: Shape) -> Model:
    """The decoder of configs/base.py; in another shape its heads keep their size."""
    heads = {"n_heads": shape.heads, "n_kv_heads": shape.heads}
    sizes = {"d_model": shape.d_model, "n_layers": shape.layers, "d_mlp": 4 * shape.d_model, "max_length": shape.length}
    return decoder(DecoderConfig(**{**base.model(), **sizes, **heads}))


def _batch(windows: Any) -> Answer:
    return {"inputs": windows[..., :-1], "targets": windows[..., 1:], "weights": np.ones(windows[..., 1:].shape, np.float32)}


def _loss(model: Model) -> Callable[[Any, Any], Any]:
    return lambda params, batch: cross_entropy(model, {"params": params}, batch)[0]


def _in_parts(model: Model, rows: int) -> Callable[[Any, Any], Any]:
    """The same mean over a batch, `rows` rows at a time."""

    def sums(params: Any, batch: Any) -> Any:
        loss, metrics = cross_entropy(model, {"params": params}, batch[1])
        weight = metrics["weight"].sum()
        return loss * weight, weight

    return in_parts(sums, rows)


def _prepare(job: Answer) -> Answer:
    """Writes what all sides compute with: weights after some steps of Adam, windows of text, two directions in the weights' scale."""
    shape = Shape(**job["shape"])
    model, optimizer = _model(shape), optax.adam(RATE)
    windows = workload.windows(shape, 0, 1)[0].astype(np.int32)
    steps = workload.windows(Shape(shape.d_model, shape.layers, shape.length, 32), 1, job["steps"]).astype(np.int32)

    def train(key: Any, steps: Any) -> Any:
        params = model.init(key, _batch(steps[0]))["params"]

        def step(carry: Any, rows: Any) -> tuple[Any, None]:
            updates, state = optimizer.update(jax.grad(_loss(model))(carry[0], _batch(rows)), carry[1])
            return (optax.apply_updates(carry[0], updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), steps)[0][0]

    params = jit_step(train, P(), P(), own_device(), donate=())(jax.random.key(0), steps)
    trees = {"params": params} | {name: directions.gaussian(params, jax.random.key(seed)) for seed, name in enumerate(("first", "second"))}
    np.savez(job["inputs"], windows=windows, **tree.flatten(trees))
    return {"seconds": []}


def _timed(call: Callable[[], Any]) -> tuple[Answer, Any]:
    """The seconds of a call without what XLA compiles in it, and what it returned."""
    compiled = sum(compiling)
    times, found = workload.timed(call)
    return {"seconds": [times["seconds"][0] - (sum(compiling) - compiled)]}, found


def _compiled(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    placed = jax.device_put(arguments)
    program = jit_step(function, P(), P(), own_device(), donate=()).lower(*placed).compile()
    return lambda: jax.block_until_ready(program(*placed))


def _gradient(problem: Problem, job: Answer) -> Answer:
    loss, params, batch = problem
    call = _compiled(jax.grad(loss), params, batch)
    call()
    return workload.timed(call, job["times"])[0]


def _product(problem: Problem, job: Answer) -> Answer:
    loss, params, batch = problem
    rng = np.random.default_rng(0)
    call = _compiled(functools.partial(hvp, loss), params, batch, jax.tree.map(lambda p: rng.normal(size=p.shape).astype(p.dtype), params))
    call()
    return workload.timed(call, job["times"])[0]


def _lanczos(problem: Problem, job: Answer) -> Answer:
    """So many steps of Lanczos, with full re-orthogonalization."""
    loss, params, batch = problem
    times, found = workload.timed(
        _compiled(lambda *a: tridiagonal(hessian(loss), *a, job["steps"]).diagonal, params, batch, jax.random.key(0))
    )
    return {**times, "products": found.size}


def _eigenvalues(problem: Problem, job: Answer) -> Answer:
    search = curvature.Search(end="magnitude", tolerance=job["tolerance"])
    times, found = _timed(lambda: curvature.top_eigenvalues(*problem, job["k"], key=jax.random.key(0), search=search))
    return {**times, "values": found.values.tolist(), "products": found.products, "converged": found.converged}


def _trace(problem: Problem, job: Answer) -> Answer:
    times, found = _timed(lambda: curvature.trace(*problem, job["probes"], key=jax.random.key(0)))
    return {**times, "value": found.value, "error": found.error}


def _density(problem: Problem, job: Answer) -> Answer:
    times, found = _timed(lambda: curvature.spectral_density(*problem, job["probes"], job["steps"], key=jax.random.key(0)))
    return {**times, "mean": found.moment(1).value}


def _surface(problem: Problem, job: Answer) -> Answer:
    arrays = np.load(job["inputs"])
    plane = tuple(_tree(arrays, which) for which in ("first", "second"))
    times, values = _timed(lambda: landscape.surface(*problem, plane, job["xs"], job["ys"]))
    return {**times, "values": values.tolist()}


def _tree(arrays: Any, which: str) -> Any:
    return tree.unflatten({path: arrays[f"{which}/{path}"] for path in workload.paths(arrays)})


KINDS = {
    "gradient": _gradient,
    "product": _product,
    "lanczos": _lanczos,
    "eigenvalues": _eigenvalues,
    "trace": _trace,
    "density": _density,
    "surface": _surface,
}


def _note(event: str, seconds: float, **_: Any) -> None:
    if event == COMPILATION:
        compiling.append(seconds)


def run(job: Answer, begin: Callable[[], None]) -> Answer:
    """Returns the answer to one job: seconds of each call without compilation, those of compilation as `setup`, and what was found."""
    jax.config.update("jax_num_cpu_devices", job["devices"])
    jax.monitoring.register_event_duration_secs_listener(_note)
    if job["kind"] == "prepare":
        begin()
        return _prepare(job)
    arrays = np.load(job["inputs"])
    loss = _in_parts(_model(Shape(**job["shape"])), job["rows_at_once"])
    params, batch = _tree(arrays, "params"), ((), _batch(arrays["windows"]))
    begin()
    answer = KINDS[job["kind"]]((loss, params, batch), job)
    return {**answer, "setup": sum(compiling), "parameters": count(params)}
