"""What is swept: a decoder tuned on each target at each rank, rule and learning rate; the parts share everything but the target."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.learning_rate_law import sharpness
from experiments.learning_rate_law.axes import FULL, LORA, Part, RateSweep
from research.cells import initializations
from research.cells.described import described
from research.cells.layout import Layout
from research.cells.phases import document_sizes, reference, untouched
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.starts import Phases, layout_of, loader
from research.cells.study import Study, text_subject, whole
from research.cells.subject import Prepared, Rows, Subject
from research.data.batches import windows
from research.data.corpus import Corpus
from research.errors import UsageError
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir

APART = (
    "base",
    "targets",
    "inits",
    "rules",
    "ranks",
    "factors",
    "seeds",
    "selection_seeds",
    "selection_steps",
    "learning_rates",
    "curvature",
    "mesh",
    "members",
)


class Common(NamedTuple):
    """What the parts of a sweep share: config, study of the first target, axes, layout, places of bases, and what is loaded once."""

    config: Mapping[str, Any]
    study: Study
    sweep: RateSweep
    layout: Layout
    places: Mapping[tuple[str, int], int]
    loaded: Any


def rate_subjects(config: Mapping[str, Any]) -> list[Subject]:
    """Returns the subjects of a plain config, a target each; raises UsageError for what cannot be."""
    sweep = RateSweep.of(config)
    initializations.check(sweep.inits, config["base"])
    study = Study.of({**config, "target": sweep.targets[0]})
    study.check_batches(sweep.batch_size)
    tasks, parts = sweep.tasks(study), sweep.parts()
    index = initializations.places(sweep.inits, sweep.all_seeds(), sweep.bases)
    cells = [phase for part in parts for phase in (part.selection(), part.results())]
    layout = layout_of(study, tasks, Phases(cells, lambda c: c["trains"]), sweep, index)

    def check(targets: Sequence[Corpus]) -> None:
        for target in targets:
            if (there := len(windows(target.parts["train"], study.model.max_length))) < (asked := sweep.curvature["windows"]):
                raise UsageError(f"curvature.windows = {asked}, but {target.source} has {there} windows to train on; lower it")

    loaded = loader(study, sweep.targets, index, check)
    common = Common(config, study, sweep, layout, index, loaded)
    return [_subject(common, part) for part in parts]


def _subject(common: Common, part: Part) -> Subject:
    config, study, sweep, layout, index, loaded = common
    steps = len(part.selection()) * (sweep.selection_steps or sweep.steps) + len(part.results()) * sweep.steps

    def cell(c: Mapping[str, Any]) -> Cell:
        place = index[c["init"], c["seed"]]
        return Cell("", c, c["trains"], place, c["rank"] or 0, c["learning_rate"], c["seed"], alpha=c["alpha"])

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        texts = loaded(workdir, progress)
        target = texts.targets[part.target]
        rows = windows(target.parts["train"], study.model.max_length)

        def before(runner: Runner) -> Iterator[Rows]:
            own = {key: place for key, place in index.items() if key[0] in part.inits}
            experiment, on = runner.setting.experiment, {"target": part.target}
            known = [reference(experiment, "width", study.model.d_model, "1", **on), *described(experiment, study, **on)]
            known += [reference(experiment, "rule", 1.0, "count", arm=rule.word, **on) for rule in sweep.parsed]
            yield [*known, *document_sizes(runner, **on), *untouched(runner, FULL, own, sweep.bases, **on)]

        def after(runner: Runner, cells: Sequence[Cell]) -> Iterator[Rows]:
            yield from sharpness.read(runner, part, layout.tasks[LORA], index)

        selection = whole(study, target, "validation", "validation_loss")._replace(groups=None)
        measures = {"select": (selection,), "result": (whole(study, target, target.read, "target_loss", early="budget_loss"),)}
        data = (texts.source.fingerprint, target.fingerprint, *study.named_by)
        return Prepared(texts.bases, rows, measures, data, cell, before, after)

    return text_subject(
        study,
        part,
        layout,
        share={key: value for key, value in config.items() if key not in APART},
        prepare=prepare,
        read_at=sweep.read_at,
        selection_steps=sweep.selection_steps,
        flops=study.flops(steps * sweep.batch_size, part.inits if part.target == sweep.targets[0] else (), _read(study, part)),
        name=part.target,
        described={"target": part.target},
    )


def _read(study: Study, part: Part) -> int:
    """How many windows' forward passes all readings take, roughly: a product with a Hessian is about six."""
    text, curvature = study.target, part.sweep.curvature
    size = text.test_bytes if text.part == "test" else text.final_bytes
    ends = study.read_windows(size) + len(part.sweep.read_at) * study.read_windows(1)
    losses = len(part.selection()) * study.read_windows(text.validation_bytes) + len(part.results()) * ends
    return losses + 6 * curvature["products"] * curvature["windows"] * len(list(part.settings(range(part.sweep.seeds))))
