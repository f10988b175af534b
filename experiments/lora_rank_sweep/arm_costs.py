"""What pretraining and each arm cost: steps, tokens, trained parameters, bytes, FLOPs per token by formula and in the compiled program."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from research import tree
from research.adapters.lora import LoRA
from research.analysis.costs import Moves, compiled_flops, flops_per_token, trainable_count, tree_bytes
from research.models.configuration import DecoderConfig
from research.optimizers import adamw
from research.training.mesh import P, jit_step, own_device
from research.training.population import Members, Task, split
from research.training.step import TrainState, init_state, make_train_step

Cost = tuple[str, float | None, str]
ELSEWHERE = "not measured here: the base was pretrained elsewhere"


class Budget(NamedTuple):
    """How long training lasts: steps, and windows of `max_length` tokens in a batch."""

    steps: int
    batch_size: int


class _Arm(NamedTuple):
    """One line of the ledger: its coordinates, the task at its own rank, and the state of its training as shapes."""

    coordinates: dict[str, Any]
    task: Task
    state: TrainState


def arm_costs(
    experiment: str, tasks: Mapping[str, Task], ranks: Sequence[int], config: DecoderConfig, tuning: Budget, pretraining: Budget | None
) -> list[dict[str, Any]]:
    """Returns the cost records of pretraining one base and of each shape of `tasks`; LoRA at each rank, unpadded, in the form that runs.

    One step is compiled for everything and for the first arm, LoRA's at the smallest rank above 0 and at the largest, with layers
    unrolled: XLA counts the body of a scan once. The fused form takes a gradient that the formula does not: of the lowest adapted layer's
    input, which nothing needs. Pretraining trains what the shape 'full' does; `pretraining` None is somebody else's, of which the weights
    alone are known.
    """
    windows = jax.ShapeDtypeStruct((tuning.batch_size, config.max_length + 1), jnp.int32)
    compiled = {None, max(ranks), min((rank for rank in ranks if rank), default=0)}
    first = next((shape.rpartition("/")[0] for shape in tasks if "/" in shape), None)
    rows: list[tuple[dict[str, Any], list[Cost]]] = []
    counting: list[tuple[list[Cost], Future[float]]] = []
    with ThreadPoolExecutor() as pool:  # the compiler does not hold Python's lock: it works while the next step is traced
        for arm in _arms(tasks, ranks, windows):
            costs = _counted(arm, config, tuning)
            if arm.coordinates["trains"] == "full":
                own = _unknown(arm) if pretraining is None else _counted(arm, config, pretraining)
                rows.append(({**arm.coordinates, "trains": "pretraining"}, own))
            rows.append((arm.coordinates, costs))
            if arm.coordinates["rank"] in compiled and arm.coordinates["arm"] in (None, first) and not config.scan:
                counting.append((costs, pool.submit(compiled_flops, _lowered(arm, windows))))
        for costs, flops in counting:
            costs.append(("flops_per_token_compiled", flops.result() / (tuning.batch_size * config.max_length), "FLOPs/token"))
    start = {"experiment": experiment, "cell": "", "phase": "cost", "init": None}
    made = [{**start, **where, "metric": metric, "value": value, "unit": unit} for where, costs in rows for metric, value, unit in costs]
    return [row if row["value"] is not None else {**row, "note": ELSEWHERE} for row in made]


def _arms(tasks: Mapping[str, Task], ranks: Sequence[int], windows: jax.ShapeDtypeStruct) -> Iterator[_Arm]:
    for shape, task in tasks.items():
        arm, _, trains = shape.rpartition("/")
        for rank in ranks if task.adapter else (None,):
            mine = task
            if isinstance(task.adapter, LoRA) and rank is not None:
                mine = dataclasses.replace(task, adapter=dataclasses.replace(task.adapter, rank=rank))
            where = {"arm": arm or None, "trains": trains, "rank": rank, "learning_rate": None, "seed": None, "step": None}
            yield _Arm(where, mine, _state(mine, rank or 0, windows))


def _state(task: Task, rank: int, windows: jax.ShapeDtypeStruct) -> TrainState:
    params = jax.eval_shape(task.model.init, jax.random.key(0), jax.eval_shape(task.to_batch, windows))["params"]
    moves, constants = jax.eval_shape(lambda p: split(task, p, Members(0, rank, 0.0, 0)), params)
    stays = {path: leaf for path, leaf in tree.flatten({"params": params, **constants}).items() if path not in tree.flatten(moves)}
    return jax.eval_shape(lambda m, s: init_state(m, s, adamw(task.optimizer, 0.0)), moves, tree.unflatten(stays))


def _counted(arm: _Arm, config: DecoderConfig, budget: Budget) -> list[Cost]:
    """Steps and tokens, trained parameters, what has to be stored of them, the optimizer's state, and FLOPs per token by formula."""
    adapter, rank = arm.task.adapter, arm.coordinates["rank"]
    trained = tuple(f"^{path}$" for path in tree.flatten(arm.state.trainable) if path.startswith("params/"))
    moves = Moves(trained, adapter.targets if adapter and rank else (), rank or 0)
    return [
        ("steps", budget.steps, "steps"),
        ("tokens", budget.steps * budget.batch_size * config.max_length, "tokens"),
        ("trainable_parameters", trainable_count(arm.state.trainable), "count"),
        ("optimizer_bytes", tree_bytes(arm.state.opt_state), "bytes"),
        ("checkpoint_bytes", tree_bytes(arm.state.trainable), "bytes"),
        ("flops_per_token_formula", flops_per_token(config, config.max_length, moves), "FLOPs/token"),
    ]


def _unknown(arm: _Arm) -> list[Cost]:
    """What is known of a pretraining that nobody measured here."""
    return [("tokens", None, "tokens"), ("trainable_parameters", trainable_count(arm.state.trainable), "count")]


def _lowered(arm: _Arm, windows: jax.ShapeDtypeStruct) -> jax.stages.Lowered:
    step = make_train_step(arm.task.adapted, arm.task.loss, adamw(arm.task.optimizer, 1e-3))
    one = jit_step(lambda state, rows: step(state, arm.task.to_batch(rows)), P(), P(), own_device(), donate=())
    return one.lower(arm.state, windows)
