"""What the weights of each cell recall at each step that is kept: new facts, known ones, the style, general text; and what a base does."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from experiments.style_vs_facts.axes import StyleSweep
from experiments.style_vs_facts.lessons import Lesson, parse
from experiments.style_vs_facts.material import LENGTH, Material, said
from research import tree
from research.adapters.merging import merge
from research.analysis.recall import Queries, queries, recall, style, style_queries
from research.cells.bases import stacked
from research.cells.measures import BITS
from research.cells.phases import reference
from research.cells.runner import Runner
from research.cells.setting import Cell, kept_as
from research.cells.study import Study, model_of
from research.cells.subject import Rows
from research.data.facts import STYLES
from research.losses import cross_entropy
from research.models.model import Model
from research.records import rounded
from research.runtime.provenance import timed
from research.training.spread import spread

GROUPS = 16  # of the known entities that are asked: an interval holds what differs between them
UNITS = {"bits": "bits", "correct": "1", "score": "1", "loss": "bits/byte", "mass": "1"}


class Asked(NamedTuple):
    """What is asked of weights: queries of facts and styles by name, rows of general text; how many of each set are no repetitions."""

    facts: Mapping[str, Queries]
    style: Any
    text: Any
    counts: Mapping[str, int]


def read(runner: Runner, sweep: StyleSweep, study: Study, asked: Callable[[Lesson, int], Asked], cells: Sequence[Cell]) -> Iterator[Rows]:
    """Yields what the weights of each cell recall at each step that is kept."""
    compare = spread(reader(model_of(study), study))
    where = [(cell, {key: value for key, value in cell.coordinates.items() if key != "chosen_for"} | {"phase": "recall"}) for cell in cells]
    last = runner.setting.budgets[-1]
    todo = [(cell, own) for cell, own in where if not runner.workdir.records.has(**own, step=last)]
    with timed("recall", runner.workdir.timings.append), runner.progress.task("recall", len(todo)) as bar:
        for cell, own in todo:
            what = asked(parse(own["lesson"]), own["seed"])
            points = stacked([weights(runner, cell, step) for step in runner.setting.kept_at])
            found = compare(points, what.facts, what.style, what.text)
            yield [
                {"experiment": runner.setting.experiment, "cell": "", **own, "step": step, **row}
                for place, step in enumerate(runner.setting.kept_at)
                for row in rows_of(jax.tree.map(lambda leaf, at=place: leaf[at], found), what.counts, step == last)
            ]
            bar.advance(1)


def weights(runner: Runner, cell: Cell, step: int) -> Any:
    """Returns the plain weights that a cell had at a step, adapters merged."""
    kept = runner.workdir.load_artifact(kept_as(cell, step, runner.setting.budgets[-1]))
    variables = tree.unflatten({**tree.flatten({"params": runner.setting.bases.params(cell.base)}), **kept})
    return jax.device_get(merge(variables))["params"] if "adapter" in variables else variables["params"]


def reader(model: Model, study: Study) -> Callable[..., dict[str, Any]]:
    """Returns (weights, facts, style, text) -> what each query reads, by name; traced."""

    def loss(params: Any, text: Array) -> Array:
        def one(rows: Array) -> Array:
            metrics = cross_entropy(model, {"params": params}, study.to_batch(rows))[1]
            return jax.numpy.stack([metrics["nll"].sum(), metrics["weight"].sum()])

        return jax.lax.map(one, text.reshape(-1, min(study.evaluation[1], len(text)), text.shape[1])).sum(axis=0)

    def of(params: Any, facts: Mapping[str, Queries], written: Any, text: Any) -> dict[str, Any]:
        found: dict[str, Any] = {name: recall(model, params, own) for name, own in facts.items()}
        if written is not None:
            found["style"] = style(model, params, written)
        return found if text is None else {**found, "source": loss(params, text)}

    return of


def rows_of(found: Mapping[str, Any], counts: Mapping[str, int], by_group: bool) -> Iterator[dict[str, Any]]:
    """Yields metrics of one point: new facts as the sum of their bits, known ones as the mean, and that by groups of entities."""
    for name, values in found.items():
        if name == "source":
            yield _row("source_loss", values[0] / values[1] * BITS, "bits/byte")
        elif name == "style":
            yield _row("style_score", values["score"][: counts[name]].mean(), "1")
            yield _row("style_bits", values["bits"][: counts[name]].mean(), "bits")
        else:
            own = {metric: np.asarray(each[: counts[name]], float) for metric, each in values.items()}
            yield _row(f"{name}_bits", own["bits"].mean() if name == "old" else own["bits"].sum(), "bits/fact" if name == "old" else "bits")
            yield _row(f"{name}_correct", own["correct"].mean(), "1")
            yield _row(f"{name}_mass", own["mass"].mean(), "1")
            for group, values_of in enumerate(np.array_split(own["bits"], GROUPS) if by_group and name == "old" else ()):
                yield {**_row("old_group_bits", values_of.mean(), "bits/fact"), "document": group}


def _row(metric: str, value: float, unit: str) -> dict[str, Any]:
    value = float(value)
    row = {"metric": metric, "value": rounded(value), "unit": unit}
    return row if np.isfinite(value) else {**row, "value": None, "note": "diverged"}


def questions(material: Material, lesson: Lesson | None, style_word: str | None, counts: tuple[int, int], text: Any) -> Asked:
    """Returns what a cell is asked: its new facts as trained and as withheld, known facts, its style; sets of one size for all cells.

    Who learns no new facts is asked those of its seed all the same. counts: new entities that all sets are filled up to, and ... 
    """
    raise NotImplementedError


def untouched(runner: Runner, study: Study, asked: Asked, where: Mapping[str, Any], base: int) -> Rows:
    """Returns what a base reads before any training, the new facts with and without their context."""
    raise NotImplementedError


_ = (reference, LENGTH, said, STYLES, queries, style_queries, UNITS)
