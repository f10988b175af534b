"""What is swept: the pretrained decoder, tuned by each method; how much of the target it learns, and of the source it loses."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import Array

from experiments.forgetting import kept
from experiments.forgetting.axes import INIT, ForgettingSweep, MethodRuns
from experiments.forgetting.methods import WEIGHTED, parse
from research.analysis.fisher import fisher_diagonal
from research.analysis.ngrams import unigram_bits
from research.cells import initializations
from research.cells.bases import Bases, at_once
from research.cells.described import described
from research.cells.measures import Measure
from research.cells.phases import document_sizes, reference, untouched
from research.cells.pretraining import parameter_shapes
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.starts import Phases, bases, layout_of
from research.cells.study import Study, corpora, model_of, text_subject, whole
from research.cells.subject import Prepared, Rows, Subject
from research.data.batches import windows
from research.data.corpus import Corpus
from research.errors import UsageError
from research.runtime.progress import Progress
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.training.mesh import P, jit_step, own_device

KEY = 14
APART = ("base", "methods", "alphas", "seeds", "selection_seeds", "selection_steps", "learning_rates", "mesh", "members", "equal_at")


def forgetting_subject(config: Mapping[str, Any]) -> Subject:
    """Returns the subject of a plain config; raises UsageError for what cannot be."""
    sweep, study = ForgettingSweep.of(config), Study.of(config)
    study.check_batches(sweep.batch_size)
    tasks = sweep.tasks(study)
    index = initializations.places((INIT,), sweep.all_seeds(), sweep.bases)
    count = max(index.values()) + 1
    fishers = {("fisher", place): count + place for place in range(count)} if sweep.is_weighted else {}
    held = count + len(fishers)
    if held > 1 and at_once(parameter_shapes(model_of(study)), held) < held:
        raise UsageError("methods has ewc, or pretraining.bases is above 1: both take small models, all held at once; leave them out")
    phases = Phases((sweep.selection(), sweep.results()), lambda c: parse(c["arm"]).recipe.shape)
    layout = layout_of(study, tasks, phases, sweep, {**index, **fishers})

    def cell(c: Mapping[str, Any]) -> Cell:
        place = index[c["init"], c["seed"]]
        return begun(c, place, fishers.get(("fisher", place)))

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        source, target = corpora(study, (study.target,), workdir)
        rows = [windows(corpus.parts["train"], study.model.max_length) for corpus in (target, source)]
        own = bases(study, index, (source, target), workdir, progress)
        if sweep.is_weighted:
            with timed("fisher", workdir.timings.append):
                own = with_fishers(own, study, sweep, rows[1])

        return Prepared(
            own,
            np.concatenate(rows),
            _measures(study, source, target),
            (source.fingerprint, target.fingerprint, *study.named_by),
            cell,
            before=lambda runner: [[*_known(runner, sweep, study, source), *untouched(runner, "full", index, sweep.bases)]],
            after=lambda runner, cells: kept.read(runner, sweep, study, cells),
            keep=lambda c, step: c["phase"] == "result",
            replay=len(rows[1]),
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
        kept_at=sweep.kept_at,
        selection_steps=sweep.selection_steps,
        flops=study.flops(steps * sweep.batch_size, (INIT,), _read(study, sweep)),
    )


def begun(c: Mapping[str, Any], place: int, fisher: int | None) -> Cell:
    """Returns the cell, without its name, of coordinates that begins at the place of a base; fisher: the place of its Fisher diagonal."""
    recipe = parse(c["arm"]).recipe
    own = Cell("", c, recipe.shape, place, recipe.rank or 0, c["learning_rate"], c["seed"], replayed=recipe.replayed)
    if recipe.strength is None:
        return own
    pulled = own._replace(reference=place, strength=recipe.strength)
    return pulled._replace(importance=fisher) if recipe.shape == WEIGHTED else pulled


def with_fishers(own: Bases, study: Study, sweep: MethodRuns, rows: np.ndarray) -> Bases:
    """Returns the bases with, behind them, the Fisher diagonal of each, from windows of the source (n, time + 1)."""
    of = diagonals(study, sweep)
    starts = [own.params(place) for place in range(own.at_once)]
    trees = [*starts, *(of(params, rows) for params in starts)]
    return Bases(trees.__getitem__, len(trees), together=True)


def diagonals(study: Study, sweep: MethodRuns) -> Callable[[Any, np.ndarray], Any]:
    """Returns what makes the Fisher diagonal of parameters on the host, from as many windows (n, time + 1) as the config says."""
    model, key = model_of(study), jax.random.key(KEY)

    def diagonal(params: Any, chosen: Array) -> Any:
        return fisher_diagonal(model, params, chosen, study.to_batch, key, sweep.fisher["labels"])

    compiled = jit_step(diagonal, (P(), P()), P(), own_device(), donate=())

    def of(params: Any, rows: np.ndarray) -> Any:
        chosen = np.linspace(0, len(rows) - 1, min(len(rows), sweep.fisher["sequences"])).round().astype(int)
        return jax.device_get(compiled(params, rows[chosen]))

    return of


def _known(runner: Runner, sweep: ForgettingSweep, study: Study, source: Corpus) -> Rows:
    experiment = runner.setting.experiment
    equal = [reference(experiment, "equal_at", share, "1", level=level) for level, share in enumerate(sweep.equal_at)]
    train, test, size = source.parts["train"], source.parts[source.read], source.bytes[source.read]
    unigram = reference(experiment, "source_unigram", unigram_bits(train, test, source.vocabulary, size), "bits/byte")
    target = {**reference(experiment, "target", 1.0, "count"), "note": study.target.source}
    return [*equal, unigram, target, *described(experiment, study), *document_sizes(runner)]


def _measures(study: Study, source: Corpus, target: Corpus) -> dict[str, tuple[Measure, ...]]:
    selection = whole(study, target, "validation", "validation_loss")._replace(groups=None)
    learned = whole(study, target, target.read, "target_loss", early="budget_target")._replace(groups=None)
    return {"select": (selection,), "result": (learned, whole(study, source, source.read, "source_loss", early="budget_source"))}


def _read(study: Study, sweep: ForgettingSweep) -> int:
    """How many windows' forward passes all readings take, roughly."""
    results, once = len(sweep.results()), study.read_windows(1)
    ends = 2 * study.read_windows(study.target.test_bytes) + 2 * once * len(sweep.read_at)
    points = results * (1 + len(sweep.kept_at)) + sweep.seeds * len(sweep.alphas)
    return len(sweep.selection()) * study.read_windows(study.target.validation_bytes) + results * ends + 4 * points * once
