"""What is read where losses are alike: steps to shared losses, and curvature at the start, at matched loss and at the end."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.loss_landscape.levels import RUN, at_crossing, crossing, level, ways
from experiments.loss_landscape.readings_tables import COLUMNS, Reading
from research.analysis.tables import rows

FULL, LORA = "full", "lora"
CURVATURES = ("lambda_max", "trace")
BESIDE = {"lambda_max": "lambda_max_residual", "trace": "trace_half_width"}
UNSURE = {"lambda_max_residual": "largest residual", "trace_half_width": "largest half-width over probes"}
LEAST_READINGS = 3  # of a way, to read anything between two of them
FIXED = "the loss before training is of the landscape's fixed windows"


def losses_of_runs(results: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns rows of init, seed, run, base, step, metric 'loss' and value: each full run's held-out loss, before training first.

    That one stands in no record of the run: it is the loss of the landscape's fixed windows at its start.
    """
    own = rows(results, phase="result", metric="validation_loss", trains=FULL)
    starts = {(row["init"], row["seed"]): row["value"] for row in _plain(rows(results, phase="curvature", metric="loss", at="start"))}
    runs = [{**row, "metric": "loss"} for row in _plain(own)]
    first = {tuple(row[name] for name in RUN): row for row in runs}
    return [
        *({**row, "step": 0, "value": starts[key[:2]]} for key, row in first.items() if key[:2] in starts),
        *runs,
    ]


def losses_of_ways(results: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the loss at each reading of curvature along the ways of full training, as rows of `levels`."""
    return _plain(rows(results, phase="curvature", metric="loss", trains=FULL))


def shared(losses: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], str]:
    """Returns losses that every run reaches from above, by name (lowest, halfway), and, where there are none, why."""
    own = ways(losses)
    if not own or any(len(way) < LEAST_READINGS for way in own.values()):
        return {}, "losses were not read along the way of every run, or one diverged"
    lowest, (begins, where) = level(losses), min((way[0][1], key[0]) for key, way in own.items())
    if lowest is None:
        worst, reached = max((min(value for _, value in way), key[0]) for key, way in own.items())
        return {}, f"no loss that all reach: {where} weights begin at {begins:.3g}, and a run from {reached} weights reaches {worst:.3g}"
    return {"lowest": lowest, "halfway": (lowest + begins) / 2}, ""


def steps_to_loss(results: pd.DataFrame) -> Iterator[Reading]:
    """Yields the steps that each base's runs take to shared losses, geometric means over runs; without any, one reading of nulls."""
    losses = losses_of_runs(results)
    bases = {(row["init"], row["seed"]): row["base"] for row in losses}
    if not bases:
        return
    known, why = shared(losses)
    for name, bits in known.items() or {"lowest": math.nan}.items():
        taken: dict[tuple[Any, ...], list[float]] = {}
        for (init, seed, _), way in ways(losses).items() if known else ():
            taken.setdefault((init, seed), []).append(_step(way, bits))
        table = [(*key, base, np.exp(np.mean(np.log(taken[key]))) if key in taken else math.nan) for key, base in bases.items()]
        notes = {init: why or f"mean over {_runs(losses, init)} runs of a base; {FIXED}" for init, _ in bases}
        where = {"level": name, "bits": round(bits, 4) if known else None}
        yield Reading("steps_to_loss", where, "steps", pd.DataFrame(table, columns=COLUMNS), notes=notes)


def curvature(results: pd.DataFrame) -> Iterator[Reading]:
    """Yields loss, lambda_max and trace at the start, at matched loss, and at the end; of LoRA's coordinates without matched loss."""
    for metric in ("loss", *CURVATURES):
        for trains in (FULL, LORA):
            yield from _at(results, metric, trains, "start")
            if trains == FULL and metric != "loss":
                yield from _matched(results, metric)
            yield from _at(results, metric, trains, "end")


def _at(results: pd.DataFrame, metric: str, trains: str, at: str) -> Iterator[Reading]:
    own, beside = (rows(results, phase="curvature", metric=name, trains=trains, at=at) for name in (metric, BESIDE.get(metric, "")))
    if not own.empty:
        unit = "bits/byte" if metric == "loss" else "nats"
        yield Reading(metric, {"trains": trains, "at": at}, unit, own[COLUMNS], metric != "trace", notes=_residuals(own, beside))


def _matched(results: pd.DataFrame, metric: str) -> Iterator[Reading]:
    """At the lowest loss that all reach, linear between two readings of a way, in logarithms where both are positive."""
    losses, values = losses_of_ways(results), _plain(rows(results, phase="curvature", metric=metric, trains=FULL))
    if not losses or not values:
        return
    known, why = shared(losses)
    bits = known.get("lowest")
    read = {(*(row[name] for name in RUN), row["step"]): row["value"] for row in values}
    table, spans = [], []
    for row in {tuple(row[name] for name in RUN): row for row in losses}.values():
        way = ways(losses).get(tuple(row[name] for name in RUN), [])
        own = [read.get((*(row[name] for name in RUN), step), math.nan) for step, _ in way]
        table.append((row["init"], row["seed"], row["base"], math.nan if bits is None else _between(way, own, bits)))
        place = None if bits is None else crossing(way, bits)
        spans += [(row["init"], way[place[0] - 1][0], way[place[0]][0])] if place else []
    notes = {str(init): why or _spanned([(a, b) for one, a, b in spans if one == init]) for init, *_ in table}
    where = {"trains": FULL, "at": "matched", "bits": None if bits is None else round(bits, 4)}
    yield Reading(metric, where, "nats", pd.DataFrame(table, columns=COLUMNS), metric != "trace", notes=notes)


def _between(way: Sequence[tuple[float, float]], values: Sequence[float], bits: float) -> float:
    place = crossing(way, bits)
    pair = [] if place is None else values[place[0] - 1 : place[0] + 1]
    if pair and min(pair) > 0:
        found = at_crossing(way, [math.log(value) if value > 0 else math.nan for value in values], bits)
        return math.nan if found is None else math.exp(found)
    found = at_crossing(way, values, bits)
    return math.nan if found is None else found


def _step(way: Sequence[tuple[int, float]], bits: float) -> float:
    """The step at which a way first falls to a loss: linear in log step between readings, in steps before the first one."""
    found = crossing(way, bits)
    if found is None:
        return math.nan
    place, share = found
    before, after = way[place - 1][0], way[place][0]
    return share * after if before == 0 else math.exp((1 - share) * math.log(before) + share * math.log(after))


def _residuals(own: pd.DataFrame, beside: pd.DataFrame) -> dict[str, str]:
    """How unsure the least sure value of each initialization is by itself, where a residual or a half-width stands beside it."""
    if beside.empty or own.empty:
        return {}
    keys = ["init", "seed", "run", "at", "step"]
    what = UNSURE[str(beside["metric"].iloc[0])]
    both = own.merge(beside[[*keys, "value"]], on=keys, suffixes=("", "_residual"))
    worst = (both["value_residual"] / both["value"].abs()).groupby(both["init"], sort=False).max()
    return {str(init): f"{what} {share:.2g} of the value" for init, share in worst.dropna().items()}


def _runs(losses: Sequence[Mapping[str, Any]], init: str) -> int:
    own = {(row["seed"], row["run"]) for row in losses if row["init"] == init}
    return len({run for _, run in own})


def _spanned(spans: Sequence[tuple[int, int]]) -> str:
    first, last = min(a for a, _ in spans), max(b for _, b in spans)
    return f"interpolated between readings of steps {first} to {last}"


def _plain(own: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in own.to_dict("records")]
