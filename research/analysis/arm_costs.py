"""What each arm costs: trained parameters, optimizer bytes, FLOPs per token by formula and in the compiled program."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from research import tree
from research.analysis.costs import Moves, compiled_flops, flops_per_token, optimizer_bytes, trainable_count
from research.models.decoder import DecoderConfig
from research.optimizers import adamw
from research.training.population import Members, Task, split
from research.training.step import init_state, make_train_step


def arm_costs(
    experiment: str, tasks: Mapping[str, Task], ranks: Sequence[int], config: DecoderConfig, batch_size: int
) -> list[dict[str, Any]]:
    """Returns the cost records of each shape of `tasks`; LoRA at each rank, unpadded and in the form that runs.

    Only the smallest and the largest rank are compiled. Layers are unrolled for it, since XLA counts the body of a scan once.
    """
    rows = []
    for shape, task in tasks.items():
        arm, _, trains = shape.rpartition("/")
        for rank in (*ranks,) if task.adapter else (None,):
            spec = task.adapter if task.adapter is None or rank is None else dataclasses.replace(task.adapter, rank=rank)
            mine = dataclasses.replace(task, adapter=spec)
            compile_it = rank in (None, min(ranks), max(ranks)) and not config.scan
            for metric, value, unit in _costs(mine, rank, config, batch_size, compile_it):
                row: dict[str, Any] = {
                    "experiment": experiment,
                    "cell": "",
                    "phase": "cost",
                    "init": None,
                    "arm": arm or None,
                    "trains": trains,
                }
                row |= {"rank": rank, "learning_rate": None, "seed": None, "step": None}
                rows.append({**row, "metric": metric, "value": value, "unit": unit})
    return rows


def _costs(task: Task, rank: int | None, config: DecoderConfig, batch_size: int, compile_it: bool) -> list[tuple[str, float, str]]:
    windows = jax.ShapeDtypeStruct((batch_size, config.max_length + 1), jnp.int32)
    params = jax.eval_shape(task.model.init, jax.random.key(0), jax.eval_shape(task.to_batch, windows))["params"]
    moves, constants = jax.eval_shape(lambda p: split(task, p, Members(0, rank or 0, 0.0, 0)), params)
    tx = adamw(task.optimizer, 1e-3)
    patterns = tuple(f"^{path}$" for path in tree.flatten(moves) if path.startswith("params/"))
    adapted = tuple(task.adapter.targets) if task.adapter and rank else ()
    found = [
        ("trainable_parameters", trainable_count(moves), "count"),
        ("optimizer_bytes", optimizer_bytes(jax.eval_shape(tx.init, moves)), "bytes"),
        ("flops_per_token_formula", flops_per_token(config, config.max_length, Moves(patterns, adapted, rank or 0)), "FLOPs/token"),
    ]
    if compile_it:
        stays = {p: x for p, x in tree.flatten({"params": params, **constants}).items() if p not in tree.flatten(moves)}
        state = jax.eval_shape(lambda m, s: init_state(m, s, tx), moves, tree.unflatten(stays))
        step = make_train_step(task.adapted, task.loss, tx)
        flops = compiled_flops(jax.jit(lambda s, w: step(s, task.to_batch(w))).lower(state, windows))
        found.append(("flops_per_token_compiled", flops / (batch_size * config.max_length), "FLOPs/token"))
    return found
