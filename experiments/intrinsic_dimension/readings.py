"""What a sweep over dimensions says: findings from the records alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.intrinsic_dimension.arms import Curves, arms_of, bases_of, curves, fact, steps_of, subjects
from experiments.intrinsic_dimension.curves import band, bootstrap
from experiments.intrinsic_dimension.definitions import Definition, of_accuracy, of_records
from research.analysis import described
from research.analysis.contrasts import BASE_LEFT_OUT, of_one_base, units
from research.analysis.intervals import join_notes, t_interval
from research.findings import Estimate, Finding, finding

NAMES = {"fc": "the fully connected network", "lenet": "LeNet", "lm": "the language model"}
MNIST = "tfds:mnist/"
# Li et al. 2018: the paper's value, and what its authors' released runs give when read by one definition.
PUBLISHED = {
    ("fc", 199_210, "absolute"): "published: 750; the released runs recomputed: 786 +- 66, or where their mean curve crosses, 850",
    ("fc", 199_210, "relative"): "published: 750; the released runs recomputed: 625",
    ("lenet", 44_426, "absolute"): "published: 290; the released notebook's table: 290 with a baseline of 1.0",
    ("lenet", 44_426, "relative"): "published: 290; the released notebook's table: 275 with its own baseline",
}


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns d90 by every definition, what was reached, the dimensions of known problems, and what a step costs."""
    found = [*described.base(results), *_known(results)]
    for subject, own in subjects(results):
        found += _reached(own, subject)
        found += _accuracies(own, subject) if steps_of(own, "accuracy") else _losses(own, subject)
        found += _costs(own, subject)
    return found


def _accuracies(own: pd.DataFrame, subject: Mapping[str, Any]) -> Iterator[Finding]:
    level, chance = fact(own, "absolute_level"), fact(own, "chance")
    yield finding("absolute_level", subject, Estimate(level, None, None, 1, "set by the config"), "1")
    definitions, (*earlier, last) = of_accuracy(level, chance), steps_of(own, "accuracy")
    for init, projection in arms_of(own):
        where = {**subject, "init": init, "projection": projection}
        for step in earlier:
            yield from _by_step(curves(own, "accuracy", init, projection, step), definitions, {**where, "step": step})
        c = curves(own, "accuracy", init, projection, last)
        for definition in definitions:
            yield from _d90(c, definition, where)


def _losses(own: pd.DataFrame, subject: Mapping[str, Any]) -> Iterator[Finding]:
    definitions, last = of_records(own), steps_of(own, "target_loss")[-1]
    gains, shared = ([d for d in definitions if ("start" in d.where) is by_start] for by_start in (True, False))
    yield from described.window(own, subject)
    pretrained = own[own["metric"] == "pretraining_steps"].set_index("init")["value"]
    for init, projection in arms_of(own):
        known = {"pretraining_steps": int(pretrained[init])} if init in pretrained else {}  # of weights from elsewhere nobody knows
        where = {**subject, "init": init, "projection": projection, **known}
        for step in steps_of(own, "budget_loss"):
            yield from _by_step(curves(own, "budget_loss", init, projection, step), gains[:1], {**where, "step": step})
        c = curves(own, "target_loss", init, projection, last)
        for definition in (gains[0], *shared):
            yield from _d90(c, definition, where)
        for definition in gains:
            yield finding(
                "d90_by_definition", {**where, "start": definition.where["start"]}, _noted(c, definition.reading(c)), "dimensions"
            )


def _by_step(c: Curves, definitions: Sequence[Definition], where: Mapping[str, Any]) -> Iterator[Finding]:
    """d90 after a part of the steps, by the learning rates chosen for all of them."""
    for definition in definitions:
        yield finding("d90_by_step", {**where, **_threshold(definition)}, _noted(c, definition.reading(c)), "dimensions")


def _d90(c: Curves, definition: Definition, where: Mapping[str, Any]) -> Iterator[Finding]:
    """d90 at the end, with either interval, and its share of all parameters where it is of full training's gain."""
    at = {**where, **_threshold(definition)}
    published = PUBLISHED.get((at["model"], at["parameters"], at["threshold"]), "") if at["data"].startswith(MNIST) else ""
    for name, reader in (("d90", band), ("d90_bootstrap", bootstrap)):
        yield finding(name, at, _noted(c, definition.reading(c, read=reader), published), "dimensions")
    if at["threshold"] == "relative":
        d90 = definition.reading(c)
        value, low, high = (None if x is None else x / at["parameters"] for x in d90[:3])
        yield finding("d90_share", at, _noted(c, d90._replace(value=value, low=low, high=high)), "1")


def _threshold(definition: Definition) -> Mapping[str, Any]:
    """A definition's coordinates without its start, which a d90 does not name where it is the usual one."""
    return {key: value for key, value in definition.where.items() if key != "start"}


def _noted(c: Curves, estimate: Estimate, *more: str) -> Estimate:
    return estimate._replace(note=join_notes(estimate.note, c.left_out, c.lost, *more))


def _reached(own: pd.DataFrame, subject: Mapping[str, Any]) -> Iterator[Finding]:
    tested = own[own["phase"] == "result"]
    last = tested[tested["step"] == tested["step"].max()]
    keys = ["metric", "init", "trains", "projection", "dimension"]
    for (metric, init, trains, projection, dimension), some in last.groupby(keys, dropna=False, sort=False):
        if metric in ("accuracy", "target_loss"):
            inside = trains == "subspace"
            where = {**subject, "init": init, "projection": projection if inside else None, "dimension": int(dimension) if inside else None}
            values = some.set_index("seed")["value"].astype(float)
            bases = bases_of(some).loc[values.index].to_numpy()
            mean = t_interval(units(values.to_numpy(), bases))
            mean = mean._replace(note=join_notes(mean.note, f"{mean.n} {BASE_LEFT_OUT}" if of_one_base(bases) else ""))
            yield finding(metric, where, mean, "1" if metric == "accuracy" else "bits/byte")


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
