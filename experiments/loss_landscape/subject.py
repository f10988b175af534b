"""What is swept: the decoder from each initialization; before its training and after it the loss around its weights is read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.loss_landscape import curvatures, grids, lines, stability
from experiments.loss_landscape.axes import FULL, LONGEST, LandscapeSweep, order_of
from experiments.loss_landscape.ground import Weights, ground_of
from experiments.loss_landscape.paths import Followed
from research.cells import initializations
from research.cells.bases import at_once
from research.cells.described import described
from research.cells.measures import Measure
from research.cells.phases import reference
from research.cells.pretraining import parameter_shapes
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.starts import Phases, bases, layout_of
from research.cells.study import Study, corpora, early, model_of, text_subject, whole
from research.cells.subject import Prepared, Rows, Subject
from research.data.batches import windows
from research.data.corpus import Corpus
from research.errors import UsageError
from research.models.model import count
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir

APART = (
    "base",
    "inits",
    "rank",
    "seeds",
    "runs",
    "selection_seeds",
    "selection_steps",
    "learning_rates",
    "mesh",
    "members",
    "readings",
    "sequences",
    "grids",
    "curvature",
    "stability",
    "path",
)


def landscape_subject(config: Mapping[str, Any]) -> Subject:
    """Returns the subject of a plain config; raises UsageError for what cannot be."""
    sweep = LandscapeSweep.of(config)
    initializations.check(sweep.inits, config["base"])
    study = Study.of({**config, "steps": max(1, sweep.steps)})
    study.check_batches(sweep.batch_size)
    tasks = sweep.tasks(study)
    index = initializations.places(sweep.inits, sweep.all_seeds(), sweep.bases)
    if sweep.reads("paths") or sweep.reads("stability"):
        _check_together(study, max(index.values()) + 1)
    phases = Phases((sweep.selection(), sweep.results() or sweep.starts()), lambda c: str(c["trains"]))
    layout = layout_of(study, tasks, phases, sweep, index)

    def cell(c: Mapping[str, Any]) -> Cell:
        return Cell("", c, c["trains"], index[c["init"], c["seed"]], c["rank"] or 0, c["learning_rate"], order_of(c))

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        source, target = corpora(study, (study.target,), workdir)
        ground = ground_of(study, target, tasks, sweep.sequences)

        def after(runner: Runner, cells: Sequence[Cell]) -> Iterator[Rows]:
            weights = Weights(runner, tasks, index, cells)
            followed = Followed(runner, sweep, tasks[FULL], cells)
            if followed.steps:
                yield from followed.read()
            if sweep.reads("curvature"):
                yield from curvatures.read(runner, sweep, ground, weights, followed)
            yield from grids.read(runner, sweep, ground, weights, followed)
            if sweep.reads("barriers"):
                yield from lines.read(runner, sweep, ground, weights, study.model)
            if sweep.steps and sweep.reads("stability"):
                yield from stability.read(runner, sweep, cells)

        return Prepared(
            bases(study, index, (source, target), workdir, progress),
            windows(target.parts["train"], study.model.max_length),
            _measures(study, target),
            (source.fingerprint, target.fingerprint, *study.named_by),
            cell,
            before=lambda runner: [_known(runner, study)],
            after=after,
            keep=lambda c, step: c["phase"] == "result",
        )

    share = {key: value for key, value in config.items() if key not in APART}
    steps = len(sweep.selection()) * (sweep.selection_steps or sweep.steps) + len(sweep.results()) * sweep.steps
    return text_subject(
        study,
        sweep,
        layout,
        share=share,
        prepare=prepare,
        read_at=sweep.read_at,
        longest=LONGEST,
        selection_steps=sweep.selection_steps,
        flops=study.flops(steps * sweep.batch_size, sweep.inits, _read(study, sweep)),
    )


def _check_together(study: Study, places: int) -> None:
    """Raises UsageError for readings that take all bases at once, where one at a time is held."""
    if at_once(parameter_shapes(model_of(study)), places) < places:
        raise UsageError("readings has paths or stability, which take small models, all bases at once; leave both out of readings")


def _known(runner: Runner, study: Study) -> Rows:
    size = count(parameter_shapes(model_of(study)))
    experiment, target = runner.setting.experiment, {"note": study.target.source}
    known = [reference(experiment, "parameters", size, "1"), {**reference(experiment, "target", 1.0, "count"), **target}]
    return [*known, *described(experiment, study)]


def _read(study: Study, sweep: LandscapeSweep) -> int:
    """How many windows' forward passes all readings take, roughly; a Hessian's product is ten of them, a step of training three."""
    starts = [c for c in sweep.starts() if c["trains"] == FULL]
    grid, curvature, ends = sweep.grids, sweep.curvature, 2 if sweep.steps else 1
    points = len(starts) * (ends + len(sweep.path) * sweep.reads("paths"))
    passes = 10 * points * (curvature["products"] + curvature["probes"]) * sweep.reads("curvature")
    first = len(sweep.inits) * ends
    passes += first * (sweep.reads("surfaces") * 2 * grid["surface"] ** 2 + sweep.reads("profiles") * grid["directions"] * grid["profile"])
    passes += 20 * curvature["densities"] * curvature["products"] * ends * sweep.reads("densities")
    pairs = len(starts) * sweep.runs * (sweep.runs + 1)
    passes += pairs * grid["line"] * sweep.reads("barriers")
    held_out = len(sweep.selection()) * study.read_windows(study.target.validation_bytes)
    stable = len(starts) * sweep.stability["rounds"] * sweep.stability["steps"] * sweep.batch_size * 3 * sweep.reads("stability")
    return int(passes * sweep.sequences + held_out + stable + len(sweep.results()) * len(sweep.read_at) * study.read_windows(1))


def _measures(study: Study, target: Corpus) -> dict[str, tuple[Measure, ...]]:
    selection = whole(study, target, "validation", "validation_loss")._replace(groups=None)
    return {"select": (selection,), "result": (early(study, target, "validation", "validation_loss"),)}
