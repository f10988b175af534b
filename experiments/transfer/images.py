"""What is swept of classifiers: trained on one half of the classes, from layers of networks that were trained on either half, or not."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from experiments.transfer.arms import DONOR, MATCHED, OWN, RANDOM, SHUFFLED
from experiments.transfer.axes import SplitSweep, word_of
from experiments.transfer.blocks import Blocks
from experiments.transfer.halves import Half, halves
from experiments.transfer.subject import ORDER, arm_of, donors_read
from research.cells.bases import Bases, stacked_shapes
from research.cells.initializations import shuffled
from research.cells.layout import Layout, lay_out, tally
from research.cells.measures import Measure
from research.cells.phases import reference
from research.cells.pretraining import check_batch
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.study import population_mesh
from research.cells.subject import Coordinates, Prepared, Subject
from research.data.batches import in_batches, orders
from research.data.labeled import PADDING, Labeled, batch, load_labeled
from research.losses import cross_entropy
from research.models.classifiers import ClassifierConfig, classifier
from research.models.model import Model, Variables, count
from research.optimizers import OptimizerSpec, adamw
from research.runtime.progress import Progress
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.training.mesh import MeshSpec, P, jit_step, own_device
from research.training.step import TrainState, init_state, make_train_step

EVALUATION = (8, 125)
CHUNK = 50  # steps of one call, where donors are trained
LONGEST = 120
SHARED = ("images", "validation_images", "hidden", "optimizer", "pretraining")

images = functools.cache(load_labeled)


def image_subjects(config: Mapping[str, Any]) -> list[Subject]:
    """Returns the subjects of a plain config: all arms, split by split, then from scratch for as long as a donor and an arm took together.

    Raises UsageError for data and sizes that cannot be.
    """
    data, steps = images(config["images"], config["validation_images"]), config["steps"] + config["pretraining"]["steps"]
    longer = {**config, "steps": steps, "selection_steps": 0, "read_at": (), "arms": (MATCHED,)}
    return [subject for own in (config, longer) for subject in _subjects(own, data)]


def _subjects(config: Mapping[str, Any], data: Labeled) -> list[Subject]:
    sweeps, mesh = SplitSweep.all_of(config), population_mesh(MeshSpec(**config["mesh"]))
    check_batch("batch_size", config["batch_size"], mesh)
    model, row = classifier(ClassifierConfig("mlp", data.shape, config["hidden"], data.classes // 2)), data.parts["train"].shape[1]
    shapes = jax.eval_shape(_initial(model, row), jax.random.key(0))
    optimizer = OptimizerSpec(steps=config["steps"], **config["optimizer"])
    tasks = sweeps[0].tasks(model, shapes, optimizer, batch, row=row)
    activations = 40 * config["batch_size"] * (row + sum(config["hidden"]))
    counts = tally(lambda c: arm_of(c).shape, *(cells for sweep in sweeps for cells in (sweep.selection(), sweep.results())))
    bases = stacked_shapes(shapes, len(sweeps[0].begun()))
    layout = lay_out(mesh, tasks, counts, bases, activations, sweeps[0].members)
    return [_subject(config, data, sweep, model, (layout, mesh)) for sweep in sweeps]


def _subject(config: Mapping[str, Any], data: Labeled, sweep: SplitSweep, model: Model, laid: tuple[Layout, Mesh]) -> Subject:
    row, places = data.parts["train"].shape[1], sweep.places()
    name = f"split {sweep.split + 1}" + (f", {MATCHED}" if MATCHED in sweep.arms else "")

    def cell(c: Coordinates) -> Cell:
        return Cell("", c, arm_of(c).shape, places[word_of(arm_of(c).start), c["seed"]], 0, c["learning_rate"], ORDER + c["seed"])

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        theirs, own = halves(data, sweep.split)
        workdir.pin(data.name, data.fingerprint)
        with timed("pretraining", workdir.timings.append):
            bases = _starts(config, sweep, model, {DONOR: theirs, OWN: own})
        validation, test = (in_batches(own.parts[part], EVALUATION, PADDING) for part in ("validation", "test"))
        measures = {
            "select": (Measure("validation_loss", validation, True, unit="bits/image"),),
            "result": (
                Measure("target_loss", test, False, unit="bits/image"),
                Measure("accuracy", test, False, "correct", "1"),
            ),
        }

        def before(runner: Runner) -> list[list[dict[str, Any]]]:
            experiment, seed = runner.setting.experiment, sweep.split
            known = {"depth": len(config["hidden"]), "train_images": sweep.steps * sweep.batch_size, "test_images": len(own.parts["test"])}
            rows = [reference(experiment, metric, value, "1", seed=seed) for metric, value in known.items()]
            said = f"{data.name}, classes {_said(own)}, the donor's {_said(theirs)}"
            rows.append({**reference(experiment, "target", 1.0, "count", seed=seed), "note": said})
            return [] if MATCHED in sweep.arms else [[*rows, *donors_read(runner, sweep, places)]]

        return Prepared(bases, own.parts["train"], measures, (data.fingerprint, str(sweep.split)), cell, before)

    share = {key: config[key] for key in SHARED} | {"steps": sweep.steps, "batch_size": sweep.batch_size, "read_at": config["read_at"]}
    size = count(jax.eval_shape(_initial(model, row), jax.random.key(0)))
    cells = len(sweep.selection()) + len(sweep.results())
    return Subject(
        sweep,
        *laid,
        row,
        EVALUATION,
        share,
        cells * sweep.steps * 6.0 * size * sweep.batch_size,
        prepare,
        read_at=sweep.read_at,
        longest=LONGEST,
        selection_steps=sweep.selection_steps,
        unit="bits/image",
        name=name,
        described={"split": sweep.split},
    )


def _said(half: Half) -> str:
    return " ".join(map(str, half.classes))


def _initial(model: Model, row: int) -> Callable[[Array], Variables]:
    def init(key: Array) -> Variables:
        return model.init(key, batch(np.zeros((1, row), np.uint8)))["params"]

    return init


def _starts(config: Mapping[str, Any], sweep: SplitSweep, model: Model, data: Mapping[str, Half]) -> Bases:
    """What the cells of a split begin with: copied layers of its donors, which are trained here, in fresh networks."""
    draw = jax.jit(_initial(model, next(iter(data.values())).parts["train"].shape[1]))
    begun = {start[0] for start in sweep.starts}
    wanted = [donor for donor in data if donor in begun or (donor == DONOR and SHUFFLED in begun)]
    trained = {
        donor: _trained(config, model, draw, data[donor].parts["train"], 20_000 + 2 * sweep.split + place)
        for place, donor in enumerate(wanted)
    }
    trained |= {SHUFFLED: shuffled(trained[DONOR], sweep.split)} if SHUFFLED in begun else {}
    made, blocks = [], Blocks.of(jax.eval_shape(draw, jax.random.key(0)))
    for (donor, copied, n), seed in sweep.begun():
        fresh = jax.device_get(draw(jax.random.key(10_000 + seed)))
        made.append(blocks.grafted(fresh if donor == RANDOM else trained[donor], fresh, copied, n))
    return Bases(made.__getitem__, len(made), together=True)


def _trained(config: Mapping[str, Any], model: Model, draw: Callable[[Array], Variables], rows: np.ndarray, seed: int) -> Variables:
    """A network trained on rows as the config's `pretraining` says, on the host; the same on every process."""
    p = config["pretraining"]
    tx = adamw(OptimizerSpec(steps=p["steps"], schedule=p["schedule"], warmup=p["warmup"]), p["learning_rate"])
    step = make_train_step(model, cross_entropy, tx)

    def run(state: TrainState, some: Array) -> TrainState:
        return jax.lax.scan(lambda carry, row: (step(carry, batch(row))[0], None), state, some)[0]

    compiled, state = jit_step(run, (P(), P()), P(), own_device(), donate=()), init_state({"params": draw(jax.random.key(seed))}, {}, tx)
    for first in range(0, p["steps"], CHUNK):
        order = orders([seed], first, min(CHUNK, p["steps"] - first), p["batch_size"], len(rows))[0]
        state = compiled(state, rows[order])
    found: Variables = jax.device_get(state.trainable["params"])
    return found
