"""Classifiers of images as subjects: theta0, P and order redrawn together, accuracy on the test part."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from research.data.batches import in_batches
from research.data.labeled import PADDING, Labeled, batch, load_labeled
from research.loop.dimensions import DimensionSweep
from research.loop.layout import lay_out, stacked_shapes
from research.loop.populations import Measure
from research.loop.pretraining import check_batch
from research.loop.progress import Progress
from research.loop.provenance import timed
from research.loop.subjects import Prepared, Subject
from research.loop.workdir import Workdir
from research.models.classifiers import ClassifierConfig, classifier
from research.models.model import Variables, count
from research.optimizers import OptimizerSpec
from research.training.mesh import MeshSpec, P, jit_step, make_mesh
from research.training.processes import fetch

KINDS = {"fc": "mlp", "lenet": "lenet"}
EVALUATION = (8, 125)
CHUNKS, LONGEST = 20, 120  # calls of a run; steps of one, whose rows lie in memory
INIT = "random"
_OWN = ("images", "validation_images", "hidden", "optimizer", "per_layer")

images = functools.cache(load_labeled)  # a check needs the data's shape, and the run the same data


def image_subject(config: Mapping[str, Any], name: str) -> Subject:
    """Returns the subject 'fc' or 'lenet' of a plain config; raises UsageError for data and sizes that cannot be."""
    data = images(config["images"], config["validation_images"])
    mesh = make_mesh(MeshSpec(**config["mesh"]))
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
    layout = lay_out(mesh, tasks, sweep.counts(), stacked_shapes(shapes, len(seeds)), activations, sweep.members)

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        with timed(f"data {name}", workdir.timings.append):
            workdir.pin(data.name, data.fingerprint)
            # Members inherit theta0 from a seed of its own, apart from those of P.
            draw = jit_step(init, P(), P(), mesh, donate=())
            drawn = [fetch(draw(jax.random.key(10_000 + seed))) for seed in seeds]
            bases = jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)
        index = {(INIT, seed): place for place, seed in enumerate(seeds)}
        labels = data.parts["train"][:, -1], data.parts["test"][:, -1]
        return Prepared(bases, index, data.parts["train"], _measures(data), (data.fingerprint,), labels, {INIT: 0})

    described = {"model": name, "parameters": size, "data": data.name}
    flops = sum(map(sum, sweep.counts().values())) * sweep.steps * 6.0 * size * sweep.batch_size
    share = {key: config[key] for key in _OWN} | {"steps": sweep.steps, "batch_size": sweep.batch_size}
    chunk = max(1, min(sweep.steps // CHUNKS, LONGEST))
    return Subject(name, described, sweep, layout, mesh, row, chunk, EVALUATION, "bits/image", share, flops, prepare)


def _measures(data: Labeled) -> dict[str, tuple[Measure, ...]]:
    validation, test = (in_batches(data.parts[part], EVALUATION, PADDING) for part in ("validation", "test"))
    return {
        "select": (Measure("validation_loss", validation, True, unit="bits/image"),),
        "result": (Measure("accuracy", test, False, "correct", "1"),),
    }
