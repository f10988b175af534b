"""What a sweep over dimensions says: findings and the answer, from the records alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.intrinsic_dimension.curves import absolute, band, bootstrap, gained, relative, shared
from research.analysis.intervals import join_notes, t_interval
from research.analysis.recovery import shared_targets, start_loss
from research.findings import Estimate, Finding, finding, shown

SUBJECT = ["model", "parameters", "data"]
NAMES = {"fc": "the fully connected network", "lenet": "LeNet", "lm": "the language model"}
MNIST = "tfds:mnist/"
# Li et al. 2018: the paper's value, and what its authors' released runs give when read by one definition.
PUBLISHED = {
    ("fc", 199_210, "absolute"): "published: 750; the released runs recomputed: 786 +- 66, or where their mean curve crosses, 850",
    ("fc", 199_210, "relative"): "published: 750; the released runs recomputed: 625",
    ("lenet", 44_426, "absolute"): "published: 290; the released notebook's table: 290 with a baseline of 1.0",
    ("lenet", 44_426, "relative"): "published: 290; the released notebook's table: 275 with its own baseline",
}


class Curves(NamedTuple):
    """Of one subject, initialization, projection and step: what was measured, (draws, dimensions), and in the full space, (draws,)."""

    dimensions: np.ndarray
    values: np.ndarray
    full: np.ndarray
    draws: list[int]
    lost: str


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns d90 by every definition, what was reached, the dimensions of known problems, and what a step costs."""
    found = list(_known(results))
    tested = results.query("phase == 'result'")
    if tested.empty:
        return found
    for key, rows in tested.groupby(SUBJECT, sort=False):
        model, parameters, data = key
        subject = {"model": model, "parameters": int(parameters), "data": data}
        own = results[(results["model"] == subject["model"]) & (results["parameters"] == subject["parameters"])]
        facts = own.query("phase == 'reference'")
        last = rows[rows["step"] == rows["step"].max()]
        found += _reached(last, subject)
        found += _accuracies(rows, facts, subject) if "accuracy" in set(rows["metric"]) else _losses(rows, facts, subject)
        found += _costs(own, subject)
    return found


def answer(found: Sequence[Finding]) -> str:
    """Returns one sentence: the dimension that each model, from each initialization, takes for 90 % of its own full training."""
    own = [f for f in found if f.name == "d90" and f.where["threshold"] == "relative"]
    parts = []
    for model, parameters in dict.fromkeys((f.where["model"], f.where["parameters"]) for f in own):
        some = [f for f in own if f.where["parameters"] == parameters and f.where["model"] == model]
        first = some[0].where["projection"]
        words = [f"from {f.where['init']} weights {shown(f, ',.0f')}" for f in some if f.where["projection"] == first]
        parts.append(f"{NAMES[model]} ({parameters:,} parameters), {', '.join(words)}")
    return f"Dimensions of a random subspace for 90 % of what full training reaches: {'; '.join(parts)}."


def curves(rows: pd.DataFrame, metric: str, init: str, projection: str, step: int) -> Curves:
    """Returns what the draws measured at a step whose runs, in subspaces and in the full space, all finished."""
    table, full = _tables(rows, metric, init, projection, step)
    draws = table.index.intersection(full.index).sort_values()
    lost = _lost(rows, metric, init, projection, len(draws))
    return Curves(table.columns.to_numpy(float), table.loc[draws].to_numpy(), full.loc[draws].to_numpy(), list(draws), lost)


def _lost(rows: pd.DataFrame, metric: str, init: str, projection: str, kept: int) -> str:
    """What is not in the curves: draws of which a run, in a subspace or in the full space, diverged."""
    own = rows[(rows["metric"] == metric) & (rows["init"] == init) & (rows["projection"] == projection)]
    draws = own["seed"].nunique()
    return f"{draws - kept} of {draws} draws incomplete (diverged), left out" if draws > kept else ""


def _tables(rows: pd.DataFrame, metric: str, init: str, projection: str, step: int) -> tuple[pd.DataFrame, pd.Series]:
    rows = rows[(rows["metric"] == metric) & (rows["init"] == init) & (rows["step"] == step)]
    inside = rows[(rows["trains"] == "subspace") & (rows["projection"] == projection)]
    table = inside.set_index(["seed", "dimension"])["value"].astype(float).unstack().sort_index(axis=1)
    return table.dropna(), rows[rows["trains"] == "full"].set_index("seed")["value"].astype(float).dropna()


def targets(rows: pd.DataFrame, facts: pd.DataFrame) -> dict[str, float]:
    """Returns the losses (bits/byte) at which all initializations are compared.

    Two that every initialization reaches, if only in the full space (`shared_targets`), and the loss at which the best of them has
    recovered 0.9 of its own gain.
    """
    losses = rows[(rows["metric"] == "target_loss") & (rows["step"] == rows["step"].max())].astype({"value": float})
    unigram, inits = _fact(facts, "unigram_loss"), list(dict.fromkeys(losses["init"]))
    means = {
        init: losses[losses["init"] == init].groupby(["trains", "projection", "dimension"], dropna=False)["value"].mean() for init in inits
    }
    found = shared_targets({init: series.to_numpy() for init, series in means.items()}, unigram)
    full = losses[losses["trains"] == "full"].groupby("init")["value"].mean().dropna()
    if full.empty:
        return found
    best = str(full.idxmin())
    start = float(np.mean(start_loss(_untouched(facts, best).to_numpy(), unigram)))
    return {**found, "best_90": start - 0.9 * (start - full[best])}


def _accuracies(rows: pd.DataFrame, facts: pd.DataFrame, subject: Mapping[str, Any]) -> Iterator[Finding]:
    level, chance = _fact(facts, "absolute_level"), _fact(facts, "chance")
    yield finding("absolute_level", subject, Estimate(level, None, None, 1, "set by the config"), "1")
    for init, projection in _arms(rows):
        where = {**subject, "init": init, "projection": projection}
        for step, c in _by_step(rows, "accuracy", init, projection):
            yield from _d90({**where, "threshold": "absolute"}, partial(absolute, *c[:3], level), step, c.lost)
            yield from _d90({**where, "threshold": "relative"}, partial(relative, *c[:3]), step, c.lost)
            yield from _d90({**where, "threshold": "chance_corrected"}, partial(relative, *c[:3], chance), step, c.lost)


def _losses(rows: pd.DataFrame, facts: pd.DataFrame, subject: Mapping[str, Any]) -> Iterator[Finding]:
    unigram, goals = _fact(facts, "unigram_loss"), targets(rows, facts)
    pretrained = facts[facts["metric"] == "pretraining_steps"].set_index("init")["value"]
    for init, projection in _arms(rows):
        where = {**subject, "init": init, "projection": projection, "pretraining_steps": int(pretrained[init])}
        for step, c in _by_step(rows, "target_loss", init, projection):
            start = start_loss(_untouched(facts, init).loc[c.draws].to_numpy(), unigram)
            own = partial(gained, c.dimensions, c.values, start, c.full)
            yield from _d90({**where, "threshold": "relative"}, own, step, c.lost)
            for name, target in goals.items() if step is None else ():
                at = {**where, "threshold": "shared_loss", "target": name, "target_bits": round(target, 4)}
                yield from _d90(at, partial(shared, *c[:3], target), step, c.lost)


def _by_step(rows: pd.DataFrame, metric: str, init: str, projection: str) -> Iterator[tuple[int | None, Curves]]:
    """The curves at each step that was read before the last one, then, with None, those at the end."""
    steps = sorted(rows["step"].unique())
    for step in (*steps[:-1], None):
        yield step, curves(rows, metric, init, projection, steps[-1] if step is None else step)


def _d90(where: Mapping[str, Any], reading: Callable[..., Estimate], step: int | None, lost: str) -> Iterator[Finding]:
    """d90 at the end, with either interval; at an earlier step, d90_by_step."""
    published = PUBLISHED.get((where["model"], where["parameters"], where["threshold"]), "") if where["data"].startswith(MNIST) else ""
    at = where if step is None else {**where, "step": int(step)}
    for name, reader in (("d90", band), ("d90_bootstrap", bootstrap)) if step is None else (("d90_by_step", band),):
        estimate = reading(read=reader)
        yield finding(name, at, estimate._replace(note=join_notes(estimate.note, lost, published)), "dimensions")


def _reached(last: pd.DataFrame, subject: Mapping[str, Any]) -> Iterator[Finding]:
    keys = ["metric", "init", "trains", "projection", "dimension"]
    for (metric, init, trains, projection, dimension), some in last.groupby(keys, dropna=False, sort=False):
        if metric in ("accuracy", "target_loss"):
            inside = trains == "subspace"
            where = {**subject, "init": init, "projection": projection if inside else None, "dimension": int(dimension) if inside else None}
            yield finding(metric, where, t_interval(some["value"].astype(float)), "1" if metric == "accuracy" else "bits/byte")


def _known(results: pd.DataFrame) -> Iterator[Finding]:
    for (problem, projection), rows in results.query("phase == 'known'").groupby(["problem", "projection"], sort=False):
        values = rows.set_index("metric")["value"].astype(object)
        value, low, high = (None if pd.isna(values[name]) else float(values[name]) for name in ("measured", "low", "high"))
        bound = f", Larsen et al.'s bound {values['larsen_bound']:.1f}" if "larsen_bound" in values else ""
        estimate = Estimate(value, low, high, int(rows["n"].iloc[0]), "read as d90 is", f"exact: {values['exact']:.1f}{bound}")
        yield finding("known_dimension", {"problem": problem, "projection": projection}, estimate, "dimensions")


def _costs(own: pd.DataFrame, subject: Mapping[str, Any]) -> Iterator[Finding]:
    for row in own.query("phase == 'cost'").itertuples():
        where = {**subject, "projection": None if pd.isna(row.projection) else row.projection}
        yield finding(row.metric, where, Estimate(float(row.value), None, None, 1, "one reading"), row.unit)


def _arms(rows: pd.DataFrame) -> list[tuple[str, str]]:
    inside = rows[rows["trains"] == "subspace"]
    return list(dict.fromkeys(zip(inside["init"], inside["projection"], strict=True)))


def _fact(facts: pd.DataFrame, metric: str) -> float:
    return float(facts[facts["metric"] == metric]["value"].iloc[0])


def _untouched(facts: pd.DataFrame, init: str) -> pd.Series:
    rows = facts[(facts["metric"] == "target_loss") & (facts["init"] == init)]
    return rows.set_index("seed")["value"].astype(float)
