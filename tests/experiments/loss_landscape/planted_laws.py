"""Records as a run leaves them, of known laws: curvature as a power of the loss, ways that fall in log steps, barriers of runs."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

STEPS = (1, 10, 100, 1000)
START = {"pretrained": 6.0, "shuffled": 7.0, "random": 8.0}
SLOPE = {"pretrained": 1.125, "shuffled": 1.125, "random": 1.15}  # of the loss, at step 1 and for each decade: ends at 1.5, 2.5, 3.4
SCALE = {"pretrained": 2.0, "shuffled": 2.0, "random": 4.0}  # of lambda_max at a loss of 1
PATH = {"pretrained": 1.2, "shuffled": 1.2, "random": 1.5}
RATE = {"pretrained": 0.1, "shuffled": 0.2, "random": 0.4}
BARRIER = {"pretrained": 0.1, "shuffled": 0.1, "random": 0.5}


def loss_at(init: str, step: int, seed: int = 0) -> float:
    """The loss after some steps; seeds differ by a little."""
    return START[init] + 0.01 * seed - (SLOPE[init] * (1 + np.log10(step)) if step else 0.0)


def records(seeds: int = 3, runs: int = 2, bases: int | None = None, inits: tuple[str, ...] = tuple(START)) -> pd.DataFrame:
    """A run's records of full training from `bases` pretrained bases (None: one a seed)."""
    rows: list[dict[str, Any]] = [{"phase": "reference", "metric": "target", "value": 1.0, "note": "generated:restaurants", "step": 0}]
    for init, seed in itertools.product(inits, range(seeds)):
        where = {"init": init, "trains": "full", "seed": seed, "base": seed if init == "random" else seed % (bases or seeds)}
        for run in range(runs):
            rows += [
                {**where, "run": run, "phase": "result", "step": step, "metric": "validation_loss", "value": loss_at(init, step, seed)}
                for step in STEPS
            ]
        rows += _first(where)
    for init in inits:
        rows += _barriers([row for row in rows if row.get("init") == init and row["phase"] == "result" and row["step"] == 1])
    return pd.DataFrame(rows)


def _first(where: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is read of the first run from a base."""
    init, seed, first = where["init"], where["seed"], {**where, "run": 0}
    luck = 1 + 0.05 * np.sin(7 * seed)
    rows = []
    for step in (0, *STEPS):
        loss = loss_at(init, step, seed)
        known = {"loss": loss, "lambda_max": luck * SCALE[init] * loss**-2, "lambda_max_residual": 0.001 * loss**-2}
        known |= {"trace": luck * 10 * SCALE[init] * loss**-2, "noise_scale": 3.0}
        at = "start" if step == 0 else "end" if step == STEPS[-1] else "path"
        rows += [{**first, "phase": "curvature", "at": at, "step": step, "metric": key, "value": value} for key, value in known.items()]
    ways = {"path_ratio": luck * PATH[init], "distance": 5.0}
    rows += [{**first, "phase": "path", "step": STEPS[-1], "metric": key, "value": value} for key, value in ways.items()]
    rows.append({**first, "phase": "stability", "step": 60, "metric": "largest_stable_rate", "value": luck * RATE[init]})
    return rows


def _barriers(ends: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for first, second in itertools.combinations(ends, 2):
        kind = "one base" if first["base"] == second["base"] else "two bases" if first["run"] == second["run"] else None
        height = BARRIER[first["init"]] + sum(0.01 * np.sin(5 * end["seed"] + 3 * end["run"]) for end in (first, second))
        for matching, share in (("raw", 1.0), ("matched", 0.5)):
            rows += [_barrier(first, second, kind, matching, share * height)] if kind else []
    return rows + [_barrier(end, end, "start", "raw", -0.1) for end in ends]


def _barrier(first: dict[str, Any], second: dict[str, Any], kind: str, matching: str, height: float) -> dict[str, Any]:
    pair = {"pair": kind, "matching": matching, "other_seed": first["seed"], "other_run": first["run"]}
    return {**second, **pair, "phase": "barrier", "step": STEPS[-1], "metric": "barrier", "value": height}
