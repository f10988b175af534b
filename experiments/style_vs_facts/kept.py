"""What weights recall: those of each cell at each step that is kept, and those of a base before any training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.style_vs_facts.asked import OLD, STYLED, Asked
from experiments.style_vs_facts.lessons import Lesson, parse
from research.analysis.recall import Queries, StyleQueries, recall, style
from research.cells.bases import stacked
from research.cells.kept import weights
from research.cells.measures import BITS
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.study import Study, model_of
from research.cells.subject import Rows
from research.data.facts import ATTRIBUTES
from research.losses import cross_entropy
from research.models.model import Model
from research.records import rounded
from research.runtime.provenance import timed
from research.training.spread import spread

FACTS, STYLE, SOURCE = "facts", "style", "source"
Compare = Callable[..., dict[str, Any]]


def read(runner: Runner, study: Study, asked: Callable[[Lesson, int], Asked], cells: Sequence[Cell]) -> Iterator[Rows]:
    """Yields what the weights of each cell recall at each step that is kept; a cell that diverged reads nothing."""
    last, experiment = runner.setting.budgets[-1], runner.setting.experiment
    where = [(cell, {key: value for key, value in cell.coordinates.items() if key != "chosen_for"} | {"phase": "recall"}) for cell in cells]
    todo = [(cell, own) for cell, own in where if not runner.workdir.records.has(**own, step=last)]
    compare = spread(reader(model_of(study), study))
    with timed("recall", runner.workdir.timings.append), runner.progress.task("recall", len(todo)) as bar:
        for cell, own in todo:
            what = asked(parse(own["lesson"]), own["seed"])
            points = [weights(runner, cell, step) for step in runner.setting.kept_at]
            start = {"experiment": experiment, "cell": "", **own}
            yield [
                {**start, "step": step, **row}
                for step, found in zip(runner.setting.kept_at, _each(compare, points, what), strict=True)
                for row in rows_of(found, what.parts, step == last)
            ]
            bar.advance(1)


def untouched(
    runner: Runner, study: Study, asked: Mapping[int, Asked], where: Mapping[int, Mapping[str, Any]], places: Mapping[int, int]
) -> Rows:
    """Returns what each seed's base, at its place among all, reads before any training; `where` are its coordinates, all by seed."""
    compare, rows = spread(reader(model_of(study), study)), []
    with timed("references", runner.workdir.timings.append):
        for seed, what in asked.items():
            (found,) = _each(compare, [runner.setting.bases.params(places[seed])], what)
            rows += [{**where[seed], **row} for row in rows_of(found, what.parts, True)]
    return rows


def reader(model: Model, study: Study) -> Compare:
    """Returns (weights, facts, style, text) -> what is read of facts, of the style and of the text; traced."""

    def loss(params: Any, text: Array) -> Array:
        def one(row: Array) -> Array:
            metrics = cross_entropy(model, {"params": params}, study.to_batch(row[None]))[1]
            return jnp.stack([metrics["nll"].sum(), metrics["weight"].sum()])

        return jax.lax.map(one, text, batch_size=study.evaluation[1]).sum(axis=0)

    def of(params: Any, facts: Queries, written: StyleQueries | None, text: Array) -> dict[str, Any]:
        found: dict[str, Any] = {} if written is None else {STYLE: style(model, params, written)}
        return {**found, FACTS: recall(model, params, facts), SOURCE: loss(params, text)}

    return of


def _each(compare: Compare, points: Sequence[Any], asked: Asked) -> Iterator[Mapping[str, Any]]:
    """What each of several weights reads."""
    found = compare(stacked(points), asked.facts, asked.style, asked.text)
    for place in range(len(points)):
        yield jax.tree.map(lambda leaf, at=place: leaf[at], found)


def rows_of(found: Mapping[str, Any], parts: Mapping[str, slice], by_entity: bool) -> Iterator[dict[str, Any]]:
    """Yields the metrics of some weights: of new facts the sum of their bits, of known ones the mean, and that of each entity."""
    for name, part in parts.items():
        own = {metric: np.asarray(each[part], float) for metric, each in found[FACTS].items()}
        a_fact = name in (OLD, STYLED)
        yield _row(f"{name}_bits", own["bits"].mean() if a_fact else own["bits"].sum(), "bits/fact" if a_fact else "bits")
        yield _row(f"{name}_correct", own["correct"].mean(), "1")
        yield _row(f"{name}_mass", own["mass"].mean(), "1")
        for entity, bits in enumerate(own["bits"].reshape(-1, len(ATTRIBUTES)) if by_entity and name == OLD else ()):
            yield {**_row("old_group_bits", bits.mean(), "bits/fact"), "document": entity}
    if STYLE in found:
        yield _row("style_score", np.mean(found[STYLE]["score"]), "1")
        yield _row("style_bits", np.mean(found[STYLE]["bits"]), "bits")
    yield _row("source_loss", found[SOURCE][0] / found[SOURCE][1] * BITS, "bits/byte")


def _row(metric: str, value: Any, unit: str) -> dict[str, Any]:
    row = {"metric": metric, "value": rounded(float(value)), "unit": unit}
    return row if np.isfinite(value) else {**row, "value": None, "note": "diverged"}
