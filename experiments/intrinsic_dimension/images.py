"""Classifiers of images as subjects: theta0, P and order redrawn together, accuracy on the test part."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from experiments.intrinsic_dimension.dimensions import READ_AT, DimensionSweep, made, shape_of
from experiments.intrinsic_dimension.references import Fact, references
from experiments.intrinsic_dimension.step_times import step_costs
from research.analysis.ngrams import majority_share
from research.cells.bases import Bases, stacked_shapes
from research.cells.layout import lay_out, tally
from research.cells.measures import Measure
from research.cells.pretraining import check_batch
from research.cells.study import population_mesh
from research.cells.subject import Prepared, Subject
from research.data.batches import in_batches
from research.data.labeled import PADDING, Labeled, batch, load_labeled
from research.models.classifiers import ClassifierConfig, classifier
from research.models.model import Variables, count
from research.optimizers import OptimizerSpec
from research.runtime.progress import Progress
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.training.mesh import MeshSpec, P, jit_step
from research.training.processes import fetch

KINDS = {"fc": "mlp", "lenet": "lenet"}
EVALUATION = (8, 125)
LONGEST = 120  # steps of one call, whose rows lie in memory
INIT = "random"
_OWN = ("images", "validation_images", "hidden", "optimizer", "per_layer")

images = functools.cache(load_labeled)  # a check needs the data's shape, and the run the same data


def image_subject(config: Mapping[str, Any], name: str) -> Subject:
    """Returns the subject 'fc' or 'lenet' of a plain config; raises UsageError for data and sizes that cannot be."""
    data = images(config["images"], config["validation_images"])
    mesh = population_mesh(MeshSpec(**config["mesh"]))
    hidden = config["hidden"] if name == "fc" else ()
    model = classifier(ClassifierConfig(KINDS[name], data.shape, hidden, data.classes))

    def init(key: jax.Array) -> Variables:
        return model.init(key, batch(np.zeros((1, data.parts["train"].shape[1]), np.uint8)))["params"]

    shapes, row = jax.eval_shape(init, jax.random.key(0)), data.parts["train"].shape[1]
    size = count(shapes)
    sweep = DimensionSweep.of(config, name, size, (INIT,))
    check_batch(f"batch_size.{name}", sweep.batch_size, mesh)
    tasks = sweep.tasks(model, shapes, OptimizerSpec(steps=sweep.steps, **config["optimizer"]), batch, row)
    seeds = sweep.all_seeds()
    activations = 40 * sweep.batch_size * (row + size // 100)  # a few numbers a pixel and a unit: small beside the weights
    counts = tally(shape_of, sweep.selection(), sweep.results())
    layout = lay_out(mesh, tasks, counts, stacked_shapes(shapes, len(seeds)), activations, sweep.members)
    index = {(INIT, seed): place for place, seed in enumerate(seeds)}
    described = {"model": name, "parameters": size, "data": data.name}

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        with timed(f"data {name}", workdir.timings.append):
            workdir.pin(data.name, data.fingerprint)
            # Members inherit theta0 from a seed of its own, apart from those of P.
            draw = jit_step(init, P(), P(), mesh, donate=())
            drawn = [fetch(draw(jax.random.key(10_000 + seed))) for seed in seeds]
        return Prepared(
            Bases(drawn.__getitem__, len(drawn), together=True),
            data.parts["train"],
            _measures(data),
            (data.fingerprint, sweep.width()),
            lambda c: made(c, sweep, described, index),
            before=lambda runner: references(runner, described, index, sweep.bases, _facts(config, data)),
            after=lambda runner, cells: step_costs(runner, described, layout, max(sweep.dimensions)),
        )

    share = {key: config[key] for key in _OWN} | {"steps": sweep.steps, "batch_size": sweep.batch_size}
    return Subject(
        sweep,
        layout,
        mesh,
        row,
        EVALUATION,
        share,
        layout.cells * sweep.steps * 6.0 * size * sweep.batch_size,
        prepare,
        read_at=READ_AT,
        longest=LONGEST,
        unit="bits/image",
        name=f"{name} ({size:,} parameters)",
        described=described,
    )


def _facts(config: Mapping[str, Any], data: Labeled) -> list[Fact]:
    chance = majority_share(data.parts["train"][:, -1], data.parts["test"][:, -1])
    levels = {"absolute_level": config["absolute"], "per_layer": float(config["per_layer"]), "chance": chance}
    return [*((None, metric, value, "1") for metric, value in levels.items()), (INIT, "pretraining_steps", 0, "steps")]


def _measures(data: Labeled) -> dict[str, tuple[Measure, ...]]:
    validation, test = (in_batches(data.parts[part], EVALUATION, PADDING) for part in ("validation", "test"))
    return {
        "select": (Measure("validation_loss", validation, True, unit="bits/image"),),
        "result": (Measure("accuracy", test, False, "correct", "1"),),
    }
